"""What the device, the micro-batches and the loss allow."""

from __future__ import annotations

import pytest

from tests.support.settings import loaded, refused

REGRESSION = {"MODEL__PROBLEM_TYPE": "regression"}
MULTI = {"MODEL__PROBLEM_TYPE": "multi_label_classification"}
FSDP = {"TRAIN__STRATEGY": "fsdp"}


@pytest.mark.parametrize(
    "task", ["token-classification", "question-answering", "summarization", "translation"]
)
def test_class_weights_are_for_labels_of_texts(task: str) -> None:
    given = {"TRAIN__CLASS_WEIGHTS": "balanced"}
    refused(f"FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for {task}", TASK=task, **given)
    chats = {"TASK": "text-generation", "DATA__COLUMNS__MESSAGES": "chat"}
    refused("FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for text-generation", **chats, **given)
    loaded(**given)


def test_label_smoothing_is_not_for_positions() -> None:
    given = {"TRAIN__LABEL_SMOOTHING": "0.1"}
    refused("no meaning for question-answering", TASK="question-answering", **given)
    loaded(TASK="token-classification", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**FSDP, "TRAIN__PRECISION": "fp16"}, "fsdp does not work with .*PRECISION=fp16"),
        ({**FSDP, "TRAIN__COMPILE": "true"}, "fsdp does not work with FINETUNE_TRAIN__COMPILE"),
        (
            {"ENCODE__MAX_LENGTH": "30", "ENCODE__PAD_TO_MULTIPLE_OF": "8"},
            "MAX_LENGTH=30 is not a multiple of FINETUNE_ENCODE__PAD_TO_MULTIPLE_OF=8",
        ),
        (
            {**REGRESSION, "TRAIN__LABEL_SMOOTHING": "0.1"},
            "SMOOTHING has no meaning for regression",
        ),
        (
            {**REGRESSION, "TRAIN__CLASS_WEIGHTS": "balanced"},
            "WEIGHTS has no meaning for regression",
        ),
        ({**MULTI, "TRAIN__CLASS_WEIGHTS": "balanced"}, "balanced is for single labels"),
        (
            {"TRAIN__PATIENCE": "2", "DATA__VALIDATION_FRACTION": "0"},
            "FINETUNE_TRAIN__PATIENCE needs validation rows",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], said: str) -> None:
    refused(said, **given)
