"""The whole run, as the container starts it: files in a store become a published model."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from transformers import pipeline

from job.demo import tickets
from job.store import open_store
from job.store.commit import load, verify
from tests.pipeline.runs import settings, state_of, version_of
from tests.support.samples import finetune, write_csv, write_tickets


def test_rows_in_a_bucket_become_a_published_classifier(
    bucket: str, model: Path, tmp_path: Path
) -> None:
    store = open_store(bucket)
    rows = [*tickets(300), ("too", "many", "columns")]
    store.upload(write_csv(tmp_path / "rows.csv", rows), "in/rows.csv")
    for path in model.iterdir():
        store.upload(path, f"bert/{path.name}")
    env = settings(
        bucket, f"{bucket}/in/*.csv", model, MODEL__NAME=f"{bucket}/bert", PUBLISH__LICENSE="mit"
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version = version_of(store)
    assert f"model          {bucket}/{version}" in done.stdout
    assert all(line.startswith("{") for line in done.stderr.splitlines()), (
        "JSON lines without a terminal"
    )

    manifest = verify(store, version, deep=True)
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "README.md",
        "eval_results.json",
    } < set(manifest.files)
    assert {"predictions.parquet", "settings.json", "metrics.jsonl"} < set(manifest.files)
    results = json.loads(store.get(f"{version}/eval_results.json"))
    assert results["test_accuracy"] > 0.8
    assert {
        "eval_loss",
        "test_f1",
        "train_loss",
        "train_runtime",
        "train_samples_per_second",
        "goodput",
    } < set(results)
    card = store.get(f"{version}/README.md").decode()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["license"] == "mit"
    assert metadata["pipeline_tag"] == "text-classification"
    scores = {m["type"]: m["value"] for m in metadata["model-index"][0]["results"][0]["metrics"]}
    assert scores["accuracy"] in (
        round(results["test_accuracy"], 6),
        round(results["eval_accuracy"], 6),
    )
    for word in ("billing", "Limitations", "Procedure", "predictions.parquet"):
        assert word in card

    folder = tmp_path / "published"
    for name in manifest.files:
        store.download(f"{version}/{name}", folder / name)
    predictions = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert {p["split"] for p in predictions} == {"validation", "test"}
    classify = pipeline("text-classification", model=str(folder))
    for prediction in predictions[:5]:
        text = rows[prediction["line"] - 2][0]
        answer = classify(text)[0]
        assert answer["label"] == prediction["prediction"]
        assert answer["score"] == pytest.approx(prediction["score"], abs=1e-4)

    state = state_of(store)
    assert (state["outcome"], state["attempt"]) == ("done", 1)
    for said in (
        "to score it",
        "uploading the version",
        "reading the version back",
        "in a fresh process",
    ):
        assert said in done.stderr, "what takes long is named when it begins"
    dataset = "/".join(next(o.key for o in store.list("m/datasets/")).split("/")[:3])
    quarantine = load(store, dataset)
    lines = store.get(f"{dataset}/{quarantine.files['quarantine.jsonl'].key}").decode().splitlines()
    assert [(json.loads(line)["line"], json.loads(line)["split"]) for line in lines] == [
        (302, "train")
    ]

    again = finetune("run", env=env, cwd=tmp_path)
    assert again.returncode == 0
    assert "finished already" in again.stderr
    assert version in again.stdout

    other = finetune("run", "--train.epochs", "1", env=env, cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    assert "data set found in the store" in other.stderr
    assert "data set committed" not in other.stderr


@pytest.mark.slow
def test_the_same_run_with_other_settings_is_refused(model: Path, tmp_path: Path) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    env = settings(str(tmp_path / "store"), str(data), model, RUN_ID="r1", TRAIN__EPOCHS="1")
    assert finetune("prepare", env=env, cwd=tmp_path).returncode == 0
    refused = finetune("run", "--train.learning_rate", "1e-4", env=env, cwd=tmp_path)
    assert refused.returncode == 78
    assert "train.learning_rate: 0.005 there, 0.0001 here" in refused.stderr
    status = finetune("status", env=env, cwd=tmp_path)
    assert json.loads(status.stdout)["stage"] == "encode"


@pytest.mark.slow
def test_pairs_regression_and_several_labels(model: Path, tmp_path: Path) -> None:
    texts = [text for text, _ in tickets(120)]
    regression = write_csv(
        tmp_path / "pairs.csv",
        [(a, b, len(a) / 10 + 0.5) for a, b in zip(texts, reversed(texts), strict=True)],
        ("first", "second", "score"),
    )
    env = settings(
        str(tmp_path / "store"),
        str(regression),
        model,
        DATA__COLUMNS='{"text": "first", "text_pair": "second", "label": "score"}',
        MODEL__PROBLEM_TYPE="regression",
        TRAIN__EPOCHS="1",
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test_pearson" in done.stdout
    several = tmp_path / "several.jsonl"
    several.write_text(
        "".join(
            json.dumps({"text": text, "label": [label, "any"]}) + "\n"
            for text, label in tickets(120)
        )
    )
    env = settings(str(tmp_path / "store2"), str(several), model, TRAIN__EPOCHS="1")
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version = version_of(open_store(str(tmp_path / "store2")))
    assert "f1_micro" in (tmp_path / "store2" / version / "eval_results.json").read_text()
    assert "rows_compared" in done.stderr


def test_check_prints_a_plan_and_writes_nothing(model: Path, tmp_path: Path) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    done = finetune("check", env=settings(str(tmp_path / "store"), str(data), model), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in (
        "honours conditional writes",
        "labels: billing",
        "parameters",
        "tokens",
        "memory",
        "grace period",
    ):
        assert word in done.stdout
    assert not [
        path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.name != ".~lock"
    ]
