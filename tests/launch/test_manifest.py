"""The chart's manifests, completed for a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helm import binaries
from job.errors import SettingsError
from job.launch import manifest
from tests.support.chart import launcher, mounted, rendered
from tests.support.kubernetes_api import Body

CRONJOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "demo-finetune", "uid": "u-1"},
}


def chart(tmp_path: Path, **values: object) -> Path:
    """The folder that the chart mounts into launchers."""
    given = {"schedule": "@daily", "config": {"output": "s3://m"}, **values}
    return mounted(launcher(rendered(binaries.find("helm4"), given)), tmp_path)


def ids_in(value: object) -> list[str]:
    if isinstance(value, list):
        return [run_id for item in value for run_id in ids_in(item)]
    if not isinstance(value, dict):
        return []
    own = value.get("annotations", {}).get(manifest.RUN_ID)
    return [*([own] if own is not None else []), *ids_in(list(value.values()))]


@pytest.mark.parametrize("backend", ["job", "jobset", "volcano", "trainjob"])
def test_a_run_s_id_stands_everywhere_that_pods_read_it(tmp_path: Path, backend: str) -> None:
    body = manifest.read(str(chart(tmp_path, backend=backend, nodes=2)), "train")
    made = manifest.named(body, "team-demo-0123abcd-2", CRONJOB)
    run_ids = ids_in(made)
    assert len(run_ids) == (3 if backend == "volcano" else 2)
    assert set(run_ids) == {"team-demo-0123abcd-2"}
    assert made["metadata"]["name"].startswith("team-demo-0123abcd-2-")
    assert set(ids_in(body)) == {""}, "the manifest itself stays as it is"


def test_the_cronjob_owns_it_and_does_not_control_it(tmp_path: Path) -> None:
    body = manifest.read(str(chart(tmp_path)), "train")
    (owner,) = manifest.named(body, "r", CRONJOB)["metadata"]["ownerReferences"]
    assert owner["kind"] == "CronJob"
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("u-1", False, False)


def test_a_changed_spec_is_another_object_of_the_same_run(tmp_path: Path) -> None:
    def made(**values: object) -> Body:
        return manifest.named(manifest.read(str(chart(tmp_path, **values)), "train"), "r", None)

    plain = made()
    assert made() == plain
    other = made(tolerations=[{"operator": "Exists"}])
    assert other["metadata"]["name"] != plain["metadata"]["name"]
    assert ids_in(other) == ids_in(plain)


def test_names_leave_room_for_what_is_made_of_them(tmp_path: Path) -> None:
    base = manifest.base_id("a-namespace-of-thirty-letters", "and.a.release", "0123456789abcdef")
    assert re.fullmatch(r"a-namespace-of-thirty-letter-[0-9a-f]{8}", base)
    other = manifest.base_id("a-namespace-of-thirty-letters", "and.another", "0123456789abcdef")
    assert other != base
    assert manifest.base_id("9lives", "a", "0").startswith("r9lives-a-")
    body = manifest.read(str(chart(tmp_path)), "train")
    name = manifest.named(body, f"{base}-99", None)["metadata"]["name"]
    assert len(f"{name}-node-0-99-abcde") <= 63


@pytest.mark.parametrize("backend", ["job", "jobset", "volcano", "trainjob"])
def test_the_image_is_part_of_what_is_launched(tmp_path: Path, backend: str) -> None:
    body = manifest.read(str(chart(tmp_path, image={"tag": "7"}, backend=backend)), "train")
    assert manifest.image(body) == "finetune-job:7"


@pytest.mark.parametrize("text", [None, "{", "[]", json.dumps({"kind": "Job"})])
def test_what_is_not_a_manifest(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "train.json").write_text(text)
    with pytest.raises(SettingsError, match="is not a manifest"):
        manifest.read(str(tmp_path), "train")
