"""tinyshakespeare's speeches, each once, the last tenth of them held out."""

from __future__ import annotations

from pathlib import Path

from job.stages.clean.text import canonical
from tests.bench.tasks.running import write_rows
from tests.support.samples import SHARED


def speeches() -> tuple[list[str], list[str]]:
    """For training and for scoring; none stands in both, up to case and white space."""
    text = (SHARED / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    once = {canonical(speech): speech.strip() for speech in text.split("\n\n") if speech.strip()}
    found = list(once.values())
    return found[: -len(found) // 10], found[-len(found) // 10 :]


def written(folder: Path) -> tuple[Path, Path]:
    """The speeches in two files of JSON lines."""
    train, test = speeches()
    return (
        write_rows(folder / "train.jsonl", ({"text": text} for text in train)),
        write_rows(folder / "test.jsonl", ({"text": text} for text in test)),
    )
