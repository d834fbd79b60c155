"""Why a pod failed for good, at the object that shows the run's progress: a run that its settings end does
not live to say so, and controllers speak of restarts and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from job.cluster import Cluster, Resource
from job.errors import PERMANENT, JobError
from job.monitors.annotations import STATUS, annotations_of

OBJECT = "FINETUNE_PROGRESS__ANNOTATE"
"""Read as a variable, as which the chart sets it: the settings may be what is wrong."""
SHOWN_CHARS = 500
"""Of a reason in an annotation."""


def failed(message: object) -> str:
    """The status of a run that has failed."""
    return f"failed: {message}"[:SHOWN_CHARS]


def show_failure(outcome: Mapping[str, Any]) -> None:
    """Show it, unless the run itself has; that it cannot be shown changes nothing."""
    path, message = os.environ.get(OBJECT), str(outcome.get("message", ""))
    if not path or outcome.get("exit_code") not in PERMANENT:
        return
    try:
        resource, name = Resource.named(path)
        cluster = Cluster(attempts=2)
        body = cluster.get(resource, name)
        if body and body["metadata"].get("annotations", {}).get(STATUS) != failed(message):
            shown = annotations_of({"status": failed(message), "eta_seconds": None})
            cluster.annotate(resource, name, shown)
            cluster.add_event(body, "RunFailed", message)  # of many pods' the same one
    except JobError as error:
        print(f"finetune: {path} does not show why it failed ({error.message})", file=sys.stderr)
