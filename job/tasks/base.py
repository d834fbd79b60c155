"""What a task is: everything that differs between, say, classifying sentences and translating them.

A task is a frozen value. It is made from the settings, *fitted* to the data once (labels, problem
type), and what fitting found travels with the encoded data set and the model as plain JSON. Adding
a task means adding its folder and a line in `job.tasks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from job.batching import Rows
from job.batching.padding import Padding
from job.data.artifacts import FILE, LINE, Split
from job.settings.metrics import PER_TOKEN
from job.tasks.row_rules import Columns, Source, source_of
from job.tasks.scorers import Scorer
from job.tasks.tokens import tokenize
from job.tasks.types import Batch, Features, Floats, Outputs, Scored, uncounted

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable
    from job.settings import Settings
    from job.tasks.packing import Packer


class Task(ABC):
    """One of the Hub's tasks, fitted to the data or not yet."""

    name: ClassVar[str]
    auto_class: ClassVar[str]
    """The transformers Auto class that loads its model."""
    peft_type: ClassVar[str]
    """peft's name for it."""

    longest: ClassVar[int] = 512
    """The most tokens a row may have where neither the settings nor the model ask for fewer."""

    reads_texts_alone: ClassVar[bool] = True
    """Whether nobody but its texts' authors writes what the model reads: no masks, no chat template."""

    targets: ClassVar[tuple[str, ...]] = ()
    """Roles that training and scoring need and prediction does without."""
    predicted: ClassVar[tuple[str, ...]] = ("prediction",)
    """Columns of `written` that come from the model, not from the targets."""

    columns: Mapping[str, str]
    """See RowRules."""

    @classmethod
    @abstractmethod
    def create(cls, settings: Settings) -> Self:
        """The task as the settings describe it, not fitted to any data yet."""

    # -- rows ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def text_roles(self) -> tuple[str, ...]:
        """See RowRules."""

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """See RowRules."""
        return ()

    def source_of(self, split: Split) -> Source:
        """See RowRules."""
        return source_of(split)

    @abstractmethod
    def problems(self, rows: Columns) -> list[str | None]:
        """See RowRules."""

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """See RowRules."""
        return [[] for _ in next(iter(rows.values()))]

    def kinds_of(self, rows: Columns) -> list[str]:
        """See RowRules."""
        return []

    def texts_of(self, rows: Columns) -> list[str]:
        """What is written in each row for the tokenizer to read; by default the text roles, joined."""
        texts = zip(*(rows[role] for role in self.text_roles), strict=True)
        return [" ".join(text for text in row if text) for row in texts]

    def unreadable(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> list[str | None]:
        """Why the tokenizer can make nothing of each row, or None; asked of rows without a problem.

        A row of no tokens has no answer. Most tokenizers put a token of their own around any text.
        """
        reasons: list[str | None] = [None] * len(next(iter(rows.values())))
        if tokenizer.num_special_tokens_to_add():
            return reasons
        texts = self.texts_of(rows)
        doubtful = [i for i, text in enumerate(texts) if not any(map(str.isalnum, text))]
        lengths = tokenize(tokenizer, [texts[i].strip() for i in doubtful], None, None).lengths
        for i, length in zip(doubtful, lengths.to_pylist(), strict=True):
            if not length:
                reasons[i] = "no text that the tokenizer has a token for"
        return reasons

    # -- fitting ---------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """What fitting found, as JSON; `restored` takes it back."""
        return {}

    def restored(self, facts: Mapping[str, Any]) -> Self:
        """The task as it was fitted when the data set was encoded."""
        return self

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Self:
        """The task with its labels, from the training rows alone.

        Args:
            first: a few training rows.
            counts: how often each label occurs in each split.
            model_labels: the model's own label names in order, empty where it has none.
            tokenizer: the model's.

        Raises:
            SettingsError: the tokenizer lacks what the task needs.
            DataError: the rows hold nothing to learn, or a label that the training rows lack.
        """
        return self

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Self:
        """The task as an existing model has learned it, for scoring or for prediction.

        Args:
            config: the model's.
            counts: how often each label occurs in each split that is scored.
            tokenizer: the model's.

        Raises:
            SettingsError: the tokenizer lacks what the task needs.
            DataError: the rows hold a label that the model does not know.
        """
        return self.fitted({}, counts, (), tokenizer)

    def completed(self, rows: Columns) -> Columns:
        """Rows without targets, with placeholders from which features can be made."""
        nothing = [""] * len(next(iter(rows.values())))
        return {**rows, **dict.fromkeys(self.targets, nothing)}

    def known(self, rows: Columns) -> Columns:
        """Rows whose targets features can be made from: placeholders for labels that the model does
        not know, which are wrong whatever it answers (see `scorer`)."""
        return rows

    def configure(self, config: Any) -> None:  # noqa: B027 - most tasks have nothing to write
        """Write what fitting found into a model's config."""

    def configure_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:  # noqa: B027 - most tasks set nothing
        """Set what the task needs in a tokenizer, before it is used and saved.

        Raises:
            SettingsError: the tokenizer is of no use to the task.
        """

    def configure_generation(self, generation: Any, config: Any) -> None:  # noqa: B027 - most tasks generate nothing
        """Write how the task generates into a model's generation config, which is saved with it.

        Args:
            generation: transformers' GenerationConfig.
            config: the model's.
        """

    # -- features and loss -----------------------------------------------------------------------

    @abstractmethod
    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """Rows as tokens.

        Raises:
            DataError: a row does not fit the others or the tokenizer.
        """

    def packer(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Packer | None:
        """What joins encoded rows and cuts them into blocks; None where rows stay as they are."""
        return None

    @abstractmethod
    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """What each of these rows adds to the denominator of its step's loss, shape (rows,)."""

    def collate(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """A micro-batch of these rows.

        Every rank must run as many micro-batches as the others, so one without rows is a dummy: the
        table's first row with nothing in it that counts, whose loss is exactly 0.
        """
        if len(rows):
            return self.batch_of(table, rows, pad, epoch)
        return uncounted(self.batch_of(table, np.zeros(1, dtype=np.int64), pad, epoch))

    @abstractmethod
    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """A micro-batch of one row or more, shape (rows, tokens).

        What is not the model's own input begins with `labels` or `weights`. The loss counts
        rows by their `weights`, or where a task has none, the labels that are not IGNORED.
        """

    def forward(self, model: Any, batch: Batch) -> Any:
        """The model's outputs for a micro-batch, without a loss of its own."""
        return model(**{k: v for k, v in batch.items() if not k.startswith(("labels", "weights"))})

    def row_logits(self, outputs: Any, batch: Batch) -> list[torch.Tensor]:
        """Each row's logits, without those of padding: the same, however the row is padded."""
        mask = batch["attention_mask"].bool()
        return [row[kept] for row, kept in zip(outputs.logits.float(), mask, strict=True)]

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The micro-batch's loss as a weighted sum over its rows, a float32 scalar."""

    # -- predictions -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def default_metric(self) -> str:
        """What selects the best checkpoint when the settings do not say."""

    @abstractmethod
    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """The model's outputs for a micro-batch, one per row, and its summed loss."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns of `written` that a fresh process must reproduce from the published files."""
        return ("prediction",)

    def trials(self, table: MappedTable, rows: MappedTable, count: int) -> list[dict[str, Any]]:
        """What a fresh process is given of a held-out split: its first cleaned rows by role, with
        their number (`row`) in `written`."""
        first = rows.table.slice(0, count).drop_columns([FILE, LINE]).to_pylist()
        return [{"row": number, **row} for number, row in enumerate(first)]

    @property
    def reading(self) -> dict[str, Any]:
        """What a fresh process must know besides the published files to reproduce them, as JSON."""
        return {}

    def counts_tokens(self, metric: str) -> bool:
        """Whether a metric depends on which tokens a text is cut into, so that two models' figures can
        only be compared where both cut it alike."""
        return metric in PER_TOKEN

    @property
    def signatures(self) -> dict[str, str]:
        """How metrics were computed, under their names in eval_results.json."""
        return {}

    @abstractmethod
    def metrics(self, scored: Scored) -> dict[str, float]:
        """Every metric of the task, without prefix and without loss."""

    @abstractmethod
    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """The outputs as one metric sees them, to be compared with another model's over the same rows.

        The truth is that of the cleaned rows, labels by name, so that models whose labels differ can
        be compared: a row whose label this model does not know is wrong. Averages over classes are
        over those that the rows have; else the score is that of `metrics`.

        Args:
            scored: the outputs, for rows that may have been encoded as `known`.
            metric: a name of job.settings.metrics, or that of one class.

        Returns:
            None where the metric says nothing of single rows, or of none of these.
        """

    @abstractmethod
    def written(self, scored: Scored) -> dict[str, Any]:
        """Predictions as columns of predictions.parquet, one entry per cleaned row, in order."""
