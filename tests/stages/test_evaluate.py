"""What the evaluate stage writes beside the scores of whole splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from job.batching.limits import Limits
from job.batching.padding import Padding
from job.data.artifacts import Dataset
from job.scoring.inference import Inference
from job.settings import Evaluate
from job.stages.evaluate import evaluate
from job.tasks.text_classification import TextClassification
from tests.support.samples import cleaned, encoded, settings_of, tiny_bert

ROWS = {
    "text": ["anna lives in rome", "boris", "who lives in lima", "nobody", "anna lives in oslo"],
    "label": ["ham", "spam", "ham", "spam", "spam"],
}


def test_parts_of_the_rows_are_scored_beside_the_whole(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bert", ROWS["text"] * 5)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    task = TextClassification(
        {"text": "text", "label": "label"}, "single_label_classification", ("ham", "spam")
    )
    data = tmp_path / "data"
    for split in ("validation", "test"):
        encoded(task.features(ROWS, tokenizer, 16), data / f"{split}.arrow")
        cleaned(ROWS, data / f"{split}.rows.arrow")
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    inference = Inference(model, task, tokenizer, Limits(64, Padding(0)))
    settings = settings_of(evaluate=Evaluate(metric="accuracy", slices=("length", "label")))
    scores = evaluate(inference, Dataset("", data), settings, tmp_path)

    rows = pq.read_table(scores.predictions).to_pylist()[:5]
    right = [row["label"] == row["prediction"] for row in rows]
    for prefix in ("eval", "test"):
        parts = {k: v for k, v in scores.results.items() if k.startswith(f"{prefix}[")}
        assert parts == {
            f"{prefix}[length=1]_accuracy": (right[1] + right[3]) / 2,
            f"{prefix}[length=1]_samples": 2,
            f"{prefix}[length=4-7]_accuracy": (right[0] + right[2] + right[4]) / 3,
            f"{prefix}[length=4-7]_samples": 3,
            f"{prefix}[label=ham]_accuracy": (right[0] + right[2]) / 2,
            f"{prefix}[label=ham]_samples": 2,
            f"{prefix}[label=spam]_accuracy": (right[1] + right[3] + right[4]) / 3,
            f"{prefix}[label=spam]_samples": 3,
        }
        assert scores.results[f"{prefix}_accuracy"] == sum(right) / 5
    whole = evaluate(inference, Dataset("", data), settings_of(), tmp_path).results
    assert whole == {k: v for k, v in scores.results.items() if "[" not in k}
