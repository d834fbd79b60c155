"""A model that is judged: put to the gate's rows as it was published, with its own settings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from job import models, tasks
from job.data.arrow import MappedTable, Writer
from job.data.artifacts import FILE, LINE, CleanRows
from job.models import Place
from job.models.base import Base, open_base
from job.models.trained import as_published
from job.scoring.inference import Inference
from job.settings import Settings
from job.stages.clean.text import cleaned
from job.stages.encode import Encoder, held_out
from job.tasks.base import Task
from job.tasks.row_rules import Columns
from job.tasks.types import Scored


@dataclass(frozen=True)
class Contender:
    """A model that is judged, and how it reads rows."""

    settings: Settings
    """The run's, with those that decide how rows are read as the model was trained with."""
    base: Base
    task: Task
    """As the model has learned it."""

    @classmethod
    def open(cls, settings: Settings, place: Place, scratch: Path) -> Contender:
        """Read a published model but for its weights.

        Args:
            settings: of the run in which it is judged.

        Raises:
            DataError: its files are damaged.
            SettingsError: it is not a model of the run's task.
        """
        settings = as_published(settings, place)
        base = open_base(place, settings, scratch)
        task = tasks.create(settings).learned(base.config, {}, base.tokenizer)
        return cls(settings, base, task)

    def reads(self, rows: pa.Table) -> np.typing.NDArray[np.bool_]:
        """Which rows its tokenizer can make something of, shape (rows,)."""
        texts = self.as_read(rows)
        reasons = self.task.unreadable(texts, self.base.tokenizer)
        return np.array([reason is None for reason in reasons], np.bool_)

    def reads_as(self, other: Contender) -> bool:
        """Whether both make the same tokens of a text."""
        one, two = self.base, other.base
        same = models.tokenizer_sha256(one.tokenizer) == models.tokenizer_sha256(two.tokenizer)
        return same and one.max_length == two.max_length

    def answers(self, rows: pa.Table, scratch: Path) -> Scored:
        """Its outputs for the rows.

        Args:
            rows: the task's roles, as they were before text cleaning.
        """
        texts = self.as_read(rows)
        truth = rows
        for role, values in texts.items():
            at = rows.column_names.index(role)
            truth = truth.set_column(at, role, pa.array(values, pa.string()))
        encoded = self._encoded(self.task.known(texts), scratch)
        base, limits = self.base, self.base.limits(self.settings)
        inference = Inference.load(self.settings, base.place, self.task, base.tokenizer, limits)
        output = inference.run(encoded)
        return Scored(output.outputs, encoded, MappedTable.of(truth), base.tokenizer)

    def as_read(self, rows: pa.Table) -> dict[str, Any]:
        """The task's roles, their texts cleaned as those were that the model was trained on."""
        clean, task = self.settings.clean, self.task
        roles: dict[str, Any] = {role: rows.column(role).to_pylist() for role in task.columns}
        for role in task.text_roles:
            if role not in task.verbatim_roles:
                roles[role] = cleaned(roles[role], clean)
        return roles

    def _encoded(self, roles: Columns, scratch: Path) -> MappedTable:
        """The rows as tokens."""
        count = len(next(iter(roles.values())))
        shutil.rmtree(scratch, ignore_errors=True)
        path = scratch / "rows.arrow"
        columns = {role: pa.array(values, pa.string()) for role, values in roles.items()}
        origin = {FILE: pa.array(np.zeros(count, np.int32)), LINE: pa.array(np.arange(count))}
        with Writer(path) as writer:
            writer.write(pa.RecordBatch.from_pydict({**columns, **origin}))
        rows = CleanRows({"test": path}, (), {"test": count}, path, {"splits": {"test": {}}})
        encoder = Encoder(self.base.tokenizer, self.base.max_length, self.base.labels)
        return MappedTable(held_out(rows, self.task, encoder, scratch / "encoded").table("test"))
