"""RUNTIME: where and how the processes run, and how they find each other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from job.settings.sections.base import Section

Seconds = Annotated[float, Field(gt=0)]


class Runtime(Section):
    """Where and how the processes run."""

    incidental = True

    scratch: str | None = None
    """A writable folder for temporary files; by default one in the system's temporary folder."""

    grace_seconds: Seconds = 30.0
    """Seconds between SIGTERM and SIGKILL (terminationGracePeriodSeconds)."""

    max_stalled_attempts: Annotated[int, Field(ge=0)] = 3
    """Attempts in a row without progress before the run ends with 82; 0 sets no bound."""

    termination_log: str = "/dev/termination-log"
    """Where the outcome is left as JSON, if that file can be written (terminationMessagePath)."""

    device: Literal["auto", "cpu"] = "auto"
    """`auto` takes a GPU if there is one."""

    env: Literal["auto", "pods", "processes", "none"] = "auto"
    """What RANK and WORLD_SIZE count where a launcher sets them: pods (Volcano), processes (torchrun), or nothing for this job. `auto` knows torchrun by its own variables."""

    nodes: Annotated[int, Field(ge=1)] | None = None
    """Pods that train together (the Job's completions); by default what a launcher's variables say, or 1."""

    node: Annotated[int, Field(ge=0)] | None = None
    """The number of this pod, from 0; by default JOB_COMPLETION_INDEX or a launcher's variable."""

    processes: Annotated[int, Field(ge=1)] | None = None
    """Training processes in a pod; by default one per GPU, or one."""

    address: str | None = None
    """Where the others reach pod 0, a DNS name or an IP; by default MASTER_ADDR or PET_MASTER_ADDR."""

    port: Annotated[int, Field(ge=1, le=65534)] = 29400
    """The port of pod 0 that the others report to; the next one is used as well."""

    peer_token: Annotated[SecretStr, Field(min_length=16)] = SecretStr("")
    """A random text that all pods of a run have and nobody else, at least 16 characters, by which they know each other; needed where they are on several machines."""

    peer_wait: Seconds = 900.0
    """Seconds to wait for a missing pod before this one leaves with 75."""

    step_timeout: Seconds = 600.0
    """Seconds that a step, or an evaluation during training, may go without progress before the process logs its stacks and ends with 75."""
