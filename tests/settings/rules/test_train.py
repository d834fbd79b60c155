"""What the device, the micro-batches and the loss allow."""

from __future__ import annotations

import pytest

from job.tasks import TASKS
from job.tasks.base import Task
from job.tasks.text_classification import TextClassification
from tests.support.settings import loaded, refused

REGRESSION = {"MODEL__PROBLEM_TYPE": "regression"}
MULTI = {"MODEL__PROBLEM_TYPE": "multi_label_classification"}
FSDP = {"TRAIN__STRATEGY": "fsdp"}


@pytest.mark.parametrize("task", [task.name for task in TASKS if task is not TextClassification])
def test_class_weights_are_for_labels_of_texts(task: str) -> None:
    given = {"TRAIN__CLASS_WEIGHTS": "balanced"}
    refused(f"FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for {task}", TASK=task, **given)
    loaded(**given)


@pytest.mark.parametrize("task", TASKS)
def test_label_smoothing_is_for_the_tasks_whose_loss_reads_it(task: type[Task]) -> None:
    given = {"TASK": task.name, "TRAIN__LABEL_SMOOTHING": "0.1"}
    if hasattr(task, "label_smoothing"):
        loaded(**given)
    else:
        refused(f"SMOOTHING has no meaning for {task.name}", **given)


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


CHAMPION = {"TRAIN__FROM": "champion"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {**CHAMPION, "MODEL__LORA": "{}", "PUBLISH__MERGE": "false"},
            "goes on from a whole model.*set FINETUNE_PUBLISH__MERGE=true",
        ),
        (
            {**CHAMPION, "MODEL__NAME": "s3://bucket/models/model/champion"},
            "both name the champion",
        ),
        (
            {**CHAMPION, "MODEL__TRUST_REMOTE_CODE": "true", "MODEL__REVISION": "a" * 40},
            "does not work with FINETUNE_MODEL__TRUST_REMOTE_CODE",
        ),
        ({"TRAIN__REPLAY": "0.5"}, "REPLAY is for FINETUNE_TRAIN__FROM=champion"),
    ],
)
def test_what_cannot_go_on_from_the_champion_is_refused(given: dict[str, str], said: str) -> None:
    refused(said, **given)
    loaded(**CHAMPION, TRAIN__REPLAY="0.5", MODEL__LORA="{}")
