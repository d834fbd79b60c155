"""A model's config.json, and what it says of labels and lengths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from job.errors import DataError, SettingsError
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.tasks.positions import positions_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig
from job.models.damage import COMPLETE, readable


def load_config(place: Place, settings: Model) -> PreTrainedConfig:
    """The model's config.json.

    Raises:
        DataError: it is missing, or cannot be read.
    """
    if not (place.folder / "config.json").is_file():
        raise DataError(f"{place.name} holds no config.json", hint=COMPLETE)

    with readable("config", place):
        _check_sizes(json.loads((place.folder / "config.json").read_text()))
        config = transformers().AutoConfig.from_pretrained(
            place.folder, trust_remote_code=settings.trust_remote_code, local_files_only=True
        )
        if config.get_text_config().vocab_size < 1:
            raise ValueError("vocab_size is below 1")
    return config


MOST = {"num_labels": 10**6, "layers": 10**4}
"""What no model has more of; transformers would make a list, or modules, of as many as are written there."""


def _check_sizes(fields: Mapping[str, Any]) -> None:
    """Refuse sizes that would take all memory before anything is compared.

    Raises:
        ValueError: a field is beyond what any model has.
    """
    for name, value in fields.items():
        most = next((most for part, most in MOST.items() if part in name), None)
        if most is not None and isinstance(value, (int, float)) and value > most:
            raise ValueError(f"{name} is {value}, and at most {most} are believed")


SHORTEST = 2
"""Tokens that a row must be allowed to have."""


def label_names(config: Any) -> tuple[str, ...]:
    """The model's own labels in order; empty where they are transformers' LABEL_0, LABEL_1 …"""
    names = tuple(str(config.id2label[i]) for i in sorted(config.id2label or ()))
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(names)) else names


def max_length_of(
    config: Any,
    tokenizer: Any,
    wanted: int | None,
    most: int = 512,
    setting: str = "FINETUNE_ENCODE__MAX_LENGTH",
) -> int:
    """How many tokens a row may have: the setting, or else the model's own limit, but at most `most`.

    Raises:
        SettingsError: the setting is above what the model takes, or the tokenizer takes nothing.
    """
    own = tokenizer.model_max_length
    if not isinstance(own, (int, float)) or own < SHORTEST:
        raise SettingsError(
            f"the tokenizer's model_max_length is {own!r}, which leaves no room for a text",
            hint="correct it in tokenizer_config.json",
        )
    limit = min(positions_of(config) or 10**9, int(own))
    if wanted is not None and wanted > limit:
        raise SettingsError(
            f"{setting}={wanted} is above the {limit} tokens that the model takes",
            hint=f"set it to {limit} at most",
        )
    return wanted or min(limit, most)
