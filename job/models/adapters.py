"""LoRA adapters as files: saved without the model that they belong to, and put back into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import DataError
from job.models.config import load_config
from job.models.damage import readable
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def save_adapter(
    model: Any, tokenizer: PreTrainedTokenizerFast, base: Place, settings: Model, folder: Path
) -> None:
    """Write adapter_config.json, which names the base model, adapter_model.safetensors, config.json
    and the tokenizer. Embeddings that were given new rows are saved whole.

    Args:
        model: peft's.
        base: the model that the adapters were trained on.
    """
    vocabulary = load_config(base, settings).get_text_config().vocab_size
    grown = model.get_input_embeddings().weight.shape[0] != vocabulary
    model.peft_config["default"].base_model_name_or_path = base.name
    model.save_pretrained(folder, save_embedding_layers=grown)
    plain = model.get_base_model()
    plain.config.save_pretrained(folder)
    if plain.can_generate():
        plain.generation_config.save_pretrained(folder)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def with_adapter(
    model: PreTrainedModel, place: Place, missing: set[str], vocabulary: int
) -> PreTrainedModel:
    """The base model with a place's adapters added into its weights.

    Args:
        model: the base, with the task's head.
        place: holds the adapters.
        missing: the weights that the base does not hold; the adapters must.
        vocabulary: rows that the embeddings must have.

    Raises:
        DataError: the adapters do not fit the model.
    """
    library = transformers()
    from peft import PeftModel
    from safetensors import safe_open

    if model.get_input_embeddings().weight.shape[0] != vocabulary:
        model.resize_token_embeddings(vocabulary)
    with readable("adapter", place):
        with safe_open(place.folder / "adapter_model.safetensors", framework="numpy") as file:
            held = {name.removeprefix("base_model.model.") for name in file.keys()}  # noqa: SIM118 - it cannot be iterated
        if lacking := sorted(missing - held):
            raise DataError(
                f"the adapters in {place.name} do not hold {lacking[0]}, and their base model does not either",
                hint="train them with FINETUNE_PUBLISH__MERGE=true, or on a model that has this head",
            )
        merged: PreTrainedModel = PeftModel.from_pretrained(
            model, str(place.folder)
        ).merge_and_unload()
        generation = place.folder / library.utils.GENERATION_CONFIG_NAME
        if merged.can_generate() and generation.is_file():
            # training may have changed how the base ends a text
            merged.generation_config = library.GenerationConfig.from_pretrained(place.folder)
        return merged
