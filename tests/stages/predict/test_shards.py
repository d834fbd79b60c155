"""The files of predictions: none that a store cut short is taken for whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from job.settings import Predict
from job.stages.predict import Shards
from job.store import layout, open_store
from job.store.commit import verify


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("keep", [0, 0.5, 0.95])
def test_a_file_that_was_cut_short_is_written_again(tmp_path: Path, kind: str, keep: float) -> None:
    """The pod that would have noticed was killed, and no other looks at more than its name."""
    store = open_store(str(tmp_path))
    shards = Shards(store, "m/predictions/p", Predict(shard_rows=4, format=kind), 10)
    tables = [pa.table({"score": [float(n)] * shards.rows(n)}) for n in range(3)]
    store.put(f"m/predictions/p/{layout.QUARANTINE}", b"")
    for number in (0, 1):
        shards.write(number, tables[number])
    assert (shards.missing(), shards.torn()) == ([2], []), "only the last pod looks"
    shards.write(2, tables[2])
    assert shards.torn() == []
    key = f"m/predictions/p/{shards.names[1]}"
    whole = store.get(key)
    store.put(key, whole[: int(len(whole) * keep)])
    assert shards.missing() == []
    assert shards.finish({}) is False
    assert shards.torn() == [1]
    shards.write(1, tables[1])
    assert shards.torn() == [1], "what is there is left, unless it is known to be damaged"
    shards.write(1, tables[1], again=True)
    assert shards.finish({"model": "x"})
    assert verify(store, "m/predictions/p", deep=True).meta == {"model": "x", "rows": 10}
