"""text-classification: one label, several, or a number, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.errors import DataError
from job.settings.protocols import HasData, HasModel, HasTrain
from job.tasks.base import Task
from job.tasks.labels import (
    as_list,
    classes,
    fault_of,
    is_number,
    kind_of,
    of_model,
    ordered,
    refuse_unknown,
    refuse_unknown_weights,
    refuse_unlearnable,
    refuse_unseen,
    write_labels,
)
from job.tasks.row_rules import Columns
from job.tasks.scorers import Scorer
from job.tasks.text_classification.problems import MULTI, PROBLEMS, REGRESSION, SINGLE, Problem
from job.tasks.tokens import inputs_of, tokenize
from job.tasks.types import Batch, Features, Floats, Outputs, Scored

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


class _Settings(HasData, HasModel, HasTrain, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class TextClassification(Task):
    """Sequence classification and regression with a head on top of an encoder or a decoder."""

    columns: Mapping[str, str]
    problem_type: str = "auto"
    labels: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    class_weights: str | Mapping[str, float] = "none"
    train_counts: Mapping[str, int] = field(default_factory=dict)

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    peft_type = "SEQ_CLS"
    targets = ("label",)
    predicted = ("prediction", "score", "probabilities")

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        columns, train = settings.data.columns, settings.train
        roles = {"text": columns.text, "label": columns.label}
        if columns.text_pair:
            roles["text_pair"] = columns.text_pair
        return cls(
            columns=roles,
            problem_type=settings.model.problem_type,
            label_smoothing=train.label_smoothing,
            class_weights=train.class_weights,
        )

    @property
    def text_roles(self) -> tuple[str, ...]:
        """`text`, and `text_pair` for pairs."""
        return tuple(role for role in ("text", "text_pair") if role in self.columns)

    @property
    def problem(self) -> Problem:
        """What a head is asked for; known once the task is fitted."""
        return PROBLEMS[self.problem_type]

    @property
    def default_metric(self) -> str:
        """Pearson's r for regression, macro F1 otherwise."""
        return "pearson" if self.problem_type == REGRESSION else "f1"

    # -- rows ------------------------------------------------------------------------------------

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs its texts and a label that can be read: for regression a finite number."""
        problems = [self._fault_of(label) for label in rows["label"]]
        for role in self.text_roles:
            for i, text in enumerate(rows[role]):
                if text is None:
                    problems[i] = f"no {role}"
        return problems

    def _fault_of(self, label: str | None) -> str | None:
        if label is None or not label.strip():
            return "no label"
        if self.problem_type == REGRESSION:
            return None if is_number(label) else f"the label {label[:40]!r} is not a number"
        if self.problem_type == SINGLE:
            return None
        return fault_of(label.strip(), lists=self.problem_type == MULTI or None)

    def kinds_of(self, rows: Columns) -> list[str]:
        """Whether labels are single classes or lists, which decides what is learned unless it is set."""
        return [
            kind_of(label or "") if self.problem_type == "auto" else "" for label in rows["label"]
        ]

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The classes of each row; none for regression."""
        if self.problem_type == REGRESSION:
            return [[] for _ in rows["label"]]
        if self.problem_type == SINGLE:
            return [[label] if label else [] for label in rows["label"]]
        return [classes(label) for label in rows["label"]]

    # -- labels ----------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """Labels in order, their counts in train, and the problem type."""
        return {
            "labels": list(self.labels),
            "problem_type": self.problem_type,
            "train_counts": dict(self.train_counts),
        }

    def restored(self, facts: Mapping[str, Any]) -> TextClassification:
        """The task with the labels and the problem type that the data set was encoded with.

        Raises:
            SettingsError: a class weight is for a label that does not exist.
        """
        labels, problem = tuple(facts["labels"]), facts["problem_type"]
        self._check_weights(labels)
        counts = facts["train_counts"]
        return replace(self, labels=labels, problem_type=problem, train_counts=counts)

    def _check_weights(self, labels: tuple[str, ...]) -> None:
        if isinstance(self.class_weights, Mapping):
            refuse_unknown_weights(self.class_weights, labels)

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast | None = None,
    ) -> TextClassification:
        """The task with the labels of train alone: in the model's own order if the sets match, else sorted."""
        problem = self.problem_type
        if problem == "auto":
            lists = [as_list(label or "") is not None for label in first["label"]]
            problem = MULTI if any(lists) else SINGLE
        if problem == REGRESSION:
            return replace(self, problem_type=problem, labels=("score",))
        train = dict(counts.get("train", {}))
        if problem == SINGLE:
            refuse_unlearnable(train, self.columns["label"])
        elif not train:
            hint = "look at FINETUNE_DATA__COLUMNS__LABEL"
            raise DataError("no training row has a label", hint=hint)
        refuse_unseen(train, counts)
        labels = ordered(train, model_labels)
        self._check_weights(labels)
        return replace(self, problem_type=problem, labels=labels, train_counts=train)

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> TextClassification:
        """The task with the model's labels; LABEL_0, LABEL_1 … stand for 0, 1 …

        Losses are not balanced, since nobody knows the counts of the rows that the model learned from.
        """
        labels = of_model(config)
        problem = self.problem_type
        if problem == "auto":
            problem = config.problem_type or (SINGLE if len(labels) > 1 else REGRESSION)
        if problem == REGRESSION:
            return replace(self, problem_type=problem, labels=("score",))
        refuse_unknown(labels, counts)
        self._check_weights(labels)
        weights = "none" if self.class_weights == "balanced" else self.class_weights
        return replace(self, problem_type=problem, labels=labels, class_weights=weights)

    def completed(self, rows: Columns) -> Columns:
        """For every row the first label, no labels, or 0."""
        return {**rows, "label": [self.problem.known("", self.labels)] * len(rows["text"])}

    def known(self, rows: Columns) -> Columns:
        """See Task and Problem."""
        labels = [self.problem.known(label or "", self.labels) for label in rows["label"]]
        return {**rows, "label": labels}

    def configure(self, config: Any) -> None:
        """Writes label names and problem type, as transformers reads them."""
        config.problem_type = self.problem_type
        write_labels(config, self.labels)

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """input_ids, token_type_ids where the model has them, labels, length."""
        texts = [text or "" for text in rows["text"]]
        pairs = [text or "" for text in rows["text_pair"]] if "text_pair" in rows else None
        tokens = tokenize(tokenizer, texts, pairs, max_length)
        columns: dict[str, pa.Array] = {"input_ids": tokens.input_ids}
        if tokens.token_type_ids is not None:
            columns["token_type_ids"] = tokens.token_type_ids
        labels = [label or "" for label in rows["label"]]
        columns["labels"] = self.problem.encoded(labels, self.labels)
        columns["length"] = tokens.lengths
        return Features(columns, np.arange(len(texts)), tokens.truncated)

    # -- loss ------------------------------------------------------------------------------------

    @cached_property
    def label_weights(self) -> Floats:
        """A weight for each label, shape (labels,); ones without class weights."""
        return self.problem.label_weights(self.labels, self.class_weights, self.train_counts)

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The weight of each row's class; 1 for multi-label and regression."""
        return self.problem.row_weights(table, rows, self.label_weights)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, token_type_ids, labels and weights as tensors."""
        import torch

        batch = inputs_of(table, rows, pad)
        batch["labels"] = torch.from_numpy(self.problem.targets(table, rows))
        batch["weights"] = torch.from_numpy(self.row_weights(table, rows, epoch))
        return batch

    def row_logits(self, outputs: Any, batch: Batch) -> list[torch.Tensor]:
        """Shape (labels,) per row."""
        return list(outputs.logits.float())

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy, binary cross-entropy averaged over the labels, or squared error, summed."""
        logits, labels = outputs.logits.float(), batch["labels"]
        losses = self.problem.losses(logits, labels, self.label_weights, self.label_smoothing)
        return (losses * batch["weights"]).sum()

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Logits, shape (labels,) per row."""
        outputs = self.forward(model, batch)
        rows = [logits.cpu().numpy() for logits in self.row_logits(outputs, batch)]
        return rows, float(self.loss(outputs, batch))

    @property
    def compared(self) -> tuple[str, ...]:
        """The score of a regression, all probabilities otherwise."""
        return ("prediction",) if self.problem_type == REGRESSION else ("probabilities",)

    def metrics(self, scored: Scored) -> dict[str, float]:
        """See job.tasks.text_classification.metrics."""
        from job.tasks.text_classification.metrics import compute

        targets, probabilities = self._answers(scored)
        return compute(self.problem_type, self.labels, probabilities, targets)

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task, and job.tasks.text_classification.scorers."""
        from job.tasks.text_classification.scorers import scorer_of

        labels: list[str] = scored.rows.table.column("label").to_pylist()
        probabilities = self.problem.probabilities(np.stack(scored.outputs))
        return scorer_of(self.problem_type, metric, labels, probabilities, self.labels)

    def written(self, scored: Scored) -> dict[str, Any]:
        """`label` and `prediction` by name, and the probabilities that decide."""
        targets, probabilities = self._answers(scored)
        return self.problem.written(targets, probabilities, self.labels)

    def _answers(self, scored: Scored) -> tuple[npt.NDArray[Any], Floats]:
        """Every row's targets and the model's probabilities."""
        targets = self.problem.targets(scored.table, np.arange(len(scored.table)))
        return targets, self.problem.probabilities(np.stack(scored.outputs))
