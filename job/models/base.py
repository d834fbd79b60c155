"""The model that a command starts from, read but for its weights: files, config, tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import tasks
from job.batching.limits import Limits
from job.batching.padding import Padding
from job.distributed.world import World
from job.models.agreement import check_agreement, check_class
from job.models.compatibility import check_fits
from job.models.config import label_names, load_config, max_length_of
from job.models.headers import check_shapes, check_weights
from job.models.locate import Place, find, from_config
from job.models.tokenizer import load_tokenizer, vocabulary_of
from job.settings import Settings
from job.tasks.special_tokens import read_as_text

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Base:
    """The model that a command starts from, read but for its weights.

    It fits the task, and its tokenizer is configured for it. To a run it is the model to fine-tune;
    to `evaluate` and `predict` it is the one that has learned the task already.
    """

    place: Place
    tokenizer_place: Place
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    """Tokens that a row may have."""
    labels: tuple[str, ...]
    """The model's own, in order; empty where it has none."""

    @classmethod
    def read(
        cls,
        place: Place,
        tokenizer_place: Place,
        settings: Settings,
        tokenizer: PreTrainedTokenizerFast | None = None,
    ) -> Base:
        """Read what lies in two places.

        Args:
            tokenizer: where it has been read already.

        Raises:
            DataError: config or tokenizer cannot be read.
            SettingsError: the model does not fit the task, takes fewer tokens than were asked for, or its
                config and its tokenizer disagree.
        """
        config = load_config(place, settings.model)
        text = config.get_text_config()
        tokenizer = tokenizer or load_tokenizer(tokenizer_place, settings.model, text.pad_token_id)
        task, encode = tasks.create(settings), settings.encode
        check_fits(config, task, place)
        check_class(tokenizer_place, tokenizer)
        check_agreement(place, config, tokenizer, chosen=settings.model.tokenizer is not None)
        task.configure_tokenizer(tokenizer)
        read_as_text(
            tokenizer, as_text=not encode.obey_special_tokens, saved=task.reads_texts_alone
        )
        length = max_length_of(config, tokenizer, encode.max_length, task.longest)
        if encode.max_target_length:
            setting = "FINETUNE_ENCODE__MAX_TARGET_LENGTH"
            max_length_of(config, tokenizer, encode.max_target_length, setting=setting)
        return cls(place, tokenizer_place, config, tokenizer, length, label_names(config))

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

    def share(self, world: World) -> None:
        """As the first rank of a pod, tell its other ranks where the files lie; see `shared_base`."""
        world.rendezvous.publish_to_node(_NOTE, self._places())

    def _places(self) -> list[dict[str, Any]]:
        return [_as_json(place) for place in (self.place, self.tokenizer_place)]


def find_base(settings: Settings, scratch: Path, commit: str | None = None) -> Base:
    """The model that the settings name, fetched where it is not on this disk; or a config for a new one.

    Args:
        commit: of the Hub, in place of the revision in the settings.

    Raises:
        InputMissing: the model or the tokenizer does not exist.
        DataError, SettingsError: see `Base.read`.
    """
    model = settings.model
    if model.config is None:
        revision, code = commit or model.revision, model.trust_remote_code
        return open_base(find(model.name, revision, scratch, code=code), settings, scratch)
    tokenizer_place = find(str(model.tokenizer), None, scratch)
    tokenizer = load_tokenizer(tokenizer_place, model)
    place = from_config(model.config, vocabulary_of(tokenizer), scratch)
    return Base.read(place, tokenizer_place, settings, tokenizer)


def open_base(place: Place, settings: Settings, scratch: Path) -> Base:
    """The model in a place, with its own tokenizer or the one that the settings name.

    Raises:
        DataError, SettingsError: see `Base.read`; or the weights are damaged, or not those of the config.
    """
    name = settings.model.tokenizer
    tokenizer_place = find(name, None, scratch) if name else place
    check_weights(place)
    base = Base.read(place, tokenizer_place, settings)
    check_shapes(place, tasks.create(settings), settings.model)
    return base


# -- between the ranks of a pod, which share a disk ------------------------------------------------

_NOTE = "base"


def shared_base(settings: Settings, scratch: Path, commit: str | None, world: World) -> Base:
    """`find_base` where several ranks share a pod: its first rank fetches the files for all of them.

    Raises:
        PeerLost: the first rank is gone.
    """

    def fetch() -> list[dict[str, Any]]:
        return find_base(settings, scratch, commit)._places()

    place, tokenizer_place = (
        _from_json(value) for value in world.rendezvous.once_per_node(_NOTE, fetch)
    )
    return Base.read(place, tokenizer_place, settings)


def shared_place(note: str, find: Callable[[], Place], world: World) -> Place:
    """A place that the first rank of a pod finds for all of its ranks.

    Args:
        note: its name between the ranks.

    Raises:
        PeerLost: the first rank is gone.
    """
    return _from_json(world.rendezvous.once_per_node(note, lambda: _as_json(find())))


def _as_json(place: Place) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(place).items()}


def _from_json(value: dict[str, Any]) -> Place:
    paths = {name: Path(value[name]) for name in ("folder", "base") if value[name]}
    return Place(**{**value, **paths})
