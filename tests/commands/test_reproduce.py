"""`finetune reproduce`: a version is made again from what its manifest names, and from nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from job import pipeline
from job.commands import TRAINING, reproduce
from job.commands.reproduce.original import Original
from job.commands.reproduce.rerun import unmasked
from job.data.artifacts import LEARNED
from job.demo import tickets
from job.errors import InputMissing, JobError, NotReproduced, SettingsError
from job.runtime.stop import StopSignal
from job.settings import Settings, load, recorded
from job.store import Store, layout, open_store
from job.store.commit import Manifest, commit, withdraw
from tests.support.samples import tiny_bert, write_csv

SEED = 7


def trained(
    command: str, arguments: list[str], runtime: Any, **_: Any
) -> tuple[int, dict[str, Any]]:
    """The supervised run, in this process, which has imported torch long ago."""
    assert command == "run"
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # as it does when it is imported
    try:
        settings = load(os.environ, arguments, rules=TRAINING).settings
        return 0, dict(pipeline.run(settings, StopSignal(30)).facts)
    except JobError as error:
        return error.exit_code, {"message": str(error)}


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    threads = torch.get_num_threads()
    with (
        patch("job.supervisor.take_signals"),
        patch("job.supervisor.supervise", trained),
        # a published version's outputs are compared with what was scored in tests/stages/publish
        patch("job.stages.publish.compare_outputs", return_value=(0, 0.0)),
    ):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows, a model, and a store in which there is a version, and no longer anything else."""
    folder = tmp_path_factory.mktemp("reproduce")
    rows = tickets(200)
    write_csv(folder / "rows" / "monday.csv", rows)
    tiny_bert(folder / "bert", [text for text, _ in rows])
    published(folder, "r")
    only_versions(folder, "m")
    write_csv(folder / "rows" / "tuesday.csv", rows[:50])  # it came later
    return folder


def env(folder: Path) -> dict[str, str]:
    return {"FINETUNE_NAME": "m", "FINETUNE_OUTPUT": str(folder / "store")}


def published(folder: Path, run_id: str, **more: str) -> Settings:
    """A version of the run, published from rows that match `rows/*.csv`; its settings."""
    given = {
        "DATA__TRAIN": f"{folder}/rows/*.csv",
        "MODEL__NAME": str(folder / "bert"),
        "TRAIN__EPOCHS": "2",
        "TRAIN__LEARNING_RATE": "5e-3",
        "RUN_ID": run_id,
        **more,
    }
    environment = {**env(folder), **{f"FINETUNE_{name}": value for name, value in given.items()}}
    settings = load(environment, rules=TRAINING).settings
    pipeline.run(settings, StopSignal(30))
    return settings


def only_versions(folder: Path, model: str) -> None:
    """Leave a model's versions, the gate and the champion alone, as long pruning would."""
    for left in ("datasets", "runs"):
        shutil.rmtree(folder / "store" / model / left)


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(str(folder / "store"))


def reproduced(folder: Path, *arguments: str) -> int:
    with patch.dict(os.environ, env(folder)):
        return reproduce.run([*arguments])


def planted(
    store: Store, folder: Path, settings: Mapping[str, Any], computed: Mapping[str, Any]
) -> str:
    """The version once more as another one, with other settings, and computed with something else."""
    original = Original.find(store, "m", "r-a1")
    names = original.manifest.files
    original.fetched(folder, names)
    (folder / layout.SETTINGS).write_text(
        json.dumps({**original.document(layout.SETTINGS), **settings})
    )
    meta = json.loads(json.dumps(original.manifest.meta))
    meta["made_with"][-1] |= computed
    commit(
        store, layout.version("m", "r-a2"), {n: folder / n for n in names}, attempt=None, meta=meta
    )
    return "r-a2"


