"""What a version has learned from, as far as the store still says: its files, its texts, its labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import Writer, stream
from job.data.artifacts import KEY, KEYS, LEARNED, SPLITS, Frozen
from job.data.keys import Keys, among
from job.errors import Absent, Torn
from job.registry.versions import Version
from job.store import Store, layout
from job.store.commit import fetch
from job.store.manifest import load
from job.store.records import read_record

TRAIN = SPLITS.index("train")


@dataclass(frozen=True)
class Lineage:
    """What a version has learned from."""

    version: str
    files: frozenset[str] | None
    """The URIs of its run's data files; None where the run's record is gone."""
    rows: KnownRows | None
    """None where its data set is gone, or of a release that did not keep what is asked here."""


@dataclass(frozen=True)
class KnownRows:
    """The rows of the data set that a version was made from."""

    trained: Keys
    """Of texts that it, or a version that it went on from, was trained on; sorted."""
    validated: Keys
    """Of texts that it was validated with; sorted."""
    labels: Mapping[str, int]
    """How often it was trained on each label."""

    def know(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which texts are among these, of either kind."""
        return among(keys, self.trained) | among(keys, self.validated)


def lineage_of(store: Store, model: str, version: str, scratch: Path) -> Lineage:
    """What the store says of a version.

    Args:
        scratch: where the keys of its rows are put.

    Raises:
        Forbidden, Unreachable: the store's; what is absent or damaged is left out.
    """
    return Lineage(version, _files(store, model, version), _rows(store, model, version, scratch))


def _files(store: Store, model: str, version: str) -> frozenset[str] | None:
    run = layout.run(model, Version.named(model, version).run_id)
    try:
        frozen, _ = read_record(store, f"{run}/{layout.INPUTS}", Frozen)
    except (Absent, Torn):
        return None
    return frozenset(each.uri for each in frozen.files)


def _rows(store: Store, model: str, version: str, scratch: Path) -> KnownRows | None:
    try:
        fingerprint = load(store, layout.version(model, version)).meta.get("dataset")
    except (Absent, Torn):
        return None
    return rows_of(store, model, fingerprint, scratch) if fingerprint else None


def rows_of(store: Store, model: str, dataset: str, scratch: Path) -> KnownRows | None:
    """The rows that models learn from a data set; None where it is gone, or of a release that did not
    keep what is asked here.

    Args:
        dataset: its fingerprint.
        scratch: where the keys of its rows are put.
    """
    prefix = layout.dataset(model, dataset)
    try:
        manifest = load(store, prefix)
        if not {KEYS, layout.PROFILE} <= manifest.files.keys():
            return None
        wanted = [name for name in (KEYS, LEARNED, layout.PROFILE) if name in manifest.files]
        fetch(store, prefix, scratch, wanted, manifest=manifest)
    except (Absent, Torn):
        return None
    trained, validated = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for batch in stream(scratch / KEYS):
        keys, splits = batch.column(KEY).to_numpy(), batch.column("split").to_numpy()
        trained.append(keys[splits == TRAIN])
        validated.append(keys[splits != TRAIN])
    if LEARNED in manifest.files:
        trained += [batch.column(KEY).to_numpy() for batch in stream(scratch / LEARNED)]
    profile = json.loads((scratch / layout.PROFILE).read_text())
    labels = profile["splits"]["train"]["labels"]
    keys = [np.unique(np.concatenate(parts)) for parts in (trained, validated)]
    return KnownRows(keys[0], keys[1], labels)


def write_known(learned: Path, folder: Path) -> None:
    """Write into a folder what `lineage_of` reads of a data set, where of its rows only the texts that were
    trained on are known.

    Args:
        learned: their KEYs, as LEARNED holds them.
    """
    with Writer(folder / KEYS) as writer:
        for batch in stream(learned):
            split = pa.array(np.full(batch.num_rows, TRAIN, np.uint8))
            writer.write(
                pa.RecordBatch.from_arrays([batch.column(KEY), split], names=[KEY, "split"])
            )
    (folder / layout.PROFILE).write_text(json.dumps({"splits": {"train": {"labels": {}}}}))
