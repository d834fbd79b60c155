"""The chart's objects, and what a launcher's pod finds of them in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from helm import cli

Body = dict[str, Any]


def rendered(
    binary: str, values: cli.Values, release: str = "demo", namespace: str = "team"
) -> list[Body]:
    """The objects that the chart makes of some values, those in lists as well.

    Raises:
        ValueError: helm refuses the values.
    """
    text = cli.template(binary, release, namespace, values)
    bodies = (body for body in yaml.safe_load_all(text) if body)
    return [item for body in bodies for item in body.get("items", [body])]


def scheduled(bodies: list[Body]) -> Body:
    """The CronJob that is due at times, beside the one that never is."""
    cronjobs = (body for body in bodies if body["kind"] == "CronJob")
    (cronjob,) = (body for body in cronjobs if not body["spec"].get("suspend"))
    return cronjob


def launcher(bodies: list[Body]) -> Body:
    """The template of the pods that it starts."""
    return dict(scheduled(bodies)["spec"]["jobTemplate"]["spec"]["template"])


def mounted(template: Mapping[str, Any], folder: Path) -> Path:
    """Write what a launcher's pod finds in its folder of manifests, as the downward API does."""
    annotations = template["metadata"]["annotations"]
    (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "launch")
    folder.mkdir(exist_ok=True)
    for item in volume["downwardAPI"]["items"]:
        name = item["fieldRef"]["fieldPath"].partition("['")[2].removesuffix("']")
        (folder / item["path"]).write_text(annotations[name])
    return folder
