"""How targets are generated: what a model's generation config says, and the texts that result."""

from __future__ import annotations

from typing import Any

from job.settings import Generation
from job.tasks.language_modeling import decoded, forget_lengths
from job.tasks.types import Scored


def configure(generation: Any, wanted: Generation, most: int) -> None:
    """Write into transformers' GenerationConfig; what the settings leave open stays as the model has it,
    except for how long its texts were.

    Args:
        generation: the model's, which is saved with it.
        wanted: the settings.
        most: tokens to generate at most.
    """
    forget_lengths(generation)
    generation.max_length = None
    generation.max_new_tokens, generation.min_new_tokens = most, wanted.min_new_tokens
    generation.do_sample, generation.num_beams = False, wanted.num_beams
    if wanted.num_beams == 1:  # transformers does not save what only beams have
        generation.length_penalty = generation.early_stopping = None
    for name in ("length_penalty", "no_repeat_ngram_size"):
        if (value := getattr(wanted, name)) is not None:
            setattr(generation, name, value)


def unwrapped(model: Any) -> Any:
    """The model inside DistributedDataParallel, which passes nothing on but calls."""
    return getattr(model, "module", model)


def predictions(scored: Scored) -> list[str]:
    """What was generated, without special tokens and white space around it."""
    return decoded(scored.tokenizer, [output[2:] for output in scored.outputs])


def references(scored: Scored) -> list[str]:
    """The targets as the cleaned rows have them."""
    return [target or "" for target in scored.rows.table.column("target").to_pylist()]
