"""Stores and disks that refuse, fill up or go away, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from job.errors import Absent, InputMissing
from job.models import find
from job.store import Store, open_store
from tests.support.refusals import ROWS, given, nothing_made, refused, the_error
from tests.support.relay import relay
from tests.support.samples import ROOT, finetune, tiny_bert, write_csv
from tests.support.servers import Server

WHO = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model"), [text for text, _ in ROWS])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "rows.csv", ROWS)


# -- S3 ------------------------------------------------------------------------------------------


def test_a_bucket_that_does_not_exist(s3_env: Server, data: Path, tmp_path: Path) -> None:
    there = "s3://no-such-bucket: the bucket does not exist"
    output = given(tmp_path, "no-model", data, OUTPUT="s3://no-such-bucket/out")
    refused(66, there, "create it, or correct its name", env=output, folder=tmp_path)
    rows = given(tmp_path, "no-model", "s3://no-such-bucket/rows.csv")
    refused(66, there, "check the name", command="check", env=rows, folder=tmp_path)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("rows.csv", ("rows.csv: no such key", "check the name", "uploaded")),
        ("2024-*.csv", ("2024-*.csv: nothing matches this name", "check the name")),
    ],
)
def test_rows_that_do_not_exist(bucket: str, tmp_path: Path, key: str, words: tuple[str]) -> None:
    env = given(tmp_path, "no-model", f"{bucket}/in/{key}", OUTPUT=f"{bucket}/out", RUN_ID="")
    refused(66, f"{bucket}/in/", *words, env=env, folder=tmp_path)
    assert list(open_store(bucket).list()) == []  # without its data a run has no name


def test_wrong_credentials(bucket: str, data: Path, tmp_path: Path) -> None:
    env = given(
        tmp_path, "no-model", data, OUTPUT=f"{bucket}/out", AWS_SECRET_ACCESS_KEY="no-such-secret"
    )
    refused(
        77, f"{bucket}/out", "SignatureDoesNotMatch", WHO, command="check", env=env, folder=tmp_path
    )


def test_credentials_that_may_only_read(
    bucket: str, s3_env: Server, data: Path, tmp_path: Path
) -> None:
    env = given(tmp_path, "no-model", data, OUTPUT=f"{bucket}/out", **s3_env.reader_env)
    refused(77, f"{bucket}/out", "AccessDenied", "PutObject", WHO, env=env, folder=tmp_path)
    assert list(open_store(bucket).list()) == []


def test_an_endpoint_that_nobody_listens_on(bucket: str, data: Path, tmp_path: Path) -> None:
    deaf = "http://127.0.0.1:9"
    env = given(tmp_path, "no-model", data, OUTPUT=f"{bucket}/out", AWS_ENDPOINT_URL=deaf)
    words = (f"{bucket}/out", "Could not connect", deaf, "check AWS_ENDPOINT_URL")
    refused(69, *words, env=env, folder=tmp_path)
    refused(69, *words, command="status", env=env, folder=tmp_path)
    assert list(open_store(bucket).list()) == []


def test_a_prefix_without_a_model(bucket: str, data: Path, tmp_path: Path) -> None:
    open_store(bucket).upload(data, "bert/rows.csv")
    env = given(tmp_path, f"{bucket}/bert", data, OUTPUT=f"{bucket}/out")
    refused(
        66, f"{bucket}/bert holds neither config.json", "FINETUNE_MODEL__NAME",
        env=env, folder=tmp_path,
    )  # fmt: skip
    store = open_store(f"{bucket}/out")
    nothing_made(store)
    assert _step(store) == 0


def test_a_model_with_folders_below_it_comes_whole(
    bucket: str, model: Path, tmp_path: Path
) -> None:
    """Its own files lie in the prefix; `1_Pooling` sorts before them and has a config.json too."""
    store = open_store(f"{bucket}/sentence-bert")
    for path in model.iterdir():
        store.upload(path, path.name)
    store.put("1_Pooling/config.json", b'{"word_embedding_dimension": 32}')
    place = find(f"{bucket}/sentence-bert", None, tmp_path)
    names = {p.name for p in model.iterdir() if p.suffix in (".json", ".safetensors")}
    assert {p.relative_to(place.folder).as_posix() for p in place.folder.rglob("*")} == names
    assert json.loads((place.folder / "config.json").read_text())["model_type"] == "bert"
    with pytest.raises(InputMissing, match=r"neither config.json nor tokenizer.json"):
        find(bucket, None, tmp_path)


@pytest.mark.slow
def test_a_store_that_goes_away_half_way(
    bucket: str, s3_env: Server, model: Path, data: Path, tmp_path: Path
) -> None:
    env = given(
        tmp_path, model, data, OUTPUT=f"{bucket}/out", TRAIN__MAX_STEPS=30, CHECKPOINT__EVERY_STEPS=3,
        EVALUATE__EVERY_STEPS=30, DATA__TEST_FRACTION=0, DATA__VALIDATION_FRACTION=0,
    )  # fmt: skip
    store = open_store(f"{bucket}/out")
    with relay("127.0.0.1", s3_env.ports[3]) as between:
        process = subprocess.Popen(
            [sys.executable, "-m", "job", "run"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env, "AWS_ENDPOINT_URL": between.url},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deadline = time.monotonic() + 60
            while _step(store) == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            between.down = True
            stderr = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 75, stderr
    ended = subprocess.CompletedProcess([], process.returncode, "", stderr)
    assert "check AWS_ENDPOINT_URL and the network" in the_error(ended)
    step = _step(store)
    assert 0 < step < 30
    assert json.loads(store.get("m/runs/r1/state.json"))["outcome"] is None
    assert list(store.list("m/models/")) == []

    again = finetune("run", env=env, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    resumed = [json.loads(line) for line in again.stderr.splitlines() if '"resumed"' in line]
    assert [line["step"] for line in resumed] in ([step], [step + 3])  # its state may be lost alone
    assert json.loads(store.get("m/runs/r1/state.json"))["outcome"] == "done"


@pytest.mark.slow
def test_a_stop_does_not_wait_for_a_large_download(
    bucket: str, s3_env: Server, model: Path, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "rows.csv", [(f"{text} {'x' * 60_000}", label) for text, label in ROWS * 5])  # fmt: skip
    open_store(bucket).upload(data, "rows.csv")
    env = given(tmp_path, model, f"{bucket}/rows.csv")
    with relay("127.0.0.1", s3_env.ports[3]) as between:
        between.slow = 20  # less than the SDK waits for the next byte
        process = subprocess.Popen(
            [sys.executable, "-m", "job", "run"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env, "AWS_ENDPOINT_URL": between.url},
            cwd=tmp_path,
        )
        try:
            deadline = time.monotonic() + 60
            while ("GET", 206) not in between.seen and time.monotonic() < deadline:
                time.sleep(0.05)
            process.terminate()
            assert process.wait(timeout=15) == 143
        finally:
            process.kill()


def _step(store: Store) -> int:
    try:
        return int(json.loads(store.get("m/runs/r1/state.json"))["step"])
    except Absent:
        return 0


# -- disks ---------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A folder with room for so much."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"root may not mount here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_scratch_disk(model: Path, data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "scratch", "8k") as scratch:
        env = given(tmp_path, model, data, RUNTIME__SCRATCH=scratch)
        refused(
            75, "the scratch folder: no space left", "point FINETUNE_RUNTIME__SCRATCH",
            env=env, folder=tmp_path,
        )  # fmt: skip
        assert list(scratch.iterdir()) == []
    nothing_made(open_store(env["FINETUNE_OUTPUT"]))


@pytest.mark.slow
def test_a_scratch_disk_that_is_full_when_weights_are_written(
    model: Path, data: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "scratch", "400k") as scratch:
        env = given(tmp_path, model, data, RUNTIME__SCRATCH=scratch)
        refused(75, "the scratch folder: no space left", env=env, folder=tmp_path)
        assert list(scratch.iterdir()) == []
    store = open_store(env["FINETUNE_OUTPUT"])
    assert list(store.list("m/models/")) == []
    assert [o.key for o in store.list("m/runs/") if o.key.endswith("manifest.json")] == []


@pytest.mark.parametrize("size", ["8k", pytest.param("40k", marks=pytest.mark.slow)])
def test_a_full_output_folder(model: Path, data: Path, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "out", size) as output:
        env = given(tmp_path, model, data)
        words = (f"{output}/m/", "no space left", "free some space there", "FINETUNE_OUTPUT")
        refused(75, *words, env=env, folder=tmp_path)
        nothing_made(open_store(str(output)))


@pytest.mark.slow
def test_folders_that_cannot_be_written_to(data: Path, tmp_path: Path) -> None:
    scratch = given(tmp_path, "no-model", data, RUNTIME__SCRATCH=data / "scratch")
    refused(
        78, f"the scratch folder {data}/scratch cannot be written to",
        "point FINETUNE_RUNTIME__SCRATCH at a writable folder", env=scratch, folder=tmp_path,
    )  # fmt: skip
    output = given(tmp_path, "no-model", data, OUTPUT=data / "out")
    refused(
        78, f"{data} is a file, not a folder", "point FINETUNE_OUTPUT at a folder",
        env=output, folder=tmp_path,
    )  # fmt: skip
    assert not (tmp_path / "out").exists()
