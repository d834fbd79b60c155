"""A model's folder tried as `finetune check` tries it, in this process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from job import tasks
from job.models.base import find_base
from job.settings import load
from job.stages.train import Sample, StartingPoint, try_out
from job.stages.train.trial import Trial
from tests.support.architectures import Architecture
from tests.support.samples import cleaned


def tried(model: Path, architecture: Architecture, scratch: Path, **more: str) -> Trial:
    """Read the model, fit the task to the architecture's rows, and try both.

    Args:
        more: settings by their variables, without FINETUNE_.
    """
    given = {"TASK": architecture.task, "MODEL__NAME": str(model), **architecture.settings, **more}
    settings = load({f"FINETUNE_{name}": value for name, value in given.items()}).settings
    base = find_base(settings, scratch)
    task = tasks.create(settings)
    rows = {role: list(architecture.rows[role]) for role in task.columns}
    counts = Counter(label for labels in task.labels_of(rows) for label in labels)
    task = task.fitted(rows, {"train": counts}, base.labels, base.tokenizer)
    scratch.mkdir(parents=True, exist_ok=True)
    sample = Sample.encoded(
        cleaned(rows, scratch / "rows.arrow"), task, base, base.limits(settings).padding
    )
    return try_out(StartingPoint(settings, task, base.place, base.tokenizer), sample, scratch)
