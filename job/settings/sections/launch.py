"""LAUNCH, PROGRESS and METRICS: how a run deals with the cluster around it; the chart sets them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from job.settings.sections.base import Section

Seconds = Annotated[float, Field(gt=0)]


class Launch(Section):
    """`finetune launch`: whether to train, and as what."""

    incidental = True

    manifests: str | None = None
    """A folder with train.json, the object that a run is created as, complete but for its name and run id; and prepare.json, where a Job of its own prepares."""

    owner: str | None = None
    """The CronJob that owns what is launched."""

    release: str | None = None
    """The Helm release; at most one of its runs is unfinished at a time."""

    prepare: Literal["in_place", "job", "none"] = "in_place"
    """Where rows are prepared before GPUs are asked for: here, in a Job of its own, or not at all."""

    force: bool = False
    """Train even if nothing has changed."""

    max_age: Seconds | None = None
    """Train even if nothing has changed when the last successful run ended this many seconds ago."""

    poll_seconds: Seconds = 10.0
    """Seconds between two looks at the run being followed."""


class Progress(Section):
    """Where a run's progress is shown besides its log."""

    incidental = True

    annotate: str | None = None
    """The object whose annotations and Events show it, as group/version/plural/name, such as batch/v1/jobs/spam."""

    every_seconds: Seconds = 30.0
    """The least number of seconds between two reports."""


class Metrics(Section):
    """Figures for Prometheus."""

    incidental = True

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port at which the first process serves /metrics; by default none."""
