"""What tonight's gate can show, said before anything is trained."""

from __future__ import annotations

import math
from pathlib import Path

from job.gate.rows import judging
from job.gate.verdict import MARGIN, spending_of
from job.registry import champion
from job.scoring.mcnemar import unseen
from job.settings import Settings
from job.settings.metrics import IN_PERCENT, RIGHT_OR_WRONG, plain
from job.store import Store
from job.tasks.base import Task
from job.telemetry import event, warn


def outlook(settings: Settings, task: Task, store: Store, scratch: Path) -> tuple[str, str | None]:
    """What decides about tonight's challenger, in words, and why an equally good one could not be promoted, if
    that is so.

    Args:
        task: fitted or not.

    Raises:
        InputMissing: a part of the gate is gone.
        Torn: champion.json is damaged.
    """
    policy = settings.publish
    record, _ = champion.read(store, settings.name)
    if record.best is None:
        return "there is no champion yet: the first version becomes it", None
    if policy.gate == "always":
        return f"always: the next version replaces {record.version}", None
    gate = judging(store, settings.name, record, settings, scratch)
    alpha = spending_of(record, policy).alpha
    rows = gate.rows if gate else 0
    said = f"{policy.gate}: {rows} rows judge, against {record.best}, at alpha {alpha:.2g}"
    if not rows:
        reasons = "".join(f"; {n} {why}" for why, n in gate.left_out.items()) if gate else ""
        return said, (
            f"nothing can be promoted tonight, since none of the gate's rows can judge{reasons}; promote a "
            "version by hand"
        )
    least, margin = unseen(rows, alpha), _share(settings)
    metric = plain(settings.evaluate.metric or task.default_metric)
    counts = metric in RIGHT_OR_WRONG.get(task.name, ())
    if counts and policy.gate == "not-worse" and least >= margin:
        return said, (
            "only a version that is clearly better can be promoted tonight: so few rows show no less than "
            f"{least:.2%} of the scale, and the margin is {margin:.2%}; give more test rows, raise "
            "FINETUNE_PUBLISH__MARGIN, or promote by hand"
        )
    return said, None


def say_outlook(settings: Settings, task: Task, store: Store, scratch: Path) -> None:
    """Log it."""
    said, hopeless = outlook(settings, task, store, scratch)
    if hopeless:
        warn(hopeless, gate=said)
    else:
        event("gate", policy=said)


def _share(settings: Settings) -> float:
    """The margin as a share of the metric's scale."""
    margin = settings.publish.margin
    if margin is None:
        return MARGIN
    return margin / 100 if settings.task in IN_PERCENT else margin if margin < 1 else math.inf
