"""A large model's first layers: whatever config, tokenizer and weights must agree on, they show it too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job.models.config import load_config
from job.models.locate import Place
from job.settings import Model

LAYERS = 2
"""How many layers are left, on each side of an encoder-decoder."""
DEPTHS = ("num_hidden_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
"""The fields of a config that say how many there are."""


def first_layers(place: Place, settings: Model, folder: Path) -> Place:
    """The model of a place with its first layers alone, as a folder of links to its files.

    The model of adapters stays whole, since they name its layers.
    """
    if place.base is not None:
        return place
    config = load_config(place, settings)
    _cut(config.get_text_config())
    folder.mkdir(parents=True)
    for path in place.folder.iterdir():
        if path.name != "config.json":
            (folder / path.name).symlink_to(path.resolve())
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return Place(place.name, folder, place.identity, blank=place.blank)


def _cut(config: Any) -> None:
    for name in DEPTHS:
        depth = getattr(config, name, None)
        if not isinstance(depth, int) or depth <= LAYERS:
            continue
        setattr(config, name, LAYERS)
        for field, values in vars(config).items():
            if isinstance(values, list) and len(values) == depth:  # something for each layer
                setattr(config, field, values[:LAYERS])