def test_the_same_bits_from_what_the_manifest_names_and_nothing_is_left_behind(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {item.key: item.identity for item in store.list()}
    assert reproduced(folder, "r-a1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["circumstances"], told["tensors"]) == (True, {}, {})
    ((published, again),) = told["files"].values()
    assert (
        published
        == again
        == Original.find(store, "m", "r-a1").manifest.files["model.safetensors"].sha256
    )
    assert {item.key: item.identity for item in store.list()} == before


def test_what_differs_is_said(
    folder: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = planted(store, tmp_path, {"seed": SEED}, {"torch": "1.0", "threads": 3})
    with pytest.raises(NotReproduced) as caught:
        reproduced(folder, version)
    withdraw(store, layout.version("m", version))
    said = caught.value.message
    assert "tensor(s) are not the same, by at most 0." in said
    assert "torch 1.0 then and 2." in said
    assert "threads" not in said, "as many as were recorded were taken"
    assert caught.value.exit_code == 65
    printed = capsys.readouterr().out
    assert "classifier.weight  differs by 0." in printed
    assert " here" in next(
        line for line in printed.splitlines() if line.startswith("model.safetensors")
    )
    assert "eval_accuracy  0." in printed


def test_a_source_that_has_changed_is_named_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monday = folder / "rows" / "monday.csv"
    original = monday.read_bytes()
    try:
        monday.write_bytes(original.replace(b"billing", b"BILLING"))
        with patch("job.pipeline.train") as train:
            assert reproduced(folder, "r-a1") == 66
        monday.unlink()
        with patch("job.pipeline.train") as train:
            assert reproduced(folder, "r-a1") == 66
        train.assert_not_called()
    finally:
        monday.write_bytes(original)
    said = capsys.readouterr().err
    assert f"{monday}: it has changed" in said
    assert f"{monday}: it no longer exists" in said


def test_a_version_that_cannot_be_made_again_is_refused(folder: Path, store: Store) -> None:
    with pytest.raises(InputMissing, match="holds no finished version r-a7; did you mean r-a1"):
        reproduced(folder, "r-a7")
    with pytest.raises(SettingsError, match="reproduce needs the version"):
        reproduced(folder, "--json")
    known = Original.find(store, "m", "r-a1").manifest
    silent = Manifest(known.files, {"run_id": "r", "task": "text-classification"}, "")
    with (
        patch("job.commands.reproduce.original.load", return_value=silent),
        pytest.raises(InputMissing, match="an earlier release published it"),
    ):
        reproduced(folder, "r-a1")


def test_settings_of_another_release_are_named(folder: Path, store: Store, tmp_path: Path) -> None:
    version = planted(store, tmp_path, {"clean": {"spell_check": True}}, {"finetune-job": "9.9"})
    with pytest.raises(
        SettingsError, match=r"of r-a2 are not settings of this release.*spell_check"
    ) as caught:
        reproduced(folder, version)
    withdraw(store, layout.version("m", version))
    assert "finetune-job 9.9" in str(caught.value)


def test_the_same_rows_are_held_back_again(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    published(folder, "n1", NAME="gated")
    published(folder, "n2", NAME="gated", DATA__TEST_FRACTION="0")
    only_versions(folder, "gated")
    assert Original.find(store, "gated", "n2-a1").provenance.inputs.gate == ("n1-a1",)
    before = {item.key: item.identity for item in store.list()}
    assert reproduced(folder, "n2-a1", "--name", "gated", "--json") == 0
    assert json.loads(capsys.readouterr().out)["same"]
    assert {item.key: item.identity for item in store.list()} == before
    withdraw(store, layout.gate("gated", "n1-a1"))
    with pytest.raises(InputMissing, match="its rows were held back from n2-a1"):
        reproduced(folder, "n2-a1", "--name", "gated")


def test_it_goes_on_from_the_same_champion_and_the_same_rows(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    monday = {"DATA__TRAIN": f"{folder}/rows/monday.csv", "NAME": "warm"}
    published(folder, "n1", **monday, DATA__VALIDATION_FRACTION="0.3")
    published(folder, "n2", **monday, TRAIN__FROM="champion", TRAIN__REPLAY="0.5")
    only_versions(folder, "warm")
    assert LEARNED in Original.find(store, "warm", "n2-a1").manifest.files
    assert reproduced(folder, "n2-a1", "--name", "warm", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["circumstances"]) == (True, {})
    withdraw(store, layout.version("warm", "n1-a1"))
    with pytest.raises(InputMissing, match="the champion that training went on from for n2-a1"):
        reproduced(folder, "n2-a1", "--name", "warm")


def test_the_champion_is_a_name_of_it(store: Store) -> None:
    assert Original.find(store, "m", "champion").version.name == "r-a1"
    with pytest.raises(InputMissing, match="has no champion yet"):
        Original.find(store, "other", "champion")


PASSWORD = "hunter2-hunter2"


@pytest.mark.parametrize(
    "given",
    [
        {
            "DATA__TRAIN": '[{"uri": "a.csv", "weight": 2}, "b.csv"]',
            "CLEAN__DERIVE": '{"text": "{{a}}"}',
        },
        {
            "DATA__COLUMNS__TEXT": "t",
            "TRAIN__FROM": "champion",
            "TRAIN__CLASS_WEIGHTS": '{"1": 2.5}',
            "MODEL__LORA": "{}",
        },
        {
            "MODEL__CONFIG": '{"model_type": "gpt2"}',
            "MODEL__TOKENIZER": "t",
            "TASK": "text-generation",
        },
        {"DATA__TRAIN": f"https://me:{PASSWORD}@host.example/a.csv?sig={PASSWORD}", "SEED": "7"},
        {
            "DATA__TEST": f"https://h.example/a.csv?token={PASSWORD}",
            "EVALUATE__GENERATION__NUM_BEAMS": "4",
        },
    ],
)
def test_recorded_settings_are_settings_again(given: dict[str, str], tmp_path: Path) -> None:
    settings = load({f"FINETUNE_{name}": value for name, value in given.items()}).settings
    record = json.loads(json.dumps(recorded(settings)))
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(unmasked(record, settings)))
    again = load({"FINETUNE_CONFIG": str(file)}).settings
    assert recorded(again) == recorded(settings)
    assert again.data == settings.data, "secrets too"


def test_a_secret_that_no_record_keeps_is_asked_for() -> None:
    secret = load({"FINETUNE_DATA__TRAIN": f"https://me:{PASSWORD}@host.example/a.csv"}).settings
    with pytest.raises(
        SettingsError, match="FINETUNE_DATA__TRAIN was given with a secret"
    ) as caught:
        unmasked(recorded(secret), load({}).settings)
    assert caught.value.exit_code == 78
    assert PASSWORD not in str(caught.value)
