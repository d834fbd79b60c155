"""Mistakes in TRAIN, and in what other sections must be for it."""

from __future__ import annotations

from collections.abc import Iterator

from job.settings.tree import Settings

UNSMOOTHED = ("question-answering", "fill-mask", "text-generation", "regression")
UNWEIGHTED = (*UNSMOOTHED, "token-classification", "summarization", "translation")
"""Tasks and problem types whose loss has no classes to smooth, or none to weight."""


def train(settings: Settings) -> Iterator[str]:
    """What the device, the micro-batches and the loss allow."""
    yield from _device(settings)
    yield from _lengths(settings)
    yield from _loss(settings)
    yield from _start(settings)
    data = settings.data
    if settings.train.patience is not None and not (data.validation or data.validation_fraction):
        yield "FINETUNE_TRAIN__PATIENCE needs validation rows; raise FINETUNE_DATA__VALIDATION_FRACTION"


def _device(settings: Settings) -> Iterator[str]:
    train = settings.train
    if train.strategy == "fsdp" and train.precision == "fp16":
        yield "FINETUNE_TRAIN__STRATEGY=fsdp does not work with FINETUNE_TRAIN__PRECISION=fp16; use bf16 or no"
    if train.strategy == "fsdp" and train.compile:
        yield "FINETUNE_TRAIN__STRATEGY=fsdp does not work with FINETUNE_TRAIN__COMPILE; unset one"
    if train.precision == "fp16" and settings.runtime.device == "cpu":
        yield "FINETUNE_TRAIN__PRECISION=fp16 does not work on a CPU; use bf16 or no"


def _lengths(settings: Settings) -> Iterator[str]:
    max_length = settings.encode.max_length
    if max_length is not None and settings.train.tokens_per_device < max_length:
        yield (
            f"FINETUNE_TRAIN__TOKENS_PER_DEVICE={settings.train.tokens_per_device} does not hold one row of "
            f"FINETUNE_ENCODE__MAX_LENGTH={max_length} tokens; raise one or lower the other"
        )
    if max_length is not None and max_length % settings.encode.pad_to_multiple_of:
        yield (
            f"FINETUNE_ENCODE__MAX_LENGTH={max_length} is not a multiple of "
            f"FINETUNE_ENCODE__PAD_TO_MULTIPLE_OF={settings.encode.pad_to_multiple_of}; make it one"
        )


def _loss(settings: Settings) -> Iterator[str]:
    train, task, problem = settings.train, settings.task, settings.model.problem_type
    for kind in (task, problem):
        if train.label_smoothing and kind in UNSMOOTHED:
            yield f"FINETUNE_TRAIN__LABEL_SMOOTHING has no meaning for {kind}; unset it"
        if train.class_weights != "none" and kind in UNWEIGHTED:
            yield f"FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for {kind}; unset it"
    if problem == "multi_label_classification" and train.class_weights == "balanced":
        yield "FINETUNE_TRAIN__CLASS_WEIGHTS=balanced is for single labels; give a weight for each label"


def _start(settings: Settings) -> Iterator[str]:
    train, model = settings.train, settings.model
    if train.from_ == "base":
        if train.replay != type(train)().replay:
            yield "FINETUNE_TRAIN__REPLAY is for FINETUNE_TRAIN__FROM=champion; unset it, or set that"
        return
    if model.lora is not None and not settings.publish.merge:
        yield (
            "FINETUNE_TRAIN__FROM=champion goes on from a whole model, and FINETUNE_PUBLISH__MERGE=false "
            "publishes adapters alone, for the base model; set FINETUNE_PUBLISH__MERGE=true, or "
            "FINETUNE_TRAIN__FROM=base"
        )
    if model.trust_remote_code:
        yield (
            "FINETUNE_TRAIN__FROM=champion does not work with FINETUNE_MODEL__TRUST_REMOTE_CODE, since code is "
            "only run for a model from the Hub at one commit; set FINETUNE_TRAIN__FROM=base"
        )
    own = f"{settings.output}/{settings.name}/champion"
    if str(model.name).rstrip("/") == own:
        yield (
            f"FINETUNE_MODEL__NAME={own} and FINETUNE_TRAIN__FROM=champion both name the champion; "
            "name the base model in the first, which a night without a champion begins from"
        )
