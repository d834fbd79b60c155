"""A model's tokenizer: loaded, told apart from others, and what it decides of a new model."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from job.data.artifacts import canonical_json
from job.errors import DataError, SettingsError
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
from job.models.damage import readable

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")
"""The files that may hold a tokenizer's vocabulary; at least one must be there."""


def load_tokenizer(
    place: Place, settings: Model, padding: int | None = None
) -> PreTrainedTokenizerFast:
    """The fast tokenizer, which pads with some token.

    Args:
        padding: the id that the model's config pads with, for a tokenizer that has no opinion.

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
        known = padding is not None and 0 <= padding < len(tokenizer)
        given = tokenizer.convert_ids_to_tokens(padding) if known else None
        tokenizer.pad_token = given or tokenizer.eos_token or tokenizer.unk_token
        event("the tokenizer has no padding token; another serves", token=tokenizer.pad_token)
    if tokenizer.pad_token is None:
        raise SettingsError(
            f"the tokenizer in {place.name} has no padding token and none that could serve as one; "
            "every task needs one",
            hint="add pad_token to its tokenizer_config.json",
        )
    return tokenizer


READ = (
    *("special_tokens_map", "extra_special_tokens", "chat_template", "split_special_tokens"),
    *("padding_side", "truncation_side", "model_max_length", "model_input_names"),
    *("clean_up_tokenization_spaces", "src_lang", "tgt_lang"),
)
"""The attributes of a tokenizer, besides its backend, that decide how text becomes tokens or tokens text."""


def tokenizer_sha256(tokenizer: PreTrainedTokenizerFast) -> str:
    """What identifies how text becomes tokens, and tokens text, whatever files it was read from.

    How the backend cuts and pads is left out: each use of it sets that anew.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    whole = {
        name: value for name, value in backend.items() if name not in ("truncation", "padding")
    }
    read = {name: getattr(tokenizer, name, None) for name in READ}
    return hashlib.sha256(canonical_json([whole, read])).hexdigest()


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
