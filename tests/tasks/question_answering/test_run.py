"""question-answering through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.samples import finetune
from tests.tasks.question_answering.samples import asked


def squad(rows: list[dict[str, Any]]) -> str:
    """The rows as SQuAD 2.0 writes them."""
    paragraphs = []
    for i, row in enumerate(rows):
        found = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in found]
        qa = {"id": str(i), "question": row["question"], "answers": answers}
        qas = [{**qa, "is_impossible": not answers}]
        paragraphs.append({"context": row["context"], "qas": qas})
    return json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.mark.slow
def test_a_squad_file_becomes_a_published_reader(bert: Path, tmp_path: Path) -> None:
    rows = asked(150, people=4, unanswerable=True)
    bad = {
        "question": "q?",
        "context": "in rome",
        "answers": {"text": ["oslo"], "answer_start": [3]},
    }
    (tmp_path / "rows.json").write_text(squad([*rows, bad]))
    env = {
        "FINETUNE_TASK": "question-answering",
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_DATA__TRAIN": str(tmp_path / "rows.json"),
        "FINETUNE_DATA__FORMAT": "squad",
        "FINETUNE_MODEL__NAME": str(bert),
        "FINETUNE_ENCODE__MAX_LENGTH": "24",
        "FINETUNE_TRAIN__EPOCHS": "2",
        "FINETUNE_TRAIN__LEARNING_RATE": "3e-3",
        "FINETUNE_MODEL__LORA": "{}",
    }
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    compared = [json.loads(line) for line in done.stderr.splitlines() if "rows_compared" in line]
    assert compared[0]["rows_compared"] == 16
    (version,) = (tmp_path / "store/m/models").iterdir()
    results = json.loads((version / "eval_results.json").read_text())
    assert {"test_exact_match", "test_f1", "eval_unanswerable_f1"} < set(results)
    predictions = pq.read_table(version / "predictions.parquet")
    assert {"prediction", "score", "answers"} < set(predictions.column_names)
    assert "AutoModelForQuestionAnswering" in (version / "README.md").read_text()
    (quarantine,) = (tmp_path / "store/m/datasets").rglob("quarantine.jsonl")
    assert "the answer 'oslo' is not in its context at character 3" in quarantine.read_text()
