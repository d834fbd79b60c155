"""The tokenizer as it will be published: saved with the model's config, and loaded by that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import models
from job.errors import SettingsError
from job.models import Place
from job.models.agreement import PROBES
from job.stages.train.context import StartingPoint
from job.stages.train.trial.sample import Sample
from job.tasks.tokens import tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FACTS = (
    *("pad_token", "bos_token", "eos_token", "cls_token", "sep_token", "mask_token", "unk_token"),
    *("padding_side", "truncation_side", "model_input_names", "chat_template"),
)
"""What must come back beside the ids."""


def check_tokenizer(start: StartingPoint, sample: Sample, folder: Path) -> None:
    """Save the tokenizer beside the model's config, load it again, and put texts through both.

    Raises:
        SettingsError: the one that is loaded is another one; with both results.
    """
    config = models.load_config(start.place, start.settings.model)
    config.save_pretrained(folder)
    start.tokenizer.save_pretrained(folder)
    place = Place(start.place.name, folder, "")
    loaded = models.load_tokenizer(place, start.settings.model)
    if (
        not start.task.reads_texts_alone
    ):  # then it is not saved how it takes special tokens in texts
        loaded.split_special_tokens = start.tokenizer.split_special_tokens
    for problem in _differences(start, sample, loaded):
        raise SettingsError(
            f"the tokenizer of {start.place.name} is another one after it was saved and loaded as "
            f"{type(loaded).__name__}: {problem}",
            hint="name the class that it is in tokenizer_class of its tokenizer_config.json, or save it "
            "again with transformers' AutoTokenizer",
        )


def _differences(
    start: StartingPoint, sample: Sample, loaded: PreTrainedTokenizerFast
) -> Iterator[str]:
    own = start.tokenizer
    for fact in FACTS:
        before, after = getattr(own, fact), getattr(loaded, fact)
        if before != after:
            yield f"{fact} is {before!r} before and {after!r} after"
    for text in (*PROBES, *_texts(start, sample)):
        before, after = _ids(own, text), _ids(loaded, text)
        if before != after:
            yield f"{text[:40]!r} is {_shown(before)} before and {_shown(after)} after"
        if _plain(text, own):
            trained = tokenize(own, [text], None, sample.max_length).input_ids.to_pylist()[0]
            used = loaded(text, truncation=True, max_length=sample.max_length)["input_ids"]
            if trained != used:
                yield f"{text[:40]!r} is {_shown(trained)} in training and {_shown(used)} after"
    if sample.texts:
        mine, its = (
            start.task.features(sample.texts, tokenizer, sample.max_length).columns
            for tokenizer in (own, loaded)
        )
        for name in mine:
            if not mine[name].equals(its[name]):
                yield f"rows have other {name}"


def _texts(start: StartingPoint, sample: Sample) -> Iterator[str]:
    """The texts of the sample, but those that are JSON."""
    for role in start.task.text_roles:
        if role not in start.task.verbatim_roles:
            yield from (text for text in sample.texts.get(role, [])[:16] if text)


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def _plain(text: str, tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a text has no special token in it, which training may take for text."""
    return not any(str(token) in text for token in tokenizer.all_special_tokens)


def _shown(ids: Any) -> str:
    return f"{ids[:8]}{'…' if len(ids) > 8 else ''}"
