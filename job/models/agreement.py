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
from job.telemetry import event, warn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

PROBES = (
    "The quick brown fox, jumped over 13 lazy dogs' backs: \u201cwhy?\u201d",
    "  two  spaces,\ta tab\nand a line; e\u0301 \u00e9 \u00df \ufb01 \u0130",
    "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u4e2d\u6587 \u0939\u093f\u0928\u094d\u0926\u0940 "
    "\U0001f600 A-B_c/d@e.f #1 3.14e-5",
)
"""Texts in which tokenizers differ: case, white space, accents, ligatures, scripts, digits."""
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
        name, own = f"{kind}_token_id", getattr(tokenizer, f"{kind}_token_id", None)
        if own is None:
            continue
        for file, given in _said(config, generation, kind, own, words):
            problem = (
                f"{place.name}: {file} gives {name}={given}, and the tokenizer's {kind}_token "
                f"{getattr(tokenizer, f'{kind}_token')!r} is {own}"
            )
            outvoted = kind == "bos" and own in _ids(generation.get(name))
            counted = kind == "pad" and config.model_type in COUNTED_FROM_PADDING
            if counted or not (chosen or outvoted):
                raise SettingsError(problem, hint=f"correct the one that is wrong, {NAMED}")
            event("the model and the tokenizer differ; the tokenizer decides", what=problem)
    _check_generation(place, config, generation, max(words, len(tokenizer)))


def check_class(place: Place, tokenizer: PreTrainedTokenizerFast) -> None:
    """Compare the tokenizer with its tokenizer.json: transformers goes by the class that a file names, or
    else by the model's type, and that class may cut texts in its own way.

    Args:
        place: the tokenizer's.

    Raises:
        SettingsError: they cut a text differently; with both results.
    """
    from tokenizers import Tokenizer

    path = place.folder / "tokenizer.json"
    if not path.is_file():
        return
    with readable(path.name, place):
        file = Tokenizer.from_file(str(path))
    backends = (file, tokenizer.backend_tokenizer)
    for backend in backends:  # some are saved with what was set
        backend.no_truncation()
        backend.no_padding()
    for text in PROBES:
        by_file, by_class = (_encoded(backend, text) for backend in backends)
        if by_file == by_class:
            continue
        kind = type(tokenizer).__name__
        if len({tuple(_encoded(backend, text.strip())) for backend in backends}) == 1:  # Llama 2
            warn(
                "texts that begin or end with spaces are cut otherwise than tokenizer.json does",
                model=place.name,
                tokenizer=kind,
            )
            continue
        at = next((i for i, (a, b) in enumerate(zip(by_file, by_class, strict=False)) if a != b), 0)
        raise SettingsError(
            f"{place.name}: {text[:20]!r} is {_shown(by_file, at)} by tokenizer.json, and "
            f"{_shown(by_class, at)} as {kind}, which transformers takes it for",
            hint="where tokenizer.json is right, write "
            '"tokenizer_class": "TokenizersBackend" into tokenizer_config.json; else remove it',
        )


def _encoded(backend: Any, text: str) -> list[int]:
    ids: list[int] = backend.encode(text, add_special_tokens=False).ids
    return ids


def _shown(ids: list[int], at: int) -> str:
    return f"{'… ' if at else ''}{ids[at : at + 8]}"


def _said(
    config: PreTrainedConfig, generation: Mapping[str, Any], kind: str, own: int, words: int
) -> Iterator[tuple[str, Any]]:
    """The files that give another id for a kind of token than the tokenizer's `own`, with what they give.

    The architecture's default, where it is not in this vocabulary, or where the generation config knows
    better, was said by nobody.
    """
    name, text = f"{kind}_token_id", config.get_text_config()
    default, given = getattr(type(text)(), name, None), getattr(text, name, None)
    ends = generation.get(name) if kind == "eos" else None
    ids, end_ids = list(_ids(given)), list(_ids(ends))
    unsaid = given == default and (own in end_ids or all(i >= words for i in ids))
    if ids and own not in ids and not unsaid:
        yield CONFIG, given
    unsaid = ends == default and all(i >= words for i in end_ids)
    if end_ids and own not in end_ids and not unsaid:
        yield GENERATION, ends


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
    elif wrong := [(i, name) for i, name in by_id.items() if by_name.get(name, i) != i]:
        number, name = wrong[0]
        problem = f"id2label names {number} {name!r}, and label2id gives {name!r} the number {by_name[name]}"
    else:
        return
    raise SettingsError(f"{place.name}: {CONFIG} contradicts itself: {problem}", hint="correct it")
