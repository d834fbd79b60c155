"""Mistakes in the settings of summarization and translation, and of parallel text files."""

from __future__ import annotations

from collections.abc import Iterator

from job.settings.sections.training import Generation
from job.settings.tree import Settings

TASKS = ("summarization", "translation")
SPLITS = ("train", "validation", "test")


def mistakes(settings: Settings) -> Iterator[str]:
    """What contradicts itself or has no effect, each with its fix."""
    if settings.task not in TASKS:
        yield from _unused(settings)
        return
    for split in SPLITS:
        yield from _targets(settings, split)
    generation = settings.evaluate.generation
    if generation.length_penalty is not None and generation.num_beams == 1:
        yield (
            "FINETUNE_EVALUATE__GENERATION__LENGTH_PENALTY ranks the hypotheses of several beams; "
            "raise FINETUNE_EVALUATE__GENERATION__NUM_BEAMS, or unset it"
        )
    fewest, most = generation.min_new_tokens, generation.max_new_tokens
    if fewest and most and fewest > most:
        yield (
            f"FINETUNE_EVALUATE__GENERATION__MIN_NEW_TOKENS={fewest} is above MAX_NEW_TOKENS={most}; "
            "lower it"
        )


def _unused(settings: Settings) -> Iterator[str]:
    data, encode = settings.data, settings.encode
    given = {
        **{f"DATA__{split.upper()}_TARGET": getattr(data, f"{split}_target") for split in SPLITS},
        "ENCODE__MAX_TARGET_LENGTH": encode.max_target_length,
        "ENCODE__PREFIX": encode.prefix,
        "ENCODE__SOURCE_LANGUAGE": encode.source_language,
        "ENCODE__TARGET_LANGUAGE": encode.target_language,
        "EVALUATE__GENERATION": settings.evaluate.generation != Generation(),
    }
    for name in (name for name, value in given.items() if value):
        yield (
            f"FINETUNE_{name} has no meaning for {settings.task}; unset it, or set FINETUNE_TASK to "
            "summarization or translation"
        )


def _targets(settings: Settings, split: str) -> Iterator[str]:
    data = settings.data
    sources, targets = getattr(data, split), getattr(data, f"{split}_target")
    if not targets:
        return
    name = f"FINETUNE_DATA__{split.upper()}"
    if len(sources) != len(targets):
        yield (
            f"{name} names {len(sources)} place(s) and {name}_TARGET {len(targets)}; each file of "
            "sources needs its file of targets, in the same order"
        )
    if any(target.weight != 1 for target in targets):
        yield f"{name}_TARGET has a weight; give it to {name} instead"
    if data.format not in ("auto", "text"):
        yield (
            f"{name}_TARGET is for text files, and FINETUNE_DATA__FORMAT={data.format}; unset one "
            "or the other"
        )
