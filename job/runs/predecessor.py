"""The champion as a run found it when it began: what it has learned from, and the model itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from job.models.trained import TrainedModel, find_version
from job.registry.lineage import Lineage, lineage_of
from job.settings import Settings
from job.store import Store, layout
from job.uris import Uri


class Predecessor:
    """A version that the run's rows are compared with, and that it may go on from. Each part is looked up
    once, when it is first asked for."""

    def __init__(self, settings: Settings, store: Store, version: str, scratch: Path) -> None:
        self._settings, self._store, self._scratch = settings, store, scratch / "champion"
        self.version = version

    @property
    def uri(self) -> Uri:
        """Where the version lies."""
        return self._store.uri / layout.version(self._settings.name, self.version)

    @cached_property
    def lineage(self) -> Lineage:
        """What it has learned from, as far as the store still says."""
        return lineage_of(self._store, self._settings.name, self.version, self._scratch)

    @cached_property
    def trained(self) -> TrainedModel:
        """The model.

        Raises:
            InputMissing: it is gone.
            DataError: it is damaged.
            SettingsError: it was trained for another task.
        """
        return find_version(self._settings, self.uri, self._scratch)
