"""The model to fine-tune, as far as preparation needs it: its files, its tokenizer, its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import models, tasks
from job.batching.limits import Limits
from job.batching.padding import Padding
from job.models import Place
from job.settings import Settings
from job.uris import Uri

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Base:
    """The model to fine-tune, as far as preparation needs it."""

    place: Place
    words: Place
    """Where the tokenizer is."""
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    labels: tuple[str, ...]

    def limits(self, settings: Settings) -> Limits:
        """How large a micro-batch is and how it is padded."""
        encode, tokenizer = settings.encode, self.tokenizer
        padding = Padding(
            int(tokenizer.pad_token_id),
            multiple=encode.pad_to_multiple_of,
            fixed=self.max_length if encode.padding == "max_length" else None,
            side=tokenizer.padding_side,
        )
        return Limits(settings.train.tokens_per_device, padding)


def _places(base: Base) -> list[dict[str, Any]]:
    """Where the model and the tokenizer lie on this pod's disk, as JSON."""
    return [
        {k: str(v) if isinstance(v, Path) else v for k, v in vars(place).items()}
        for place in (base.place, base.words)
    ]


def _place(value: dict[str, Any]) -> Place:
    folders = {name: Path(value[name]) for name in ("folder", "base") if value[name]}
    return Place(**{**value, **folders})


def find_base(settings: Settings, scratch: Path, commit: str | None = None) -> Base:
    """The model's files, its tokenizer and its limits; or a config to make one from.

    Args:
        commit: of the Hub, in place of the revision in the settings.
    """
    model = settings.model
    if model.config is None:
        place = models.find(
            model.name, commit or model.revision, scratch, code=model.trust_remote_code
        )
        return base_in(place, settings, scratch)
    words = models.find(model.tokenizer or Uri(""), None, scratch)
    tokenizer = models.load_tokenizer(words, model)
    place = models.from_config(model.config, models.vocabulary_of(tokenizer), scratch)
    return _base(place, words, models.load_config(place, model), tokenizer, settings)


def base_in(place: Place, settings: Settings, scratch: Path) -> Base:
    """The model in a place, with its own tokenizer or the one that the settings name."""
    model = settings.model
    other = models.find(model.tokenizer, None, scratch) if model.tokenizer else place
    models.check_weights(place)
    config = models.load_config(place, model)
    return _base(place, other, config, models.load_tokenizer(other, model), settings)


def _base(
    place: Place,
    words: Place,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
) -> Base:
    task, encode = tasks.create(settings), settings.encode
    models.check_fits(config, task, place)
    task.configure_tokenizer(tokenizer)
    length = models.max_length_of(config, tokenizer, encode.max_length, task.longest)
    if encode.max_target_length:
        setting = "FINETUNE_ENCODE__MAX_TARGET_LENGTH"
        models.max_length_of(config, tokenizer, encode.max_target_length, setting=setting)
    return Base(place, words, config, tokenizer, length, models.label_names(config))
