"""The version that is to be trained again, with all that its manifest and its settings say of it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.errors import InputMissing
from job.registry import champion, versions
from job.registry.versions import Version
from job.runs.provenance import Provenance
from job.store import Store
from job.store.commit import Manifest, fetch, load
from job.store.records import parsed
from job.uris import CHAMPION


@dataclass(frozen=True)
class Original:
    """A published version."""

    store: Store
    model: str
    version: Version
    manifest: Manifest
    provenance: Provenance

    @classmethod
    def find(cls, store: Store, model: str, name: str) -> Original:
        """The version of that name, or the champion.

        Raises:
            InputMissing: there is none; or an earlier release published it, which did not say enough.
            Torn: it is damaged.
        """
        version = versions.whole(store, model, _named(store, model, name))
        manifest = load(store, version.key)
        provenance = Provenance.in_manifest(manifest, f"{store.uri}/{version.key}")
        return cls(store, model, version, manifest, provenance)

    @property
    def where(self) -> str:
        """Its URI."""
        return f"{self.store.uri}/{self.version.key}"

    @property
    def run_id(self) -> str:
        """The run that published it."""
        return str(self.manifest.meta["run_id"])

    def fetched(self, folder: Path, names: Collection[str]) -> Path:
        """Those of its files that there are of these, in a folder.

        Raises:
            Torn: they are not what the manifest says.
        """
        names = [name for name in names if name in self.manifest.files]
        fetch(self.store, self.version.key, folder, names, manifest=self.manifest)
        return folder

    def document(self, name: str) -> dict[str, Any]:
        """What one of its JSON files holds.

        Raises:
            Torn: it is not what the manifest says, or there is none.
        """
        with tempfile.TemporaryDirectory() as folder:
            fetch(self.store, self.version.key, Path(folder), [name], manifest=self.manifest)
            return parsed(Path(folder, name).read_bytes(), f"{self.where}/{name}")


def _named(store: Store, model: str, name: str) -> str:
    """The version of that name, or the champion's.

    Raises:
        InputMissing: the champion is asked for, and there is none.
    """
    if name != CHAMPION:
        return name
    in_use = champion.read(store, model)[0].version
    if in_use is None:
        raise InputMissing(
            f"{store.uri}/{model} has no champion yet", hint="`finetune models` lists its versions"
        )
    return in_use
