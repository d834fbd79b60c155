"""`finetune predict` and `finetune evaluate`: a version in a bucket, put to new rows."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import pipeline

from job.demo import tickets
from job.store import Store, open_store
from job.store.commit import load, verify
from tests.support.samples import ROOT, finetune, tiny_bert, write_csv

ROWS = [(i, text, topic) for i, (text, topic) in enumerate(tickets(300))]
HEADER = ("id", "text", "label")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, trained on the tickets in lower case."""
    folder = tmp_path_factory.mktemp("trained")
    model = tiny_bert(folder / "bert", [text for _, text, _ in ROWS])
    data = write_csv(folder / "rows.csv", ROWS, HEADER)
    env = {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(folder / "store"),
        "FINETUNE_DATA__TRAIN": str(data),
        "FINETUNE_MODEL__NAME": str(model),
        "FINETUNE_TRAIN__EPOCHS": "8",
        "FINETUNE_TRAIN__LEARNING_RATE": "5e-3",
        "FINETUNE_ENCODE__MAX_LENGTH": "32",
        "FINETUNE_CLEAN__LOWERCASE": "true",
        "OMP_NUM_THREADS": "1",
    }
    done = finetune("run", env=env, cwd=folder)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "store" / "m" / "models").iterdir()
    return found


def uploaded(version: Path, bucket: str) -> str:
    store = open_store(bucket)
    for path in version.iterdir():
        store.upload(path, f"version/{path.name}")
    return f"{bucket}/version"


def predicting(version: str, bucket: str, rows: str, **more: str) -> dict[str, str]:
    return {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": bucket,
        "FINETUNE_MODEL__NAME": version,
        "FINETUNE_PREDICT__INPUT": rows,
        "OMP_NUM_THREADS": "1",
        **{f"FINETUNE_{name}": value for name, value in more.items()},
    }


def written(store: Store) -> tuple[str, list[dict[str, Any]]]:
    (manifest,) = [o.key for o in store.list("m/predictions/") if o.key.endswith("/manifest.json")]
    prefix = manifest.removesuffix("/manifest.json")
    parts = sorted(name for name in verify(store, prefix, deep=True).files if "part-" in name)
    lines = [line for p in parts for line in store.get(f"{prefix}/{p}").decode().splitlines()]
    return prefix, [json.loads(line) for line in lines]


