"""As what a run is created in the cluster: the chart's manifest, completed by a name and the run's id."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job.cluster import Object
from job.data.artifacts import fingerprint
from job.errors import SettingsError

IMAGE = "finetune/image"
"""The annotation that names the image; a TrainJob itself has none."""
RUN_ID = "finetune/run-id"
"""The annotation that carries a run's id, on the object and in its pods' template."""
SELECTED_BY = ("app.kubernetes.io/instance", "app.kubernetes.io/component")
"""The chart's labels of a release and a role, on objects and on their pods."""
PREFIX_LENGTH = 28
"""Characters of NAMESPACE-RELEASE in a run's id: names made of it grow to at most 63 characters."""


def read(folder: str | None, name: str) -> Object:
    """`train` or `prepare`, as the chart mounted it.

    Raises:
        SettingsError: it does not exist, or is not a manifest.
    """
    path = Path(folder or "") / f"{name}.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if not {"apiVersion", "kind", "metadata", "spec"} <= body.keys():
            raise ValueError("it lacks apiVersion, kind, metadata or spec")
    except (OSError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"{path} is not a manifest ({error})",
            hint="FINETUNE_LAUNCH__MANIFESTS is the folder that the chart mounts",
        ) from None
    return dict(body)


def image(body: Object) -> str:
    """The image of a run of this manifest: the code, as far as its identity goes."""
    return str(body["metadata"].get("annotations", {}).get(IMAGE, ""))


def run_id(body: Object) -> str:
    """The run that an object was created for."""
    return str(body["metadata"].get("annotations", {}).get(RUN_ID, ""))


def prepares(body: Object) -> bool:
    """Whether an object only prepares its run."""
    return selector(body)["app.kubernetes.io/component"] == "prepare"


def selector(body: Object) -> dict[str, str]:
    """The labels that an object shares with its pods, and with those of its release's other runs."""
    labels = body["metadata"].get("labels", {})
    return {name: str(labels.get(name, "")) for name in SELECTED_BY}


def base_id(namespace: str, release: str, identity: str) -> str:
    """NAMESPACE-RELEASE-FINGERPRINT, which a release's runs of the same identity share."""
    # names of Services begin with a letter, and some controllers make one of a run's name
    prefix = f"{'r' if namespace[0].isdigit() else ''}{namespace}-{release}".replace(".", "-")
    whole = fingerprint([namespace, release, identity])  # two long names may be cut to the same
    return f"{prefix[:PREFIX_LENGTH].rstrip('-')}-{whole[:8]}"


def named(body: Object, run_id: str, owner: Object | None) -> Object:
    """The manifest for one run: its id where the chart left room for it, and a name made of the id
    and a hash of the spec, so that a changed toleration makes a new object and keeps the checkpoints.

    Args:
        owner: the CronJob; never the CronJob's Job, with which it would be deleted while it trains,
            and as whose child Kueue would give it no quota of its own.
    """
    completed = copy.deepcopy(body)
    _fill(completed, run_id)
    spec = json.dumps(completed["spec"], sort_keys=True).encode()
    name = f"{run_id}-{hashlib.sha256(spec).hexdigest()[:5]}"
    if prepares(completed):
        name += "-prepare"
    completed["metadata"]["name"] = name
    if owner is not None:
        completed["metadata"]["ownerReferences"] = [_owner(owner)]
    return completed


def _owner(owner: Object) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }


def _fill(value: Any, run_id: str) -> None:
    """Set the run's id in every `annotations` that has room for it."""
    if isinstance(value, list):
        for item in value:
            _fill(item, run_id)
    elif isinstance(value, dict):
        annotations = value.get("annotations")
        if isinstance(annotations, Mapping) and RUN_ID in annotations:
            value["annotations"] = {**annotations, RUN_ID: run_id}
        for item in value.values():
            _fill(item, run_id)
