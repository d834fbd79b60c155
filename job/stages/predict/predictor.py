"""Rows without targets, put to a model: its predictions, in the rows' order."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE, ROW
from job.scoring.inference import Inference
from job.tasks.types import Scored


@dataclass(frozen=True)
class Predictor:
    """Predicts for cleaned rows, which it encodes itself."""

    inference: Inference
    """Its task is one for rows without targets."""
    max_length: int
    """Tokens that a row may have."""

    def predict(self, rows: MappedTable) -> pa.Table:
        """The columns of the task's `written` that come from the model, one row for each of these.

        Args:
            rows: cleaned rows by role, with FILE and LINE.
        """
        task, tokenizer = self.inference.task, self.inference.tokenizer
        columns = task.completed(rows.table.drop_columns([FILE, LINE]).to_pydict())
        features = task.features(columns, tokenizer, self.max_length)
        table = MappedTable.of(pa.table({**features.columns, ROW: pa.array(features.source)}))
        outputs = self.inference.run(table).outputs
        texts = MappedTable.of(pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()}))
        written = task.written(Scored(outputs, table, texts, tokenizer))
        return pa.table({k: pa.array(v) for k, v in written.items() if k in task.predicted})
