"""Objects of a cluster as its API writes them: what they are called, whether they are held, how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from job.errors import SettingsError

Object = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of object, as the API's paths name it."""

    group: str
    version: str
    plural: str

    @classmethod
    def of(cls, body: Object) -> Resource:
        """An object's own; the plurals of the kinds as which runs are created end in a plain s."""
        group, _, version = str(body["apiVersion"]).rpartition("/")
        return cls(group, version, f"{body['kind'].lower()}s")

    @classmethod
    def named(cls, path: str) -> tuple[Resource, str]:
        """`batch/v1/jobs/spam` as a resource and a name.

        Raises:
            SettingsError: it does not have these four parts.
        """
        parts = path.split("/")
        if len(parts) != 4 or not all(parts):
            raise SettingsError(
                f"FINETUNE_PROGRESS__ANNOTATE={path} does not name an object",
                hint="write group/version/plural/name, such as batch/v1/jobs/spam",
            )
        return cls(*parts[:3]), parts[3]


CRONJOBS = Resource("batch", "v1", "cronjobs")


class Completion(NamedTuple):
    """How an object that runs pods has ended."""

    succeeded: bool
    message: str
    """What its controller says about it."""


CONDITIONS = {"Complete": True, "Completed": True, "Failed": False}
"""Conditions of a Job, JobSet or TrainJob that has ended, and whether well."""
VOLCANO_PHASES = {"Completed": True, "Failed": False, "Aborted": False, "Terminated": False}


def is_held(body: Object) -> bool:
    """Whether none of an object's pods may run: it waits in a queue, or was stopped by one."""
    if (body.get("spec") or {}).get("suspend"):
        return True
    state = (body.get("status") or {}).get("state")  # Volcano's
    return isinstance(state, dict) and state.get("phase") == "Pending"


def completion_of(body: Object) -> Completion | None:
    """How a Job, JobSet, TrainJob or Volcano Job has ended; None while it has not."""
    status = body.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in CONDITIONS:
            parts = (condition.get("reason"), condition.get("message"))
            return Completion(CONDITIONS[condition["type"]], ": ".join(filter(None, parts)))
    state = status.get("state") or {}  # Volcano's
    if isinstance(state, dict) and (phase := state.get("phase")) in VOLCANO_PHASES:
        message = f"{phase}: {state.get('message', '')}".rstrip(": ")
        return Completion(VOLCANO_PHASES[phase], message)
    return None
