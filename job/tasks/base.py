"""What a task is: everything that differs between, say, classifying sentences and translating them.

A task is a frozen value. It is made from the settings, *fitted* to the data once (labels, problem
type), and what fitting found travels with the encoded data set and the model as plain JSON. Adding
a task means adding its file and a line in `job.tasks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from job.batching.padding import Padding
from job.batching.steps import Rows
from job.data.artifacts import FILE, LINE
from job.tasks.rules import Columns
from job.tasks.values import IGNORED, Batch, Features, Floats, Outputs, Scored

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
    """Tokens a row has at most where neither the settings nor the model say less."""

    targets: ClassVar[tuple[str, ...]] = ()
    """Roles that learning and scoring need, and that predicting does without."""
    known: ClassVar[tuple[str, ...]] = ()
    """Columns of `written` that come from the targets and not from the model."""

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

    @abstractmethod
    def problems(self, rows: Columns) -> list[str | None]:
        """See RowRules."""

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """See RowRules."""
        return [[] for _ in next(iter(rows.values()))]

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
            counts: how often each label stands in each split.
            model_labels: the model's own label names in order, empty where it has none.
            tokenizer: the model's.

        Raises:
            SettingsError: the tokenizer lacks what the task needs.
            DataError: the rows hold nothing to learn, or a label that training never shows.
        """
        return self

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Self:
        """The task as a model has learned it already, to be scored or to predict.

        Args:
            config: the model's.
            counts: how often each label stands in each split that is scored.
            tokenizer: the model's.

        Raises:
            SettingsError: the tokenizer lacks what the task needs.
            DataError: the rows hold a label that the model does not know.
        """
        return self.fitted({}, counts, (), tokenizer)

    def completed(self, rows: Columns) -> Columns:
        """Rows without targets, with some in their place that features can be made of."""
        nothing = [""] * len(next(iter(rows.values())))
        return {**rows, **dict.fromkeys(self.targets, nothing)}

    def configure(self, config: Any) -> None:  # noqa: B027 - most tasks have nothing to write
        """Write what fitting found into a model's config."""

    def configure_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:  # noqa: B027
        """Set what the task needs in a tokenizer, before it is used and saved.

        Raises:
            SettingsError: the tokenizer cannot do it.
        """

    def configure_generation(self, generation: Any, config: Any) -> None:  # noqa: B027
        """Write into a model's generation config, which is saved with it, how the task generates.

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
        """What joins encoded rows and cuts them into blocks; None where rows stay rows."""
        return None

    @abstractmethod
    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """What each of these rows adds to the denominator of its step's loss, shape (rows,)."""

    def collate(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """A micro-batch of some rows, or of none.

        Every rank must run a micro-batch where one does, so no rows make a dummy: the first row,
        in whose loss nothing counts, so that it is 0.
        """
        if len(rows):
            return self.batch_of(table, rows, pad, epoch)
        return _uncounted(self.batch_of(table, np.zeros(1, dtype=np.int64), pad, epoch))

    @abstractmethod
    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """A micro-batch of one row or more, shape (rows, tokens).

        What is not the model's own input begins with `labels` or `weights`. The loss is over what
        `weights` weigh, or where a task has none, over the labels that are not IGNORED.
        """

    def forward(self, model: Any, batch: Batch) -> Any:
        """The model's outputs for a micro-batch, without a loss of its own."""
        return model(**{k: v for k, v in batch.items() if not k.startswith(("labels", "weights"))})

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
        """The model's outputs, one a row, and the summed loss of a micro-batch."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns of `written` that a fresh process must find again with the published files."""
        return ("prediction",)

    def trials(self, table: MappedTable, rows: MappedTable, count: int) -> list[dict[str, Any]]:
        """What a fresh process is given of a held-out split: its first cleaned rows by role, with
        the number (`row`) that they have in `written`."""
        first = rows.table.slice(0, count).drop_columns([FILE, LINE]).to_pylist()
        return [{"row": number, **row} for number, row in enumerate(first)]

    @property
    def reading(self) -> dict[str, Any]:
        """What a fresh process must know besides the published files to find them, as JSON."""
        return {}

    @property
    def signatures(self) -> dict[str, str]:
        """How metrics were computed, by the names that eval_results.json has them under."""
        return {}

    @abstractmethod
    def metrics(self, scored: Scored) -> dict[str, float]:
        """Every metric of the task, without prefix and without loss."""

    @abstractmethod
    def written(self, scored: Scored) -> dict[str, Any]:
        """Predictions as columns of predictions.parquet, one entry a cleaned row, in order."""


def _uncounted(batch: Batch) -> Batch:
    """The same micro-batch with a loss of 0."""
    import torch

    if "weights" in batch:
        return {**batch, "weights": torch.zeros_like(batch["weights"])}
    return {**batch, "labels": torch.full_like(batch["labels"], IGNORED)}
