"""Encode: cleaned rows become token rows, committed to the store as Arrow.

A data set that is in the store under the same fingerprint is fetched, not encoded again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.data.arrow import Writer, schema_of, stream
from job.data.artifacts import (
    FILE,
    GATE,
    GROUP,
    KEY,
    KEYS,
    LINE,
    ROW,
    SPLITS,
    CleanRows,
    Dataset,
    Split,
)
from job.errors import Absent, DataError, Torn
from job.runtime.stop import poll
from job.store import Store, layout
from job.store.commit import commit, fetch, own_number
from job.tasks.base import Task
from job.tasks.row_rules import Columns
from job.tasks.special_tokens import SETTING, SpecialTokens
from job.tasks.types import Features
from job.telemetry import event, warn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENCODE_VERSION = 4
"""Raised by hand when a change of the code makes the same rows and settings give other tokens."""

BATCH_ROWS = 2000
FIRST_ROWS = 100


@dataclass(frozen=True)
class Encoder:
    """What of the model decides how rows become tokens."""

    tokenizer: PreTrainedTokenizerFast
    max_length: int
    model_labels: tuple[str, ...]
    """The model's own, in order; empty where it has none."""


def find(store: Store, prefix: str, folder: Path) -> Dataset | None:
    """The data set if it is in the store, fetched and verified; None where it must be encoded."""
    try:
        manifest = fetch(store, prefix, folder)
    except Absent:
        return None
    except Torn as error:
        warn("the data set in the store is damaged and is encoded again", reason=str(error))
        return None
    return opened(folder, str(manifest.meta["fingerprint"]))


def opened(folder: Path, fingerprint: str) -> Dataset:
    """A data set that was fetched."""
    profile = json.loads((folder / layout.PROFILE).read_text())
    return Dataset(fingerprint, folder, profile, fetched=True)


def encode(
    rows: CleanRows, task: Task, encoder: Encoder, folder: Path
) -> tuple[Task, dict[str, Any], dict[str, Path]]:
    """Encode every split into `folder`.

    Returns:
        The task fitted to the training rows, the completed profile, and the files to commit.

    Raises:
        DataError: a split has a label that the training rows lack, or there is nothing to learn.
    """
    splits = rows.profile["splits"]
    counts = {str(split): splits[split]["labels"] for split in rows.tables}
    task = task.fitted(
        first_rows(rows.tables["train"]), counts, encoder.model_labels, encoder.tokenizer
    )
    files = {KEYS: folder / KEYS}
    _write_keys(rows, files[KEYS])
    files |= _encode_splits(rows, task, encoder, folder)
    if rows.gate is not None:
        files[GATE] = rows.gate.rename(folder / GATE)
    profile = {**rows.profile, "max_length": encoder.max_length, "task": task.facts}
    files[layout.PROFILE] = folder / layout.PROFILE
    files[layout.PROFILE].write_text(json.dumps(profile, indent=1, ensure_ascii=False))
    files[layout.QUARANTINE] = rows.quarantine
    return task, profile, files


def _write_keys(rows: CleanRows, path: Path) -> None:
    """Write what identifies the rows that a model is fitted to, see KEYS."""
    schema = pa.schema([(KEY, pa.uint64()), (GROUP, pa.uint64()), ("split", pa.uint8())])
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, schema) as writer:
        for code, split in enumerate(SPLITS):
            if split == "test" or split not in rows.tables:
                continue
            for batch in stream(rows.tables[split]):
                splits = pa.array(np.full(batch.num_rows, code, np.uint8))
                columns = [batch.column(KEY), batch.column(GROUP), splits]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))


def held_out(rows: CleanRows, task: Task, encoder: Encoder, folder: Path) -> Dataset:
    """The rows that a model is scored on, encoded into `folder`; nothing is committed."""
    tables: dict[Split, Path] = {s: path for s, path in rows.tables.items() if s != "train"}
    _encode_splits(replace(rows, tables=tables), task, encoder, folder)
    return Dataset("", folder, rows.profile)


