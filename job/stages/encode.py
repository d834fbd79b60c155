"""Encode: cleaned rows become token rows, committed to the store as Arrow.

A data set that stands in the store under the same fingerprint is fetched, not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.artifacts import FILE, LINE, SPLITS, CleanRows, Dataset, Split
from job.errors import Absent, DataError, Torn
from job.store import Store
from job.store.commit import commit, fetch, withdraw
from job.tables import Writer, stream
from job.tasks.base import Columns, Task
from job.telemetry import event, warn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENCODE_VERSION = 1
"""Raised by hand when the same rows and settings come to mean other tokens."""

BATCH_ROWS = 2000
FIRST_ROWS = 100
EXAMPLES = 8


@dataclass(frozen=True)
class Encoder:
    """How this run turns rows into tokens."""

    tokenizer: PreTrainedTokenizerFast
    max_length: int
    model_labels: tuple[str, ...]


def find(store: Store, prefix: str, folder: Path) -> Dataset | None:
    """The data set if it stands in the store, fetched and verified; None to make it."""
    try:
        manifest = fetch(store, prefix, folder)
    except Absent:
        return None
    except Torn as error:
        warn("data set in the store is damaged and made again", reason=str(error))
        withdraw(store, prefix)
        return None
    profile = json.loads((folder / "profile.json").read_text())
    return Dataset(str(manifest.meta["fingerprint"]), folder, profile, fetched=True)


def encode(
    rows: CleanRows, task: Task, encoder: Encoder, folder: Path, *, poll: Callable[[], None]
) -> tuple[Task, dict[str, Any], dict[str, Path]]:
    """Encode every split into `folder`.

    Returns:
        The task fitted to the training rows, the completed profile, and the files to commit.

    Raises:
        DataError: a split has a label that train has not, or there is nothing to learn.
    """
    splits = rows.profile["splits"]
    counts = {str(split): splits[split]["labels"] for split in rows.tables}
    task = task.fitted(_first(rows.tables["train"]), counts, encoder.model_labels)
    files: dict[str, Path] = {}
    truncated: dict[Split, int] = {}
    for split in SPLITS:
        if split in rows.tables:
            files[f"{split}.arrow"] = folder / f"{split}.arrow"
            truncated[split] = _encode_split(
                rows.tables[split], files[f"{split}.arrow"], task, encoder, poll
            )
    for split, number in truncated.items():
        if number:
            warn(
                "rows are longer than the model takes and were cut",
                split=split,
                rows=number,
                of=rows.rows[split],
                max_length=encoder.max_length,
            )
    for split, number in truncated.items():
        splits[split]["truncated"] = number
    profile = {
        **rows.profile,
        "max_length": encoder.max_length,
        "task": task.facts,
    }
    files["profile.json"] = folder / "profile.json"
    files["profile.json"].write_text(json.dumps(profile, indent=1, ensure_ascii=False))
    files["examples.jsonl"] = _examples(rows, folder / "examples.jsonl")
    files["quarantine.jsonl"] = rows.quarantine
    return task, profile, files


def _first(path: Path) -> Columns:
    for batch in stream(path):
        return batch.slice(0, FIRST_ROWS).to_pydict()  # type: ignore[no-any-return]
    raise DataError("the training split is empty")


def _examples(rows: CleanRows, path: Path) -> Path:
    """The first rows of each split as text: publishing runs them through the finished model."""
    with path.open("w", encoding="utf-8") as file:
        for split, table in rows.tables.items():
            first = next(stream(table)).slice(0, EXAMPLES).drop_columns([FILE, LINE])
            for number, row in enumerate(first.to_pylist()):
                file.write(
                    json.dumps({"split": split, "row": number, **row}, ensure_ascii=False) + "\n"
                )
    return path


def _encode_split(
    source: Path, target: Path, task: Task, encoder: Encoder, poll: Callable[[], None]
) -> int:
    """One split; returns how many rows were cut. A small batch at a time, so memory stays small."""
    truncated = 0
    with Writer(target) as writer:
        for whole in stream(source):
            for start in range(0, whole.num_rows, BATCH_ROWS):
                poll()
                batch = whole.slice(start, BATCH_ROWS)
                columns = batch.drop_columns([FILE, LINE]).to_pydict()
                features, cut = task.features(columns, encoder.tokenizer, encoder.max_length)
                truncated += cut
                features = features.append_column(FILE, batch.column(FILE))
                writer.write(features.append_column(LINE, batch.column(LINE)))
    return truncated


def _rows(profile: Mapping[str, Any]) -> dict[str, int]:
    return {split: counts["rows"] for split, counts in profile["splits"].items()}


def publish(
    store: Store,
    prefix: str,
    attempt: int,
    fingerprint: str,
    files: Mapping[str, Path],
    profile: Mapping[str, Any],
    folder: Path,
) -> Dataset:
    """Commit the files as the data set with this fingerprint; another's equal one stands as well."""
    commit(store, prefix, files, attempt=attempt, meta={"fingerprint": fingerprint}, exists_ok=True)
    event("data set committed", fingerprint=fingerprint, rows=_rows(profile))
    return Dataset(fingerprint, folder, profile)
