"""`finetune prune`: what nobody needs goes; what is needed, or cannot be understood, stays."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.commands import promote, prune
from job.commands.prune.survey import surveyed
from job.data.artifacts import Frozen
from job.errors import InputMissing, Torn
from job.registry import champion as registry
from job.runs.record import State
from job.store import Store, layout, open_store
from job.store.commit import commit
from tests.support import registry as support
from tests.support.registry import judge, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def pruned(store: Store, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, list[str]]:
    """What is said of each kind of thing; a star marks what stays."""
    capsys.readouterr()
    arguments = ["--output", str(store.uri), "--name", "m", *flags]
    assert prune.run(arguments) == 0
    return told(capsys.readouterr().out)


def told(out: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in map(json.loads, out.splitlines()):
        found.setdefault(row["kind"], []).append(row["name"] + "*" * row.get("stays", False))
    return {kind: sorted(names) for kind, names in found.items()}


def damaged(store: Store, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, list[str]]:
    """The same where something is damaged, which ends with 75."""
    capsys.readouterr()
    with pytest.raises(Torn):
        prune.run(["--output", str(store.uri), "--name", "m", *flags])
    return told(capsys.readouterr().out)


def run_of(store: Store, run_id: str, model: str = "m", **state: Any) -> None:
    value = State(run_id, attempt=1, **{"stage": "train", "dataset": "none", **state})
    key = f"{layout.run(model, run_id)}/{layout.STATE}"
    store.put(key, json.dumps(asdict(value)).encode())


def ended(store: Store, run_id: str) -> None:
    run_of(store, run_id, outcome="done", stage="end")


def named(store: Store, place: str, version: str) -> None:
    """A run or predictions that began with a version."""
    frozen = Frozen((), {"name": f"s3://models/m/models/{version}", "identity": ""})
    store.put(f"{place}/{layout.INPUTS}", frozen.json())


def nights(store: Store, count: int) -> None:
    for n in range(1, count + 1):
        publish(store, "m", f"r{n}-a1", provenance={"dataset": f"d{n}"})
        judge(store, "m", f"r{n}-a1", promoted=True)
        ended(store, f"r{n}")


def versions(store: Store) -> list[str]:
    prefix = f"{layout.versions('m')}/"
    return sorted({o.key.removeprefix(prefix).partition("/")[0] for o in store.list(prefix)})


def test_what_is_in_use_a_way_back_or_new_stays(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    nights(store, 6)
    for version in ("r1-a1", "r5-a1", "r6-a1"):
        support.promote(store, "m", version)  # which makes none of them newer
    for n in (7, 8):
        publish(store, "m", f"r{n}-a1")
        judge(store, "m", f"r{n}-a1", promoted=False)
    publish(store, "m", "old-a1", published=2e9)  # never judged: whatever a clock said, it is older
    going = {"version": ["old-a1", "r1-a1", "r2-a1", "r3-a1", "r4-a1"]}
    before = [o.key for o in store.list()]
    assert pruned(store, capsys, "--dry-run", "--keep", "2") == going
    assert [o.key for o in store.list()] == before
    assert pruned(store, capsys, "--keep", "2") == going
    assert versions(store) == ["r5-a1", "r6-a1", "r7-a1", "r8-a1"]
    assert pruned(store, capsys, "--keep", "2") == {}
    with pytest.raises(InputMissing, match="version r1-a1 was removed by `finetune prune`"):
        promote.run(["r1-a1", "--output", str(store.uri), "--name", "m"])


def test_what_may_go_on_keeps_what_it_has_and_names(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    nights(store, 10)
    run_of(store, "r1", stopped=1.0)  # its own version
    run_of(store, "goes-on")
    named(store, layout.run("m", "goes-on"), "r2-a1")
    run_of(store, "of-the-champion-then")
    frozen = {"files": [], "model": {}, "champion": "r8-a1", "gate": ["r8-a1"]}
    begun = f"{layout.run('m', 'of-the-champion-then')}/{layout.INPUTS}"
    store.put(begun, json.dumps(frozen).encode())
    run_of(store, "of-another-model", model="other")
    named(store, layout.run("other", "of-another-model"), "r3-a1")
    settings = {"model": {"name": "s3://models/m/models/r4-a1"}}
    begun = f"{layout.run('m', 'begun')}/{layout.SETTINGS}"
    store.put(begun, json.dumps(settings).encode())  # it has not written more yet
    named(store, layout.predictions("m", "p"), "r5-a1")
    named(store, layout.predictions("m", "complete"), "r6-a1")
    store.put(f"{layout.predictions('m', 'complete')}/manifest.json", b"{}")
    named(store, layout.run("m", "r9"), "r7-a1")  # has ended
    assert pruned(store, capsys, "--keep", "0") == {"version": ["r6-a1", "r7-a1"]}


def test_without_a_champion_nobody_knows_which_version_is_in_use(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(store, "m", "r1-a1")
    assert pruned(store, capsys, "--keep", "0", "--orphans") == {"versions": ["all*"]}
    judge(store, "m", "r1-a1", promoted=False)
    assert pruned(store, capsys, "--keep", "0", "--orphans") == {"versions": ["all*"]}


def checkpoint(store: Store, run_id: str, path: Path) -> None:
    prefix = layout.checkpoint(layout.checkpoints(layout.run("m", run_id)), 10)
    commit(store, prefix, {"model": path}, attempt=1, meta={})


def dataset(store: Store, name: str, path: Path) -> None:
    commit(
        store,
        layout.dataset("m", name),
        {"train.arrow": path},
        attempt=1,
        meta={"fingerprint": name},
    )


def test_checkpoints_and_data_sets_of_what_has_ended_go(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * 100)
    nights(store, 4)
    for n in range(1, 5):
        checkpoint(store, f"r{n}", path)
        dataset(store, f"d{n}", path)
    publish(store, "m", "r0-a1")  # whose manifest does not say what it was trained on
    judge(store, "m", "r0-a1", promoted=False)
    run_of(store, "r0", outcome="done", dataset="d0")
    dataset(store, "d0", path)
    run_of(store, "goes-on", dataset="d5")
    checkpoint(store, "goes-on", path)
    dataset(store, "d5", path)
    store.delete([f"{layout.version('m', 'r1-a1')}/README.md"])
    found = pruned(store, capsys, "--keep", "1")
    assert found == {
        "version": ["r1-a1*", "r2-a1"],
        "checkpoints": ["r1*", "r2", "r3", "r4"],
        "data set": ["d2"],
    }
    left = {layout.artifact_of("m", o.key) for o in store.list("m/")} - {None}
    assert {a for a in left if a and "/datasets/" in a} == {
        f"m/datasets/d{n}" for n in (0, 1, 3, 4, 5)
    }
    assert len([a for a in left if a and "/checkpoints/" in a]) == 2
    run_of(store, "of-an-earlier-release", dataset="")
    judge(store, "m", "r4-a1", promoted=True)
    dataset(store, "d6", path)
    assert pruned(store, capsys, "--keep", "0")["data sets"] == ["all*"]


@pytest.mark.parametrize(
    ("key", "left"),
    [
        ("m/runs/r2/state.json", {"record": ["run r2*"], "versions": ["all*"], "data sets": ["all*"]}),
        ("other/runs/x/inputs.json", {"record": ["run other/x*"], "versions": ["all*"]}),
        ("m/models/r1-a1/manifest.json", {"version": ["r1-a1*", "r2-a1"], "data sets": ["all*"]}),
        ("m/models/r3-a1/manifest.json", {"versions": ["all*"], "data sets": ["all*"]}),
        ("m/datasets/d1/manifest.json", {"version": ["r1-a1", "r2-a1"], "data set": ["d1*"]}),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_stays_and_whatever_it_may_need(
    store: Store,
    capsys: pytest.CaptureFixture[str],
    key: str,
    left: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    (path := tmp_path / "file").write_bytes(b"x")
    nights(store, 4)
    dataset(store, "d1", path)
    store.put(key, b'{"half":')
    assert damaged(store, capsys, "--keep", "0", "--orphans") == left
    store.put(layout.champion("m"), b"{")
    before = [o.key for o in store.list()]
    assert damaged(store, capsys, "--keep", "0", "--orphans") == {}
    assert [o.key for o in store.list()] == before


def test_what_is_to_stay_is_verified_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    nights(store, 4)
    store.put(f"{layout.version('m', 'r3-a1')}/README.md", b"of the previous one")
    assert damaged(store, capsys, "--keep", "0")["versions"] == ["all*"]
    assert len(versions(store)) == 4


def test_leftovers_go_where_they_are_asked_for(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (path := tmp_path / "file").write_bytes(b"x")
    nights(store, 3)
    dataset(store, "d1", path)
    dataset(store, "d2", path)
    run_of(store, "goes-on", dataset="d9")
    for part in ("r0-a1", "r1-a1", "goes-on-a1"):
        commit(store, layout.gate("m", part), {"rows.arrow": path}, attempt=None, meta={})
    for key in (
        "models/r3-a2/config.json",  # never finished
        "models/goes-on-a1/config.json",
        "models/r3-a1/extra",
        "datasets/d2/a000000123/train.arrow",
        "datasets/d8/a000000123/train.arrow",
        "datasets/d9/a000000123/train.arrow",
        "evaluations/e/a1/x",
    ):
        store.put(f"m/{key}", b"left")
    store.delete([f"{layout.version('m', 'r1-a1')}/README.md"])
    assert pruned(store, capsys) == {"version": ["r1-a1*"]}
    assert pruned(store, capsys, "--orphans") == {
        "version": ["r1-a1"],
        "data set": ["d1"],
        "gate part": ["r0-a1"],
        "leftover": ["datasets/d2", "datasets/d8", "models/r3-a1", "models/r3-a2"],
    }
    left = [o.key for o in store.list("m/")]
    assert [key for key in left if "a000000123" in key] == ["m/datasets/d9/a000000123/train.arrow"]
    for key in ("models/goes-on-a1/config.json", "evaluations/e/a1/x", "gate/r1-a1/rows.arrow"):
        assert f"m/{key}" in left
    gate = [o.key for o in store.list("m/gate/")]
    store.delete([layout.champion("m")])  # it may be put back
    with pytest.raises(Torn, match="is gone"):
        pruned(store, capsys, "--orphans")
    assert [o.key for o in store.list("m/gate/")] == gate


# -- what happens meanwhile ------------------------------------------------------------------------


class Meanwhile:
    """A store in which something happens before the first write of the champion's record."""

    def __init__(self, store: Store, happens: Any) -> None:
        self._store, self._happens = store, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes, **condition: Any) -> str:
        happens, self._happens = self._happens, lambda: None
        happens()
        return self._store.put(key, data, **condition)


