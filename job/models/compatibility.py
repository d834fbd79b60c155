"""Whether a model's architecture can learn a task, found out from its config alone."""

from __future__ import annotations

from typing import Any

from job.errors import SettingsError
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.tasks.base import Task

_ENCODERS = "an encoder such as BERT, RoBERTa or ModernBERT"
FITTING = {
    "AutoModelForSequenceClassification": (
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
        f"{_ENCODERS}, or a decoder such as GPT-2",
    ),
    "AutoModelForTokenClassification": ("MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES", _ENCODERS),
    "AutoModelForQuestionAnswering": ("MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES", _ENCODERS),
    "AutoModelForMaskedLM": ("MODEL_FOR_MASKED_LM_MAPPING_NAMES", _ENCODERS),
    "AutoModelForCausalLM": (
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
        "a decoder such as GPT-2, Llama or Qwen",
    ),
    "AutoModelForSeq2SeqLM": (
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
        "an encoder-decoder such as T5, BART or mBART",
    ),
}
"""For each Auto class, transformers' list of the model types that it takes, and how to describe them."""


def check_fits(config: Any, task: Task, place: Place) -> None:
    """Refuse an architecture that transformers has no head for, or that would see what it predicts.

    A model that brings its own code is not checked.

    Raises:
        SettingsError: naming the models that fit.
    """
    if getattr(config, "auto_map", None):
        return
    modeling_auto = transformers().models.auto.modeling_auto
    names, fitting = FITTING[task.auto_class]
    kind = config.model_type
    fits = kind in getattr(modeling_auto, names)
    if task.auto_class == "AutoModelForCausalLM" and fits:
        # an encoder reads to the right too unless its config says otherwise
        encoder = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        fits = not encoder or config.is_encoder_decoder or getattr(config, "is_decoder", False)
    if not fits:
        raise SettingsError(
            f"the task {task.name} needs {fitting}; {place.name} is a {kind} model",
            hint="name another in FINETUNE_MODEL__NAME, or set FINETUNE_TASK to what this one can do",
        )
