"""The model made ready for training, and made plain again: adapters, recomputation, compilation."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from job import models
from job.errors import SettingsError, one_line
from job.runtime.device import seed_everything
from job.settings import Lora, Model, Train
from job.stages.train.context import TrainContext
from job.tasks.base import Task
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def initial_model(context: TrainContext) -> Any:
    """The model as it is before the first step: the same on every rank, on the CPU.

    Raises:
        DataError: the files are damaged or not this architecture's.
        SettingsError: the settings ask for what this architecture cannot do.
    """
    settings = context.settings
    seed_everything(settings.seed)
    model = models.load(context.place, context.task, settings.model)
    return make_trainable(model, context.tokenizer, context.task, settings.model)


def make_trainable(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, task: Task, settings: Model
) -> Any:
    """The model with the tokenizer's padding token, its end of a text and a row for each of its tokens,
    with gradient checkpointing and adapters as the settings say.

    Raises:
        SettingsError: the settings ask for what this architecture cannot do.
    """
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
        event("the model has no padding token; the tokenizer's is taken", token=tokenizer.pad_token)
    _take_end_token(model, tokenizer)
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
    return _with_lora(model, task, settings.lora) if settings.lora else model


def _take_end_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let generation end where training ends a text: in a new model, or with another tokenizer than
    the model's own, that is another token."""
    generation, end = getattr(model, "generation_config", None), tokenizer.eos_token_id
    if generation is None or end is None:
        return
    own = generation.eos_token_id
    if end not in (own if isinstance(own, list) else [own]):
        model.config.eos_token_id = generation.eos_token_id = end
        event("the model ends texts differently; the tokenizer's end is taken", before=own, now=end)
    if generation.forced_eos_token_id is not None:  # BART's config has one by default
        generation.forced_eos_token_id = generation.eos_token_id


def _with_lora(model: PreTrainedModel, task: Task, settings: Lora) -> Any:
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


def merge_adapters(model: Any) -> PreTrainedModel:
    """The plain model, with its adapters, if any, added into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
