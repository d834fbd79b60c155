"""A few rows of both sides, and tasks to read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from job.data.arrow import MappedTable
from job.settings import Encode, Train
from job.tasks.seq2seq import Seq2Seq, Translation
from tests.support.samples import encoded, settings_of

ROWS = {
    "source": ["the dog sleeps", "a", "the big red dog runs under the tree"],
    "target": ["sleeps dog the", "the cat sees a small blue house", "a"],
}


def made(kind: type[Seq2Seq] = Translation, smoothing: float = 0.0, **encode: Any) -> Seq2Seq:
    train = Train(label_smoothing=smoothing)
    return kind.create(settings_of(encode=Encode(**encode), train=train))


def table_of(task: Seq2Seq, tokenizer: Any, path: Path) -> MappedTable:
    return MappedTable(encoded(task.features(ROWS, tokenizer, 64), path))
