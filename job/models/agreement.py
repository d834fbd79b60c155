"""What config.json, generation_config.json and the tokenizer say of the same fact: it must be the same.

Where both say something and it differs, nobody can know which of them the weights were trained with,
so that is refused with both values. A tokenizer that a setting names was chosen over the model's own,
and decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from job.errors import SettingsError
from job.models.damage import readable
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.tasks.positions import COUNTED_FROM_PADDING
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENS = ("pad", "bos", "eos", "cls", "sep", "mask")
"""Special tokens whose ids a config may give too."""
GENERATED = ("eos", "decoder_start", "forced_bos", "forced_eos")
"""Special tokens that a generation config makes a model begin or end with."""
NAMED = "or name the tokenizer in FINETUNE_MODEL__TOKENIZER, to let it decide"


def check_agreement(
    place: Place, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, *, chosen: bool
) -> None:
    """Compare what a model's files say of special tokens, of the vocabulary and of labels.

    Args:
        place: the model's.
        chosen: whether a setting names the tokenizer, so that it may differ from the model's config.

    Raises:
        SettingsError: two of them say different things; with both values.
        DataError: a file is not what its name says.
    """
    generation = {} if place.blank else _generation(place)
    _check_labels(place)
    words = config.get_text_config().vocab_size
    _check_vocabulary(place, words, tokenizer, chosen=chosen)
    for kind in TOKENS:
        own = getattr(tokenizer, f"{kind}_token_id", None)
        said = dict(_said(config, generation, kind, words))
        ids = [i for given in said.values() for i in _ids(given)]
        if own is None or not ids or own in ids:
            continue
        file, given = next(iter(said.items()))
        problem = (
            f"{place.name}: {file} gives {kind}_token_id={given}, and the tokenizer's {kind}_token "
            f"{getattr(tokenizer, f'{kind}_token')!r} is {own}"
        )
        if not chosen or (kind == "pad" and config.model_type in COUNTED_FROM_PADDING):
            raise SettingsError(problem, hint=f"correct the one that is wrong, {NAMED}")
        event("the model and the tokenizer differ; the tokenizer decides", what=problem)
    _check_generation(place, config, generation, max(words, len(tokenizer)))


def _said(
    config: PreTrainedConfig, generation: Mapping[str, Any], kind: str, words: int
) -> Iterator[tuple[str, Any]]:
    """The files that give a token's id, with what they give.

    An id that no vocabulary of this size has, and that is the architecture's default, was said by nobody.
    """
    name = f"{kind}_token_id"
    text = config.get_text_config()
    given = getattr(text, name, None)
    default = getattr(type(text)(), name, None)
    if any(i < words for i in _ids(given)) or (given != default and list(_ids(given))):
        yield CONFIG, given
    given = generation.get(name)
    if kind == "eos" and (any(i < words for i in _ids(given)) or given != default):
        yield GENERATION, given


def _ids(given: Any) -> Iterator[int]:
    """The ids in a field of a config, which may hold one, several or none; -1 means none."""
    for value in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(value, int) and value >= 0:
            yield value


def _check_vocabulary(
    place: Place, words: int, tokenizer: PreTrainedTokenizerFast, *, chosen: bool
) -> None:
    """A model may lack rows for tokens that were added to its vocabulary, not for those in it."""
    if tokenizer.vocab_size > words and not (chosen or place.blank):
        raise SettingsError(
            f"{place.name}: the tokenizer has a vocabulary of {tokenizer.vocab_size} tokens, and "
            f"config.json gives vocab_size={words}",
            hint=f"put the model's own tokenizer there, {NAMED} and give the model new rows",
        )


def _generation(place: Place) -> Mapping[str, Any]:
    """What generation_config.json holds; nothing where there is none."""
    path = place.folder / GENERATION
    if not path.is_file():
        return {}
    with readable(GENERATION, place):
        values: dict[str, Any] = (
            transformers().GenerationConfig.from_pretrained(place.folder).to_dict()
        )
    return values


def _check_generation(
    place: Place, config: PreTrainedConfig, generation: Mapping[str, Any], words: int
) -> None:
    """What generation is made to begin and end with are tokens, and those of training."""
    for kind in GENERATED:
        name = f"{kind}_token_id"
        given, default = generation.get(name), getattr(type(config)(), name, None)
        if given != default and any(i >= words for i in _ids(given)):
            raise SettingsError(
                f"{place.name}: {GENERATION} gives {name}={given}, and there are {words} tokens",
                hint=f"correct {GENERATION}",
            )
    begins = getattr(config, "decoder_start_token_id", None)
    given = generation.get("decoder_start_token_id")
    if begins is not None and given is not None and begins != given:
        raise SettingsError(
            f"{place.name}: {CONFIG} gives decoder_start_token_id={begins}, with which targets are learned, "
            f"and {GENERATION} {given}, with which they are generated",
            hint="correct the one that is wrong",
        )


def _check_labels(place: Place) -> None:
    """Labels are numbered from 0, and both of a config's tables and its count agree on them."""
    with readable("config", place):
        config = json.loads((place.folder / CONFIG).read_text())
        names = config.get("id2label")
        if not isinstance(names, dict):
            return
        by_id = {int(number): str(name) for number, name in names.items()}
        ids = config.get("label2id") or {name: number for number, name in by_id.items()}
        by_name = {str(name): int(number) for name, number in ids.items()}
    count = config.get("num_labels", config.get("_num_labels", len(by_id)))
    if sorted(by_id) != list(range(len(by_id))):
        problem = f"id2label numbers its labels {sorted(by_id)[:20]}, not from 0 on"
    elif count != len(by_id):
        problem = f"num_labels is {count}, and id2label has {len(by_id)} labels"
    elif wrong := [name for number, name in by_id.items() if by_name.get(name, number) != number]:
        number = by_name[wrong[0]]
        problem = (
            f"id2label gives {number} the name {by_id.get(number)!r}, and label2id {wrong[0]!r}"
        )
    else:
        return
    raise SettingsError(f"{place.name}: {CONFIG} contradicts itself: {problem}", hint="correct it")
