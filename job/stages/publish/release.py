"""A model that is about to become a version, with everything that is published beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.models import Place
from job.registry.versions import Version
from job.reporting.card import CardFacts, write_card
from job.store import layout


@dataclass(frozen=True)
class Release:
    """A model that is about to become a version, with everything that is published beside it."""

    version: Version
    place: Place
    """Config, safetensors and tokenizer; `write` adds the rest to its folder."""
    predictions: Path
    """What the evaluate stage wrote; there is no such file where nothing was held out."""
    results: Mapping[str, Any]
    """What eval_results.json holds."""
    facts: CardFacts
    """What the card says."""
    history: list[dict[str, Any]]
    """The metrics of every step."""
    provenance: Mapping[str, Any]
    """What the manifest says of how the model came about (`job.runs.provenance`), so that it can be made again."""

    def write(self) -> dict[str, Path]:
        """Add the card, scores, predictions, settings and metrics; returns all files by name."""
        folder, settings = self.place.folder, self.facts.settings
        (folder / layout.SCORES).write_text(json.dumps(dict(self.results), indent=1))
        if self.predictions.exists():
            shutil.copyfile(self.predictions, folder / layout.PREDICTIONS)
        (folder / layout.SETTINGS).write_text(json.dumps(settings, indent=1, ensure_ascii=False))
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        (folder / layout.HISTORY).write_text(lines)
        write_card(folder / layout.CARD, self.facts, self.results)
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(folder)): path for path in paths}