def test_rows_come_back_in_order_with_the_pipelines_scores(
    version: Path, bucket: str, tmp_path: Path
) -> None:
    store = open_store(bucket)
    shuffled = [(i, text if i % 2 else text * 3) for i, text, _ in reversed(ROWS)]
    store.upload(write_csv(tmp_path / "new.csv", shuffled, HEADER[:2]), "new.csv")
    env = predicting(
        uploaded(version, bucket),
        bucket,
        f"{bucket}/new.csv",
        PREDICT__KEEP="id",
        PREDICT__SHARD_ROWS="70",
    )
    done = finetune("predict", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    prefix, found = written(store)
    assert f"predictions    {bucket}/{prefix}" in done.stdout
    assert [int(row["id"]) for row in found] == [i for i, _ in shuffled]
    assert found[3]["file"] == f"{bucket}/new.csv"
    assert found[3]["line"] == 5
    assert len([n for n in load(store, prefix).files if n.startswith("part-")]) == 5
    assert "label" not in found[0]
    # what the version was trained with holds for it: 32 tokens, in lower case
    classify = pipeline("text-classification", model=str(version), device="cpu")
    for row, (_, text) in list(zip(found, shuffled, strict=True))[:12]:
        (answer,) = classify([text.lower()], truncation=True, max_length=32)
        assert row["prediction"] == answer["label"]
        assert row["score"] == pytest.approx(answer["score"], abs=1e-4)
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
    again = finetune("predict", env=env, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert '"to_do": 0' in again.stderr


@pytest.mark.slow
def test_pods_share_the_files_and_a_stopped_one_goes_on(
    version: Path, bucket: str, tmp_path: Path
) -> None:
    store = open_store(bucket)
    store.upload(write_csv(tmp_path / "new.csv", ROWS, HEADER), "new.csv")
    env = predicting(
        str(version),
        bucket,
        f"{bucket}/new.csv",
        PREDICT__FORMAT="parquet",
        PREDICT__SHARD_ROWS="20",
        PREDICT__PODS="2",
        RUN_ID="p1",
    )
    one = finetune("predict", env={**env, "JOB_COMPLETION_INDEX": "1"}, cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    assert "7 of 15" in one.stdout
    with pytest.raises(Exception, match="manifest"):
        load(store, "m/predictions/p1")
    # new rows under the same name are not read by the pod that comes later
    store.upload(write_csv(tmp_path / "more.csv", ROWS[:5], HEADER), "more.csv")
    process = subprocess.Popen(
        [sys.executable, "-m", "job", "predict"],
        env={**env, "PYTHONPATH": str(ROOT), **_aws(), "JOB_COMPLETION_INDEX": "0"},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "files of predictions" in line:
            process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, 143)
    done = finetune("predict", env={**env, "JOB_COMPLETION_INDEX": "0"}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = verify(store, "m/predictions/p1", deep=True)
    parts = sorted(name for name in manifest.files if name.startswith("part-"))
    tables = [pq.read_table(io.BytesIO(store.get(f"m/predictions/p1/{p}"))) for p in parts]
    assert [n for table in tables for n in table["line"].to_pylist()] == list(range(2, 302))
    other = finetune("predict", env={**env, "FINETUNE_ENCODE__MAX_LENGTH": "8"}, cwd=tmp_path)
    assert other.returncode == 78
    assert "started with other settings" in other.stderr


def _aws() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("FINETUNE_")}


@pytest.mark.slow
def test_rows_that_cannot_be_put_to_the_model_are_kept(version: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "refund please"}\n{"text": null}\n{"oops\n')
    env = predicting(
        str(version), str(tmp_path / "out"), str(tmp_path / "rows.jsonl"), RUN_ID="p",
        DATA__MAX_BAD_FRACTION="0.9",
    )  # fmt: skip
    done = finetune("predict", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "out/m/predictions/p/quarantine.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["line"] for line in kept) == [2, 3]
    assert len(written(open_store(str(tmp_path / "out")))[1]) == 1
    strict = finetune("predict", env=env | {"FINETUNE_DATA__MAX_BAD_FRACTION": "0"}, cwd=tmp_path)
    assert strict.returncode in (65, 78)


def test_a_version_scores_elsewhere_what_it_scored_in_its_run(
    version: Path, bucket: str, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "rows.csv", ROWS, HEADER)
    env = {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": bucket,
        "FINETUNE_DATA__TRAIN": str(data),
        "FINETUNE_MODEL__NAME": uploaded(version, bucket),
        "OMP_NUM_THREADS": "1",
    }
    done = finetune("evaluate", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = open_store(bucket)
    (key,) = [o.key for o in store.list("m/evaluations/") if o.key.endswith("/manifest.json")]
    results = load(store, key.removesuffix("/manifest.json")).meta["results"]
    before = json.loads((version / "eval_results.json").read_text())
    assert {name: before[name] for name in results} == pytest.approx(results, abs=1e-6)
    assert "test_f1" in done.stdout
    again = finetune("evaluate", env=env, cwd=tmp_path)
    assert "scored already" in again.stderr


def test_a_label_that_the_model_does_not_know_is_named(version: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", [("a", "shipping"), ("b", "nonsense")])
    env = {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(tmp_path / "out"),
        "FINETUNE_DATA__TEST": str(data),
        "FINETUNE_MODEL__NAME": str(version),
    }
    done = finetune("evaluate", env=env, cwd=tmp_path)
    assert done.returncode == 65
    assert "does not know: 'nonsense'" in done.stderr


@pytest.mark.slow
def test_a_model_that_has_not_learned_the_task_is_refused(version: Path, tmp_path: Path) -> None:
    rows = write_csv(tmp_path / "rows.csv", [("a", "b")])
    bare = tiny_bert(tmp_path / "bert", ["a b c"] * 9)
    env = predicting(str(bare), str(tmp_path / "out"), str(rows))
    done = finetune("predict", env=env, cwd=tmp_path)
    assert done.returncode == 78
    assert "has not learned text-classification" in done.stderr
    other = predicting(str(version), str(tmp_path / "out"), str(rows), TASK="fill-mask")
    done = finetune("predict", env=other, cwd=tmp_path)
    assert done.returncode == 78
    assert "was trained for text-classification" in done.stderr
