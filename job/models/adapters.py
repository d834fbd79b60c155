"""LoRA adapters as files: saved without the model that they belong to, and put back into it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import DataError
from job.models.config import load_config
from job.models.damage import readable
from job.models.headers import shapes_of
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the name of a parameter."""


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
    _add_trained(model, folder / WEIGHTS)
    plain = model.get_base_model()
    plain.config.save_pretrained(folder)
    if plain.can_generate():
        plain.generation_config.save_pretrained(folder)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def _add_trained(model: Any, path: Path) -> None:
    """Save with the adapters what was trained in the model itself, which peft passes over."""
    from safetensors.torch import load_file, save_file

    own = ("lora_", "modules_to_save", "trainable_tokens")
    trained = {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not any(part in name for part in own)
    }
    if trained:
        save_file({**load_file(path), **trained}, path, metadata={"format": "pt"})


def with_adapter(
    model: PreTrainedModel, place: Place, missing: frozenset[str], vocabulary: int
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

    if model.get_input_embeddings().weight.shape[0] != vocabulary:
        model.resize_token_embeddings(vocabulary)
    with readable("adapter", place):
        held = {name.removeprefix(PREFIX) for name in shapes_of(place.folder / WEIGHTS)}
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


def modules_of(model: PreTrainedModel, parameters: Collection[str]) -> list[str]:
    """The largest modules of which every parameter is among these, by name.

    What is left, such as a bias of the output layer whose weights are the embeddings', lies beside
    parameters that are not, and belongs to no such module.
    """
    modules: list[str] = []
    for name, module in model.named_modules():
        own = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        inside = any(name.startswith(f"{outer}.") for outer in modules)
        if name and own and not inside and all(parameter in parameters for parameter in own):
            modules.append(name)
    return modules


def without_adapters(model: Any) -> PreTrainedModel:
    """The model itself, whether peft has wrapped it or not."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
