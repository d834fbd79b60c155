"""token-classification through the command line."""

from __future__ import annotations

import json
from pathlib import Path

from job.commands.check import plan
from job.settings import load
from tests.support.samples import finetune
from tests.tasks.token_classification.samples import sentences


def test_a_conll_file_becomes_a_published_tagger(bert: Path, tmp_path: Path) -> None:
    found = sentences(160)
    lines = ["-DOCSTART- -X- O\n"]
    lines += ["\n".join(map(" ".join, zip(*pair, strict=True))) + "\n" for pair in found]
    (tmp_path / "rows.conll").write_text(
        "\n".join([*lines, "again O\nParis I-LOC\n", "ragged O\nline\n"])
    )
    env = {
        "FINETUNE_TASK": "token-classification",
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_DATA__TRAIN": str(tmp_path / "rows.conll"),
        "FINETUNE_MODEL__NAME": str(bert),
        "FINETUNE_TRAIN__EPOCHS": "8",
        "FINETUNE_TRAIN__LEARNING_RATE": "5e-3",
        "FINETUNE_DATA__MAX_BAD_FRACTION": "0.05",
    }
    said = "\n".join(plan(load(env).settings))
    assert "labels: B-LOC" in said
    assert "tokens     a row" in said
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"labels": 1' in done.stderr, "the repaired one"
    compared = [json.loads(line) for line in done.stderr.splitlines() if "rows_compared" in line]
    assert compared[0]["rows_compared"] == 16
    (version,) = (tmp_path / "store/m/models").iterdir()
    results = json.loads((version / "eval_results.json").read_text())
    assert results["test_f1"] > 0.8
    assert {"test_f1_PER", "test_precision_LOC", "eval_accuracy", "test_recall"} < set(results)
    card = (version / "README.md").read_text()
    assert 'pipeline("token-classification"' in card
    assert "| PER |" in card
