"""A model's config, its tokenizer, and what its weights' headers say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from job.errors import DataError, JobError, SettingsError, one_line
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


COMPLETE = "download it again; a model needs config.json, model.safetensors and tokenizer.json"

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")
"""The files that may hold a tokenizer's vocabulary; at least one must be there."""


@contextmanager
def readable(what: str, place: Place) -> Iterator[None]:
    """Turn the many ways in which a damaged model fails into one error."""
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as error:
        reason = one_line(error)
        raise DataError(
            f"the {what} in {place.name} cannot be read ({type(error).__name__}: {reason})",
            hint=COMPLETE,
        ) from error


def check_weights(place: Place) -> None:
    """Read the weights' headers, so that a damaged model ends the run before its data is prepared.

    Raises:
        DataError: there are none, or a file was cut short.
    """
    from safetensors import safe_open

    if place.blank:
        return
    files = sorted(place.weights.glob("*.safetensors"))
    if not files:
        raise DataError(
            f"{place.name} holds no .safetensors file",
            hint="save it with transformers' save_pretrained; weights in a pickle (pytorch_model.bin) "
            "are not read, since unpickling can run any code in this job",
        )
    for path in files:
        with readable(path.name, place), safe_open(path, framework="numpy"):
            pass


def load_config(place: Place, settings: Model) -> PreTrainedConfig:
    """The model's config.json.

    Raises:
        DataError: it is missing, or cannot be read.
    """
    if not (place.folder / "config.json").is_file():
        raise DataError(f"{place.name} holds no config.json", hint=COMPLETE)

    with readable("config", place):
        return transformers().AutoConfig.from_pretrained(
            place.folder, trust_remote_code=settings.trust_remote_code, local_files_only=True
        )


def label_names(config: Any) -> tuple[str, ...]:
    """The model's own labels in order; empty where they are transformers' LABEL_0, LABEL_1 …"""
    names = tuple(str(config.id2label[i]) for i in sorted(config.id2label or ()))
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(names)) else names


def load_tokenizer(place: Place, settings: Model) -> PreTrainedTokenizerFast:
    """The fast tokenizer.

    Raises:
        DataError: it cannot be read, or there is only a slow one.
    """
    # without its files transformers makes one with an empty vocabulary
    if not any(file for pattern in VOCABULARIES for file in place.folder.glob(pattern)):
        raise DataError(
            f"{place.name} holds no tokenizer",
            hint="add its tokenizer.json, or name another in FINETUNE_MODEL__TOKENIZER",
        )
    with readable("tokenizer", place):
        tokenizer = transformers().AutoTokenizer.from_pretrained(
            place.folder, trust_remote_code=settings.trust_remote_code, local_files_only=True
        )
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"the tokenizer in {place.name} is not a fast one",
            hint="add a tokenizer.json, or name another in FINETUNE_MODEL__TOKENIZER",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        event("the tokenizer has no padding token; another serves", token=tokenizer.pad_token)
    if tokenizer.pad_token is None:
        raise SettingsError(
            f"the tokenizer in {place.name} has no padding token and none that could serve as one; "
            "every task needs one",
            hint="add pad_token to its tokenizer_config.json",
        )
    return tokenizer


def tokenizer_sha256(tokenizer: PreTrainedTokenizerFast) -> str:
    """What identifies how text becomes tokens, whatever file it was read from."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def max_length_of(
    config: Any,
    tokenizer: Any,
    wanted: int | None,
    most: int = 512,
    setting: str = "FINETUNE_ENCODE__MAX_LENGTH",
) -> int:
    """How many tokens a row may have: the setting, or else the model's own limit, but at most `most`.

    Raises:
        SettingsError: the setting is above what the model takes.
    """
    positions = getattr(config, "max_position_embeddings", None) or 10**9
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "longformer"):
        positions -= 2  # they count positions from the padding token's id on
    limit = min(positions, tokenizer.model_max_length)
    if wanted is not None and wanted > limit:
        raise SettingsError(
            f"{setting}={wanted} is above the {limit} tokens that the model takes",
            hint=f"set it to {limit} at most",
        )
    return wanted or min(limit, most)


def vocabulary_of(tokenizer: PreTrainedTokenizerFast) -> dict[str, int | None]:
    """The fields of a new model's config that its tokenizer decides; a token's id may be 0."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id if bos is None else bos,
        "eos_token_id": tokenizer.sep_token_id if eos is None else eos,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
