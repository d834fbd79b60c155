"""The model made ready for training, and made plain again: adapters, recomputation, compilation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from job import models
from job.errors import SettingsError
from job.runtime.device import seed_everything
from job.settings import Lora, Model, Train
from job.stages.train.context import StartingPoint
from job.tasks.base import Task
from job.telemetry import event
from job.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def initial_model(start: StartingPoint) -> Any:
    """The model as it is before the first step: the same on every rank, on the CPU.

    Raises:
        DataError: the files are damaged or not this architecture's.
        SettingsError: the settings ask for what this architecture cannot do.
    """
    return begun(start)[0]


def begun(start: StartingPoint) -> tuple[Any, frozenset[str]]:
    """The same, with the names of the base's parameters that begin at random.

    Raises:
        DataError, SettingsError: see `initial_model`.
    """
    settings = start.settings
    seed_everything(settings.seed)
    model, lacking = models.load_base(start.place, start.task, settings.model)
    return make_trainable(model, start.tokenizer, start.task, settings.model, lacking), lacking


def make_trainable(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
    settings: Model,
    lacking: Collection[str] = (),
) -> Any:
    """The model with the tokenizer's padding token, its end of a text and a row for each of its tokens,
    with gradient checkpointing and adapters as the settings say.

    Args:
        lacking: the parameters that the base did not hold, and that begin at random.

    Raises:
        SettingsError: the settings ask for what this architecture cannot do.
    """
    if model.config.pad_token_id is None:
        event("the model has no padding token; the tokenizer's is taken", token=tokenizer.pad_token)
    models.pad_as(model, tokenizer)
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
    return _with_lora(model, task, settings.lora, lacking, rows) if settings.lora else model


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


def _with_lora(
    model: PreTrainedModel, task: Task, settings: Lora, lacking: Collection[str], words: int
) -> Any:
    """The model with adapters; what the base lacked is trained itself, and saved with them: a head, and
    the rows of the embeddings from `words` on."""
    from peft import LoraConfig, PeftModel, TaskType, get_peft_model

    targets, whole = settings.target_modules, models.modules_of(model, lacking)
    config = LoraConfig(
        task_type=TaskType(task.peft_type),
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(targets) if isinstance(targets, tuple) else targets,
        modules_to_save=whole or None,
        trainable_token_indices=_new_rows(model, words),
    )
    beside = [
        parameter
        for name, parameter in model.named_parameters()
        if name in lacking and not name.startswith(tuple(f"{module}." for module in whole))
    ]
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise SettingsError(
            f"LoRA does not fit {type(model).__name__} ({one_line(error)})",
            hint="name the modules in FINETUNE_MODEL__LORA__TARGET_MODULES, or `all-linear`",
        ) from None
    if config.task_type == TaskType.QUESTION_ANS:
        # peft's class for it keeps token_type_ids from the model; every other class passes all inputs on
        adapted.__class__ = PeftModel
    for parameter in beside:
        parameter.requires_grad_(True)
    return adapted


def _new_rows(model: PreTrainedModel, words: int) -> dict[str, list[int]] | None:
    """The rows from `words` on of the embeddings, and of an output layer that is not tied to them."""
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    new = list(range(words, embeddings.weight.shape[0]))
    tied = output is None or output.weight is embeddings.weight
    layers = [embeddings] if tied else [embeddings, output]
    names = [name for name, module in model.named_modules() if any(module is m for m in layers)]
    return dict.fromkeys(names, new) if new else None


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
