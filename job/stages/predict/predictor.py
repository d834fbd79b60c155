"""Predict: rows without targets, put to a model; what it says of them, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from job.batching.limits import Limits
from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE, ROW
from job.scoring.inference import outputs_of
from job.tasks.base import Task
from job.tasks.values import Scored

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Predictor:
    """A model with all that it takes to put rows to it."""

    model: Any
    task: Task
    """Fitted, and for rows without targets."""
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    limits: Limits

    def predict(self, rows: MappedTable) -> pa.Table:
        """The columns of the task's `written` that are the model's, one row a given row, in order.

        Rows are run longest first.

        Args:
            rows: cleaned rows by role, FILE and LINE.
        """
        given = rows.table.drop_columns([FILE, LINE]).to_pydict()
        columns = self.task.completed(given)
        features = self.task.features(columns, self.tokenizer, self.max_length)
        table = MappedTable.of(pa.table({**features.columns, ROW: pa.array(features.source)}))
        outputs, _ = outputs_of(self.model, self.task, table, self.limits, self.model.device)
        texts = MappedTable.of(pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()}))
        written = self.task.written(Scored(outputs, table, texts, self.tokenizer))
        return pa.table({k: pa.array(v) for k, v in written.items() if k not in self.task.known})