def _encode_splits(rows: CleanRows, task: Task, encoder: Encoder, folder: Path) -> dict[str, Path]:
    """Encode every split into a file; what was cut or repaired is counted in the profile of `rows`."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for split, cleaned in rows.tables.items():
        files[f"{split}.arrow"] = folder / f"{split}.arrow"
        counts = _encode_split(cleaned, files[f"{split}.arrow"], task, encoder)
        cut, repaired = counts["truncated"], counts["repaired"]
        rows.profile["splits"][split] |= counts
        if repaired:
            warn(
                "labels did not fit their neighbours and were repaired",
                split=split,
                labels=repaired,
            )
        if special := counts["special_tokens"]:
            warn(
                "texts hold special tokens of the tokenizer, which are read as plain text",
                split=split,
                rows=special,
                setting=f"{SETTING}=true obeys them",
            )
        if cut:
            warn(
                "rows are longer than the model takes and were cut",
                split=split,
                rows=cut,
                of=rows.rows[split],
                max_length=encoder.max_length,
            )
        if split != "train":  # scoring reads the text of held-out rows
            files[f"{split}.rows.arrow"] = folder / f"{split}.rows.arrow"
            cleaned.rename(files[f"{split}.rows.arrow"])
    return files


def first_rows(path: Path) -> Columns:
    """The rows by which a task is fitted.

    Raises:
        DataError: there are none.
    """
    for batch in stream(path):
        first: Columns = batch.slice(0, FIRST_ROWS).to_pydict()
        return first
    raise DataError("the training split is empty")


def _encode_split(source: Path, target: Path, task: Task, encoder: Encoder) -> Counter[str]:
    """Encode one split, a small batch at a time, so that memory stays small.

    Returns:
        How many rows were `truncated`, how many labels `repaired`, and in how many rows
        `special_tokens` are read as text.
    """
    counts, number = Counter({"truncated": 0, "repaired": 0, "special_tokens": 0}), 0
    packer = task.packer(encoder.tokenizer, encoder.max_length)
    names = schema_of(source).names
    with Writer(target) as writer:
        for whole in stream(source):
            for start in range(0, whole.num_rows, BATCH_ROWS):
                poll()
                batch = whole.slice(start, BATCH_ROWS)
                columns = batch.select([n for n in names if n in task.columns]).to_pydict()
                features = task.features(columns, encoder.tokenizer, encoder.max_length)
                counts["truncated"] += features.truncated
                counts["repaired"] += features.repaired
                counts["special_tokens"] += _taken_as_text(task.texts_of(columns), encoder)
                if packer is None:
                    writer.write(_with_origin(features, batch, number))
                elif (blocks := packer.add(features.columns["input_ids"])) is not None:
                    writer.write(blocks)
                number += batch.num_rows
        if packer is not None and (last := packer.flush()) is not None:
            writer.write(last)
    return counts


def _taken_as_text(texts: Sequence[str], encoder: Encoder) -> int:
    """How many texts hold special tokens that are not obeyed."""
    if not encoder.tokenizer.split_special_tokens:
        return 0
    special = SpecialTokens(encoder.tokenizer)
    return sum(special.first_in(text) is not None for text in texts)


def _with_origin(features: Features, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The features with FILE, LINE and ROW of the row that each came from."""
    source = pa.array(features.source)
    origin = {name: batch.column(name).take(source) for name in (FILE, LINE)}
    origin[ROW] = pa.array(features.source + first)
    return pa.RecordBatch.from_pydict({**features.columns, **origin})


def commit_dataset(store: Store, prefix: str, dataset: Dataset, files: Mapping[str, Path]) -> None:
    """Commit the files as this data set, or take over the files of one that was committed meanwhile.

    Several runs may prepare the same data set at once. Each writes under a number of its own, and all
    of them go on with the one whose manifest came first, as those do that find it later.
    """
    meta = {"fingerprint": dataset.fingerprint}
    manifest = commit(store, prefix, files, attempt=own_number(), meta=meta, exists_ok=True)
    fetch(store, prefix, dataset.folder, manifest=manifest)
    rows = {split: counts["rows"] for split, counts in dataset.profile["splits"].items()}
    event("data set committed", fingerprint=dataset.fingerprint, rows=rows)
