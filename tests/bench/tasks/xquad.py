"""XQuAD's English questions with MiniLM, whole articles held out."""

from __future__ import annotations

from pathlib import Path

from job.demo import model_folder
from tests.bench.tasks.running import run, say
from tests.support.samples import SHARED

EPOCHS, BATCH, LENGTH, RATE = 1, 8, 384, 2e-4


def main(scratch: Path) -> None:
    """Exact match and F1."""
    left = run(
        scratch,
        TASK="question-answering",
        DATA__TRAIN=SHARED / "xquad" / "xquad.en.json",
        DATA__FORMAT="squad",
        DATA__SPLIT_BY="title",
        DATA__VALIDATION_FRACTION=0,
        DATA__TEST_FRACTION=0.2,
        MODEL__NAME=model_folder(),
        ENCODE__MAX_LENGTH=LENGTH,
        TRAIN__EPOCHS=EPOCHS,
        TRAIN__BATCH_SIZE=BATCH,
        TRAIN__LEARNING_RATE=RATE,
    )
    names = ("exact_match", "f1", "samples")
    say("xquad", **{name: left.results[f"test_{name}"] for name in names}, **left.compared)
