"""The model made ready for training, and made plain again: adapters, checkpointing, compilation."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from job.errors import SettingsError, one_line
from job.settings import Lora, Model, Train
from job.tasks.base import Task
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def adapted(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, task: Task, settings: Model
) -> Any:
    """The model with a padding token, an end and a row for each token of the tokenizer, with gradient
    checkpointing and adapters as the settings say."""
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
        event("the model has no padding token; the tokenizer's is taken", token=tokenizer.pad_token)
    _end_with(model, tokenizer)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer))
        event("embeddings grown to the tokenizer's vocabulary", before=rows, now=len(tokenizer))
    if settings.gradient_checkpointing:
        if not model.supports_gradient_checkpointing:
            raise SettingsError(
                f"{type(model).__name__} cannot recompute activations",
                hint="unset FINETUNE_MODEL__GRADIENT_CHECKPOINTING",
            )
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    return _with_adapters(model, task, settings.lora) if settings.lora else model


def _end_with(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let generation end where training ends a text: with another tokenizer than the model's own, or
    in a new model, that is another token."""
    generation, end = getattr(model, "generation_config", None), tokenizer.eos_token_id
    if generation is None or end is None:
        return
    own = generation.eos_token_id
    if end not in (own if isinstance(own, list) else [own]):
        model.config.eos_token_id = generation.eos_token_id = end
        event("the model ends texts otherwise; the tokenizer's end is taken", before=own, now=end)
    if generation.forced_eos_token_id is not None:  # BART's config has one by default
        generation.forced_eos_token_id = generation.eos_token_id


def _with_adapters(model: PreTrainedModel, task: Task, settings: Lora) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    targets = settings.target_modules
    config = LoraConfig(
        task_type=TaskType(task.peft_type),
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(targets) if isinstance(targets, tuple) else targets,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise SettingsError(
            f"LoRA does not fit {type(model).__name__} ({one_line(error)})",
            hint="name the modules in FINETUNE_MODEL__LORA__TARGET_MODULES, or `all-linear`",
        ) from None


def compiled(model: Any, settings: Train) -> Any:
    """The model, compiled if the settings say so; its weights stay the model's own.

    Raises:
        SettingsError: torch.compile writes C++ and there is no compiler.
    """
    if not settings.compile:
        return model
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise SettingsError(
            "FINETUNE_TRAIN__COMPILE needs a C++ compiler and there is none",
            hint="unset it, or build the image on a base that has one",
        )
    import torch

    return torch.compile(model)


def merged(model: Any) -> PreTrainedModel:
    """The plain model, adapters added into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
