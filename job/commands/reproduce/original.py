"""The version that is to be trained again, with all that its manifest and its settings say of it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from job.errors import Absent, InputMissing
from job.registry import champion
from job.registry.versions import Version
from job.runs.provenance import Provenance
from job.store import Store, layout
from job.store.commit import Manifest, fetch, load
from job.store.records import parsed

CHAMPION = "champion"


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
            Torn: its manifest or its settings are damaged.
        """
        version = _named(store, model, name)
        try:
            manifest = load(store, version.key)
        except Absent:
            raise _unknown(store, model, name) from None
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


def _named(store: Store, model: str, name: str) -> Version:
    """
    Raises:
        InputMissing: the champion is asked for, and there is none.
    """
    if name != CHAMPION:
        return Version(name, layout.version(model, name))
    current, _ = champion.read(store, model)
    if current.version is None:
        raise InputMissing(
            f"{store.uri}/{model} has no champion yet", hint="name a version below models/"
        )
    return Version(current.version, layout.version(model, current.version))


def _unknown(store: Store, model: str, name: str) -> InputMissing:
    prefix = f"{layout.versions(model)}/"
    published = {item.key.removeprefix(prefix).partition("/")[0] for item in store.list(prefix)}
    near = get_close_matches(name, published, n=1)
    hint = f"did you mean {near[0]}?" if near else "`finetune models` lists them"
    return InputMissing(f"{store.uri}/{model} has no version {name}", hint=hint)
