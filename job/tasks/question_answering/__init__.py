"""question-answering: the span of a context that answers a question, if there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.settings.protocols import HasData, HasEncode, HasEvaluate
from job.tasks.base import Task
from job.tasks.question_answering.answers import (
    empty_token,
    fault,
    misshapen,
    parsed,
    tokens_of,
)
from job.tasks.question_answering.questions import shortened
from job.tasks.question_answering.spans import SpanSearch, answers_of
from job.tasks.row_rules import Columns
from job.tasks.scorers import Scorer
from job.tasks.tokens import inputs_of
from job.tasks.types import Batch, Features, Floats, Outputs, Scored
from job.tasks.windows import columns_of, stride_of, windows_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

NO_ANSWER = "no answer"
CAN_BE_NONE = "questions_can_have_no_answer"
"""A key in config.json, where transformers has none for it."""


class _Settings(HasData, HasEncode, HasEvaluate, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Finds the first and the last token of an answer (Devlin et al. 2018, arXiv 1810.04805, 4.2)."""

    columns: Mapping[str, str]
    stride: int | None = None
    search: SpanSearch = field(default_factory=SpanSearch)

    name = "question-answering"
    auto_class = "AutoModelForQuestionAnswering"
    peft_type = "QUESTION_ANS"
    longest = 384
    text_roles = ("context", "question")
    verbatim_roles = ("context",)
    targets = ("answers",)
    predicted = ("prediction", "score")
    compared = ("prediction", "score")
    default_metric = "f1"

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        columns, evaluate = settings.data.columns, settings.evaluate
        roles = {role: getattr(columns, role) for role in ("question", "context", "answers")}
        search = SpanSearch(
            n_best=evaluate.n_best,
            most_tokens=evaluate.max_answer_tokens,
            threshold=evaluate.no_answer_threshold,
        )
        return cls(roles, settings.encode.stride, search)

    # -- rows ------------------------------------------------------------------------------------

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs a question, a context, and answers that occur in it."""
        roles = (rows["question"], rows["context"], rows["answers"])
        return [self._problem(*row) for row in zip(*roles, strict=True)]

    def _problem(self, question: str | None, context: str | None, given: str | None) -> str | None:
        if not question or not question.strip():
            return "no question"
        if not context or not context.strip():
            return "no context"
        if given is None:
            return "no answers"
        answers = parsed(given)
        if answers is None:
            return misshapen(given)
        wrong = fault(answers, context)
        return f"{wrong}; {self.name} needs it there" if wrong else None

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """Whether there is an answer."""
        return [["answer" if parsed(a) else NO_ANSWER] for a in rows["answers"]]

    # -- fitting ---------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """Whether a question may have no answer."""
        return {"can_be_none": self.search.can_be_none}

    def restored(self, facts: Mapping[str, Any]) -> QuestionAnswering:
        """The task as it was fitted."""
        return replace(self, search=replace(self.search, can_be_none=facts["can_be_none"]))

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast | None = None,
    ) -> QuestionAnswering:
        """The task, which may leave questions unanswered if training rows do."""
        can_be_none = bool(counts.get("train", {}).get(NO_ANSWER))
        return replace(self, search=replace(self.search, can_be_none=can_be_none))

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> QuestionAnswering:
        """The task, which may leave questions unanswered if the model has learned to, or scored rows do."""
        none = any(labels.get(NO_ANSWER) for labels in counts.values())
        can_be_none = none or bool(getattr(config, CAN_BE_NONE, False))
        return replace(self, search=replace(self.search, can_be_none=can_be_none))

    def completed(self, rows: Columns) -> Columns:
        """No answers."""
        return {**rows, "answers": ['{"text": [], "answer_start": []}'] * len(rows["question"])}

    def configure(self, config: Any) -> None:
        """Two labels, start and end, whatever the model had before, and whether a question may have no answer."""
        config.num_labels = 2
        setattr(config, CAN_BE_NONE, self.search.can_be_none)

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """The columns of `windows.columns_of`, `start` and `end` (the answer's first and last token),
        and `nothing` (the token that stands for no answer in the window).

        The first of several answers is learned. A question longer than half a window is cut.
        """
        contexts = [context or "" for context in rows["context"]]
        stride = stride_of(tokenizer, max_length, self.stride, pair=True)
        room = max_length - int(tokenizer.num_special_tokens_to_add(True))
        asked = [shortened(tokenizer, question or "", room // 2) for question in rows["question"]]
        cut = sum(a != (b or "") for a, b in zip(asked, rows["question"], strict=True))
        parts = windows_of(tokenizer, contexts, max_length, stride, questions=asked)
        right = [next(iter(parsed(given) or []), None) for given in rows["answers"]]
        flat = [window for windows in parts for window in windows]
        nothing = [empty_token(w.input_ids, tokenizer.cls_token_id) for w in flat]
        source = np.repeat(np.arange(len(parts)), [len(windows) for windows in parts])
        spans = [
            tokens_of(right[row], window.starts, window.ends) or (at, at)
            for row, window, at in zip(source.tolist(), flat, nothing, strict=True)
        ]
        columns = columns_of(flat, tokenizer)
        columns["start"] = pa.array([start for start, _ in spans], pa.int32())
        columns["end"] = pa.array([end for _, end in spans], pa.int32())
        columns["nothing"] = pa.array(nothing, pa.int32())
        return Features(columns, source, truncated=cut)

    # -- loss ------------------------------------------------------------------------------------

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """1 for each window."""
        return np.ones(len(rows), dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, token_type_ids, labels (rows, 2) and weights."""
        import torch

        batch = inputs_of(table, rows, pad)
        labels = np.stack([table.column(name)[rows] for name in ("start", "end")], axis=-1)
        if pad.side == "left":
            lengths = table.column("length")[rows]
            labels = labels + (batch["input_ids"].shape[1] - lengths)[:, None]
        batch["labels"] = torch.from_numpy(labels.astype(np.int64))
        batch["weights"] = torch.ones(len(rows))
        return batch

    def row_logits(self, outputs: Any, batch: Batch) -> list[torch.Tensor]:
        """Start and end logits without padding, shape (tokens, 2) per window."""
        import torch

        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1).float()
        mask = batch["attention_mask"].bool()
        return [row[kept] for row, kept in zip(logits, mask, strict=True)]

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The mean of the cross-entropies of start and end, summed over the windows."""
        from torch.nn import functional

        labels = batch["labels"]
        losses = [
            functional.cross_entropy(logits.float(), labels[:, i], reduction="none")
            for i, logits in enumerate((outputs.start_logits, outputs.end_logits))
        ]
        return ((losses[0] + losses[1]) / 2 * batch["weights"]).sum()

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Start and end logits without padding, shape (tokens, 2) per window."""
        outputs = self.forward(model, batch)
        rows = [logits.cpu().numpy() for logits in self.row_logits(outputs, batch)]
        return rows, float(self.loss(outputs, batch))

    @property
    def reading(self) -> dict[str, Any]:
        """How windows are cut and read."""
        return {"stride": self.stride, "search": asdict(self.search)}

    def metrics(self, scored: Scored) -> dict[str, float]:
        """See job.tasks.question_answering.metrics."""
        from job.tasks.question_answering.metrics import compute

        return compute(self._predictions(scored), _texts(scored))

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task, and job.tasks.question_answering.scorers."""
        from job.tasks.question_answering.scorers import scorer_of

        return scorer_of(metric, self._predictions(scored), _texts(scored))

    def _predictions(self, scored: Scored) -> list[str]:
        return [text for text, _ in answers_of(scored, self.search)]

    def written(self, scored: Scored) -> dict[str, Any]:
        """The right `answers`, the `prediction` (empty for no answer) and its probability, `score`."""
        pairs = answers_of(scored, self.search)
        return {
            "answers": pa.array(_texts(scored), pa.list_(pa.string())),
            "prediction": [text for text, _ in pairs],
            "score": [score for _, score in pairs],
        }


def _texts(scored: Scored) -> list[list[str]]:
    given: Sequence[str | None] = scored.rows.table.column("answers").to_pylist()
    return [[answer.text for answer in parsed(a) or []] for a in given]
