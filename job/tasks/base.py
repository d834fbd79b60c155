"""What a task is: everything that differs between, say, classifying sentences and translating them.

A task is a frozen value. It is made from the settings, *fitted* to the data once (labels, problem
type), and what fitting found travels with the encoded data set and the model as plain JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.tables import MappedTable

Columns = Mapping[str, Sequence[str | None]]
"""A batch of rows by role. A value is text; one that is not text in its source stands as JSON."""

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Batch = dict[str, "torch.Tensor"]


class RowRules(Protocol):
    """The part of a task that preparation needs before any model is known."""

    name: str

    @property
    def columns(self) -> Mapping[str, str]:
        """The source column of each role that is used; a column that is missing is an error."""
        ...

    @property
    def text_roles(self) -> tuple[str, ...]:
        """Roles that hold text: they are cleaned, and their hash decides a row's split."""
        ...

    def problems(self, rows: Columns) -> list[str | None]:
        """Why each row cannot be used (`no label`), or None."""
        ...

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The labels of each row, for counting; empty lists where a task has none."""
        ...


class Task(RowRules, Protocol):
    """One of the Hub's tasks, fitted to the data or not yet."""

    auto_class: str
    """The transformers Auto class that loads its model."""

    @property
    def default_metric(self) -> str:
        """What selects the best checkpoint when the settings do not say."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What fitting found, as JSON; `restored` takes it back."""
        ...

    def restored(self, facts: Mapping[str, Any]) -> Task:
        """The task as it was fitted when the data set was encoded."""
        ...

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
    ) -> Task:
        """The task with its labels, from the training rows alone.

        Args:
            first: a few training rows.
            counts: how often each label stands in each split.
            model_labels: the model's own label names in order, empty where it has none.

        Raises:
            DataError: the rows hold nothing to learn, or a label that training never shows.
        """
        ...

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> tuple[pa.RecordBatch, int]:
        """Rows as tokens: the columns that `collate` reads, `length` (int32, tokens) among them,
        and how many of the rows were cut to `max_length`."""
        ...

    def configure(self, config: Any) -> None:
        """Write label names and problem type into a model's config."""
        ...

    def row_weights(self, table: MappedTable) -> Floats:
        """What each row adds to the denominator of its step's loss, shape (rows,)."""
        ...

    def collate(self, table: MappedTable, rows: Rows, pad: Padding) -> Batch:
        """A micro-batch; no rows make a one-row dummy of weight 0, since every rank must run one."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The micro-batch's loss as a weighted sum over its rows, a float32 scalar."""
        ...

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Floats, float]:
        """The model's outputs, shape (rows, …), and the summed loss of a micro-batch."""
        ...

    def metrics(self, outputs: Floats, table: MappedTable) -> dict[str, float]:
        """Every metric of the task over all rows of a table, without prefix and without loss."""
        ...

    def written(self, outputs: Floats, table: MappedTable) -> dict[str, Any]:
        """Predictions as columns of predictions.parquet."""
        ...


class Padding:
    """How a micro-batch is made rectangular.

    Args:
        token: the tokenizer's padding token id.
        multiple: lengths are rounded up to it.
        fixed: one length for all, or None for the longest row's.
        side: where the padding goes.
    """

    def __init__(
        self, token: int, *, multiple: int = 1, fixed: int | None = None, side: str = "right"
    ) -> None:
        self.token, self.multiple, self.fixed, self.side = token, multiple, fixed, side

    def width(self, lengths: Sequence[int]) -> int:
        """The padded length for rows of these lengths."""
        return self.fixed or -(-max(lengths) // self.multiple) * self.multiple

    def fill(self, values: Sequence[npt.NDArray[Any]], filler: int) -> npt.NDArray[np.int64]:
        """Rows of different length as one (rows, width) array."""
        lengths = [len(v) for v in values]
        width = self.width(lengths)
        filled = np.full((len(values), width), filler, dtype=np.int64)
        for row, value in zip(filled, values, strict=True):
            if self.side == "right":
                row[: len(value)] = value
            else:
                row[width - len(value) :] = value
        return filled