def test_a_version_that_is_promoted_meanwhile_stays(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(store, 4)
    meanwhile = Meanwhile(store, lambda: support.promote(store, "m", "r1-a1"))
    monkeypatch.setattr(prune, "open_store", lambda *_, **__: meanwhile)
    assert pruned(store, capsys, "--keep", "0") == {"version": ["r2-a1"]}
    assert "r1-a1" in versions(store)


def test_a_run_that_begins_meanwhile_keeps_what_it_names(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(store, 4)

    def begins_after(*given: Any) -> Any:
        survey = surveyed(*given)
        named(store, layout.run("m", "new"), "r1-a1")
        return survey

    monkeypatch.setattr(prune, "surveyed", begins_after)
    assert pruned(store, capsys, "--keep", "0") == {"version": ["r2-a1"]}


def test_a_removal_that_was_interrupted_is_finished(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(store, 4)
    for deletions in range(3):
        left = deletions

        def delete(keys: list[str]) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            type(store).delete(store, keys)

        monkeypatch.setattr(store, "delete", delete)
        monkeypatch.setattr(prune, "open_store", lambda *_, **__: store)
        with pytest.raises(KeyboardInterrupt):
            pruned(store, capsys, "--keep", "0")
        champion, _ = registry.read(store, "m")
        assert champion.removed == ["r1-a1", "r2-a1"]
    monkeypatch.undo()
    pruned(store, capsys, "--keep", "0")
    assert versions(store) == ["r3-a1", "r4-a1"]
