"""What a run no longer needs may be gone: a source, the model that it began with, a version of two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job import pipeline
from job.errors import Garbled, InputMissing
from job.registry.versions import Version
from job.runs.record import PUSH, Run
from job.runs.results import existing
from job.runtime.stop import StopSignal
from job.settings import Settings, load
from job.store import Store, layout, open_store
from job.store.commit import commit, lay_out, verify
from job.store.commit import load as manifest_of
from job.store.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a run whose rows and model are gone."""
    given = {"OUTPUT": tmp_path / "out", "DATA__TRAIN": tmp_path / "gone.csv", "RUN_ID": "r"}
    given |= {"MODEL__NAME": tmp_path / "gone", "RUNTIME__SCRATCH": tmp_path / "scratch"}
    return load({f"FINETUNE_{name}": str(value) for name, value in given.items()}, []).settings


def published(store: Store, folder: Path, attempt: int) -> Version:
    version = Version.of("model", "r", attempt)
    files = {name: folder / name for name in (layout.SCORES, "config.json")}
    files[layout.SCORES].write_text(json.dumps({"eval_accuracy": attempt / 10}))
    files["config.json"].write_text("{}")
    commit(store, version.key, files, attempt=None, meta={})
    return version


def test_a_run_that_has_published_ends_well_though_all_that_it_read_is_gone(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    """Killed between the version's manifest and the run's outcome."""
    Run.open(store, "model", "r", settings).begin_attempt(3)
    whole, torn = (published(store, tmp_path, attempt) for attempt in (1, 2))
    store.put(f"{torn.key}/{layout.SCORES}", b"{}")
    for command in (pipeline.run, pipeline.prepare_only):
        result = command(settings, StopSignal(30))
        assert result.facts["model"] == str(store.uri / whole.key)
    state = Run.open(store, "model", "r", settings).state
    assert (state.outcome, state.stalled, state.result["model"]) == (
        "done",
        0,
        str(store.uri / whole.key),
    )


def test_a_run_that_still_needs_what_is_gone_names_it(settings: Settings) -> None:
    with pytest.raises(InputMissing, match="gone"):
        pipeline.run(settings, StopSignal(30))
    unnamed = settings.model_copy(update={"run_id": ""})
    with pytest.raises(InputMissing, match="if FINETUNE_RUN_ID names that run"):
        pipeline.run(unnamed, StopSignal(30))


def test_a_push_that_can_no_longer_be_made_says_how_to_go_on(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    """66 ends a Job; 75 would be tried until nobody looks any more."""
    run = Run.open(store, "model", "r", settings)
    run.finish("done", {"model": "x"}, outstanding=[PUSH])
    publish = settings.publish.model_copy(update={"hub_repo": "org/m"})
    pushing = settings.model_copy(update={"publish": publish})
    version = published(store, tmp_path, 1)
    store.delete([f"{version.key}/{layout.SCORES}"])
    with pytest.raises(InputMissing, match="no whole version is left to push to org/m; unset"):
        pipeline.run(pushing, StopSignal(30))
    assert pipeline.run(settings, StopSignal(30)).facts == {"model": "x"}


class Garbling(FolderStore):
    """Gives other bytes than it has."""

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"<html>")


def test_a_version_that_arrives_damaged_is_not_published_again(
    store: Store, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = published(store, tmp_path, 1)
    monkeypatch.setattr("job.runs.attempt.open_store", lambda *_, **__: Garbling(tmp_path / "out"))
    with pytest.raises(Garbled, match="though the store holds it unchanged"):
        pipeline.run(settings, StopSignal(30))
    assert verify(store, version.key, deep=True)


def test_an_earlier_result_that_is_damaged_is_made_again(store: Store, tmp_path: Path) -> None:
    assert existing(store, "e") is None
    (tmp_path / "scores").write_bytes(b"1")
    written = commit(store, "e", {"scores": tmp_path / "scores"}, attempt=5, meta={})
    assert existing(store, "e") == written
    store.delete(["e/a0005/scores"])
    assert existing(store, "e") is None
    store.put("e/manifest.json", b"<html>")
    assert existing(store, "e") is None
    assert commit(store, "e", {"scores": tmp_path / "scores"}, attempt=6, meta={}, exists_ok=True)
    assert existing(store, "e") is not None


def test_two_that_make_the_same_lay_out_what_is_committed(store: Store, tmp_path: Path) -> None:
    """Both write the same names, and only one of them has the manifest."""
    for number in (1, 2):
        (tmp_path / f"{number}.json").write_text(f"tokenizer {number}")
        files = {"tokenizer.json": tmp_path / f"{number}.json"}
        manifest = commit(store, "t", files, attempt=number, meta={}, exists_ok=True)
        lay_out(store, "t", manifest)
    assert manifest == manifest_of(store, "t")
    assert store.get("t/tokenizer.json") == b"tokenizer 1"
    store.delete(["t/tokenizer.json"])
    lay_out(store, "t", manifest_of(store, "t"))
    assert store.get("t/tokenizer.json") == b"tokenizer 1"
