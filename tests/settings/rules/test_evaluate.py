"""A metric that a task does not have is refused with the settings, with the nearest one and the list."""

from __future__ import annotations

import pytest

from job.commands import find
from job.errors import SettingsError
from job.settings import load
from job.settings.metrics import METRICS
from tests.support.settings import COMPLETE, loaded, refused

PROMPTS = {"DATA__COLUMNS__PROMPT": "ask", "DATA__COLUMNS__COMPLETION": "say"}


@pytest.mark.parametrize("task", METRICS)
def test_a_name_that_no_metric_has_is_refused_for_every_task(task: str) -> None:
    said = f"FINETUNE_EVALUATE__METRIC=skill is not a metric of {task}.*; use one of loss, "
    refused(said, TASK=task, EVALUATE__METRIC="skill")
    loaded(TASK=task, EVALUATE__METRIC="loss")
    loaded(TASK=task, EVALUATE__METRIC="eval_loss")


@pytest.mark.parametrize(
    ("task", "more", "metric", "said"),
    [
        ("text-classification", {}, "acuracy", "did you mean accuracy"),
        (
            "text-classification",
            {"MODEL__PROBLEM_TYPE": "regression"},
            "f1",
            "with FINETUNE_MODEL__PROBLEM_TYPE=regression; use one of loss, mse, mae, pearson, spearman",
        ),
        ("token-classification", {}, "reccall", "did you mean recall"),
        ("token-classification", {}, "support_PER", "use one of loss, accuracy, precision"),
        (
            "token-classification",
            {"DATA__TAG_SCHEME": "none"},
            "f1_PER",
            "with FINETUNE_DATA__TAG_SCHEME=none; use one of loss, accuracy$",
        ),
        ("question-answering", {}, "exact", "did you mean exact_match"),
        ("question-answering", {}, "f1_who", "unanswerable_f1"),
        ("fill-mask", {}, "accuracy", "use one of loss, perplexity$"),
        ("text-generation", {}, "exact_match", "on plain text; use one of loss, perplexity$"),
        ("text-generation", PROMPTS, "exact", "did you mean exact_match"),
        ("summarization", {}, "rougel", "did you mean rougeL"),
        ("translation", {}, "rougeL", "use one of loss, bleu, chrf$"),
    ],
)
def test_the_nearest_name_and_the_list(
    task: str, more: dict[str, str], metric: str, said: str
) -> None:
    refused(said, TASK=task, EVALUATE__METRIC=metric, **more)


@pytest.mark.parametrize(
    ("task", "more", "metric"),
    [
        ("text-classification", {}, "f1_spam"),
        ("text-classification", {"MODEL__PROBLEM_TYPE": "multi_label_classification"}, "recall_a"),
        ("token-classification", {}, "eval_f1_LOC"),
        ("token-classification", {"DATA__TAG_SCHEME": "bioes"}, "precision_a b"),
        ("text-generation", PROMPTS, "exact_match"),
        ("text-generation", {"DATA__COLUMNS__MESSAGES": "chat"}, "exact_match"),
    ],
)
def test_what_only_the_data_can_deny_is_accepted(
    task: str, more: dict[str, str], metric: str
) -> None:
    loaded(TASK=task, EVALUATE__METRIC=metric, **more)


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        (
            "fill-mask",
            {"EVALUATE__SLICES": '["length"]'},
            "SLICES names 'length', but fill-mask scores",
        ),
        ("text-generation", {"EVALUATE__SLICES": '["channel"]'}, "blocks of joined rows"),
        (
            "text-generation",
            {"PUBLISH__FLOORS": '{"length=1": 0.5}'},
            "FLOORS names 'length=1', but",
        ),
        ("text-generation", {**PROMPTS, "EVALUATE__SLICES": '["label"]'}, "prompts have no labels"),
        (
            "translation",
            {"PUBLISH__FLOORS": '{"label=a": 1}'},
            "rows of translation have no labels",
        ),
        (
            "text-classification",
            {"MODEL__PROBLEM_TYPE": "regression", "EVALUATE__SLICES": '["length", "label"]'},
            "SLICES names 'label', but rows of regression have no labels; use length",
        ),
    ],
)
def test_parts_that_a_tasks_rows_do_not_have(task: str, more: dict[str, str], said: str) -> None:
    refused(said, TASK=task, **more)


@pytest.mark.parametrize(
    "task", ["text-classification", "token-classification", "question-answering"]
)
def test_rows_of_these_tasks_have_labels(task: str) -> None:
    loaded(TASK=task, EVALUATE__SLICES='["label", "length", "channel"]')


def test_scoring_a_model_refuses_it_too() -> None:
    given = {**COMPLETE, "FINETUNE_TASK": "fill-mask", "FINETUNE_EVALUATE__METRIC": "f1"}
    with pytest.raises(SettingsError, match="is not a metric of fill-mask"):
        load(given, rules=find("evaluate").rules)
