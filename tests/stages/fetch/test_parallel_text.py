"""Two text files line by line: compressed, archived, from a bucket; and what refuses to be zipped."""

from __future__ import annotations

import gzip
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.data.arrow import stream
from job.data.artifacts import FILE, LINE, Frozen, RawRows
from job.errors import DataError, InputMissing
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs
from job.stages.fetch import parallel_text as pairing
from job.store import open_store
from job.store.records import record_of


def read(data: Data, scratch: Path, limit: int | None = None) -> RawRows:
    return fetch(data, resolve_inputs(data), scratch, limit=limit)


def rows_of(raw: RawRows) -> list[tuple[int, str, str]]:
    rows = [row for path in raw.tables["train"] for b in stream(path) for row in b.to_pylist()]
    return [(row[LINE], row["source"], row["target"]) for row in rows]


def pair(folder: Path, source: str, target: str, **settings: Any) -> Data:
    """Named as in the wild: no suffix says that they are text."""
    folder.mkdir(exist_ok=True)
    for name, text in (("a.de.gz", source), ("a.en", target)):
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return Data(train=str(folder / "a.de.gz"), train_target=str(folder / "a.en"), **settings)


def test_empty_lines_keep_the_files_in_step(tmp_path: Path) -> None:
    raw = read(pair(tmp_path, "eins\n\ndrei\nvier", "one\r\ntwo\r\n\r\nfour\r\n"), tmp_path / "s")
    assert rows_of(raw) == [
        (1, "eins", "one"),
        (2, "", "two"),
        (3, "drei", ""),
        (4, "vier", "four"),
    ]
    assert [Path(name).name for name in raw.files] == ["a.de.gz"]
    assert (raw.read["train"], raw.bad["train"]) == (4, 0)


lines = st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])))


@settings(max_examples=40, deadline=None)
@given(lines, st.integers(1, 4))
def test_every_line_meets_its_own(texts: list[str], size: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "CHUNK_ROWS", size)
        folder = Path(name)
        there = [(f"{i}:{text}", text) for i, text in enumerate(texts, 1)]
        data = pair(folder, *("".join(f"{row[i]}\n" for row in there) for i in (0, 1)))
        raw = read(data, folder / "s")
        found = rows_of(raw) if raw.tables.get("train") else []
        assert found == [(i, *row) for i, row in enumerate(there, 1)]


def test_a_bad_line_on_either_side_is_bad_and_nothing_moves(tmp_path: Path) -> None:
    raw = read(pair(tmp_path, "a\nb\0\nc\nd\n", "1\n2\n3\0\n4\n"), tmp_path / "s")
    assert rows_of(raw) == [(1, "a", "1"), (4, "d", "4")]
    bad = [json.loads(line) for line in raw.quarantine.read_text().splitlines()]
    assert [row["line"] for row in bad] == [2, 3]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [("a\nb\n", "1\n2\n3\n4\n", "2 lines and .*a.en 4"), ("a\nb\nc", "", "3 lines and .*a.en 0")],
)
def test_files_of_different_length_are_refused_with_both_counts(
    tmp_path: Path, source: str, target: str, said: str
) -> None:
    with pytest.raises(DataError, match=f"a.de.gz has {said}"):
        read(pair(tmp_path, source, target), tmp_path / "s")


def test_the_first_rows_alone(tmp_path: Path) -> None:
    raw = read(pair(tmp_path, "a\nb\nc\n", "1\n2\n3\n"), tmp_path / "s", limit=2)
    assert rows_of(raw) == [(1, "a", "1"), (2, "b", "2")]


def test_several_files_and_archives_meet_in_the_order_of_their_names(tmp_path: Path) -> None:
    for side in ("de", "en"):
        with zipfile.ZipFile(tmp_path / f"{side}.zip", "w") as archive:
            for part in ("1", "2"):
                archive.writestr(f"{part}.{side}", f"{side}{part}\n")
        for part in ("4", "3"):
            (tmp_path / f"{part}.{side}").write_text(f"{side}{part}\n")
    places = {
        name: [str(tmp_path / f"{side}.zip"), str(tmp_path / f"*.{side}")]
        for name, side in (("train", "de"), ("train_target", "en"))
    }
    raw = read(Data(**places), tmp_path / "s")
    assert [(a, b) for _, a, b in rows_of(raw)] == [(f"de{i}", f"en{i}") for i in range(1, 5)]
    (tmp_path / "5.en").write_text("en5\n")
    with pytest.raises(
        DataError, match=r"finds 3 file\(s\) at .*, where FINETUNE_DATA__TRAIN finds 2"
    ):
        resolve_inputs(Data(**places))


def test_files_in_a_bucket_are_both_frozen(bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket)
    store.put("in/a.de", b"eins\nzwei\n")
    store.put("in/a.en", b"one\ntwo\n")
    data = Data(train=f"{bucket}/in/a.de", train_target=f"{bucket}/in/a.en")
    inputs = resolve_inputs(data)
    assert [(Path(file.uri).name, file.target) for file in inputs.files] == [
        ("a.de", False),
        ("a.en", True),
    ]
    frozen = json.loads(Frozen(inputs.files, {}).json())
    assert record_of(Frozen, frozen, "inputs.json").inputs == inputs
    assert inputs.identities()[1][-1] == "target"
    raw = fetch(data, inputs, tmp_path / "s")
    assert rows_of(raw) == [(1, "eins", "one"), (2, "zwei", "two")]
    store.put("in/a.en", b"ONE\nTWO\n")
    with pytest.raises(InputMissing, match=r"a\.en"):
        fetch(data, inputs, tmp_path / "again")


def test_the_columns_are_named_as_the_roles_are(tmp_path: Path) -> None:
    columns = {"source": "de", "target": "en"}
    raw = read(pair(tmp_path, "a\n", "1\n", columns=columns), tmp_path / "s")
    (batch,) = stream(raw.tables["train"][0])
    assert batch.schema.names == ["de", "en", FILE, LINE]
