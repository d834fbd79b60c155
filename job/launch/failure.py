"""Why a run failed: by what it recorded, or else by its pods' last words, or by what its controller says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from job.cluster import Cluster, Object, Resource
from job.errors import PERMANENT, ClusterError
from job.launch import manifest
from job.monitors.failure import failed
from job.runs.record import State


@dataclass(frozen=True)
class Failure:
    """A reason, and the run's own exit code where that is known."""

    message: str
    code: int | None

    @property
    def figures(self) -> Mapping[str, Any]:
        """As the object's annotations show it."""
        return {"status": failed(self.message), "eta_seconds": None}


def failure_of(cluster: Cluster, body: Object, message: str, state: State | None) -> Failure:
    """Why an object's run failed.

    Args:
        message: what its controller says, which in a JobSet counts restarts and does not know of exit codes.
        state: the run's; a run that fails by its settings may not have come to record anything.
    """
    name = f"{Resource.of(body).plural}/{body['metadata']['name']}"
    said = f"{name} failed ({message})"
    last_words = (state.failure if state else {}) or _last_words(cluster, body)
    if last_words:
        code = last_words.get("exit_code")
        return Failure(f"{last_words.get('message')} [{said}]", int(code) if code else None)
    match = re.search(r"exit code (\d+)", message)
    return Failure(said, int(match[1]) if match else None)


def _last_words(cluster: Cluster, body: Object) -> Mapping[str, Any]:
    """What a pod of the run left as its termination message: one that no retry helps, before the others."""
    try:
        pods = cluster.pods(manifest.selector(body))
    except ClusterError:
        return {}
    run_id = manifest.run_id(body)
    left = [words for pod in pods if manifest.run_id(pod) == run_id for words in _left(pod)]
    return max(left, key=lambda words: words.get("exit_code") in PERMANENT, default={})


def _left(pod: Object) -> Iterator[Mapping[str, Any]]:
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        try:
            words = json.loads(ended.get("message") or "")
        except ValueError:
            continue
        if isinstance(words, dict) and words.get("exit_code") and words.get("message"):
            yield words
