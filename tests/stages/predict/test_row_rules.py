"""What predicting asks of a row and of the columns to keep."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors

from job.data.artifacts import CleanRows
from job.errors import DataError, SettingsError
from job.settings import Data, Model
from job.stages.clean import clean
from job.stages.fetch import fetch, resolve_inputs
from job.stages.predict import PredictRules, refuse_taken
from job.tasks import TASKS, predicting
from job.tasks.base import Task
from job.tasks.row_rules import Readable
from job.tasks.text_classification import TextClassification
from tests.support.samples import settings_of
from tests.support.tokenizers import tokenizers


@pytest.mark.parametrize("kind", TASKS)
def test_a_column_with_the_name_of_a_prediction_is_refused(kind: type[Task]) -> None:
    task = predicting(kind.create(settings_of()))
    refuse_taken(task, ("id", "label", "given_score"))
    for name in ("file", "line", *task.predicted):
        with pytest.raises(SettingsError, match=f"KEEP names {name}, .*given_{name}"):
            refuse_taken(task, ("id", name))


@pytest.fixture
def bare() -> Any:
    """A tokenizer that puts nothing around a text, as those of GPT-2 and Qwen."""
    made = deepcopy(tokenizers()[1])
    nothing = {"single": "$A", "pair": "$A $B", "special_tokens": []}
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(**nothing)
    return made


@pytest.fixture
def task() -> TextClassification:
    """Two classes, which a model has learned."""
    problem = Model(problem_type="single_label_classification")
    made = TextClassification.create(settings_of(model=problem))
    return made.restored(
        {"labels": ["x", "y"], "problem_type": made.problem_type, "train_counts": {}}
    )


def cleaned(folder: Path, text: str, rules: Readable, **more: Any) -> CleanRows:
    path = folder / "rows.csv"
    path.write_text(f"text\n{text}\n")
    data = Data(test=str(path), **more)
    raw = fetch(data, resolve_inputs(data), folder / "fetch")
    settings = settings_of(data=data)
    kept = settings.clean.model_copy(update={"drop_empty": False})
    return clean(settings.model_copy(update={"clean": kept}), rules, raw, folder / "clean")


def test_rows_that_are_all_empty_are_said_to_be_so(
    bare: Any, task: TextClassification, tmp_path: Path
) -> None:
    rules = Readable(PredictRules(task, ()), bare)
    with pytest.raises(DataError) as caught:
        cleaned(tmp_path, '""\n"  "', rules)
    assert caught.value.message.startswith("2 of 2 rows to predict for (100.0%) cannot be used: ")
    assert "rows.csv:2: no text that the tokenizer has a token for" in caught.value.message
    rows = cleaned(tmp_path, '""\na\n-', rules, max_bad_fraction=0.5)
    assert rows.rows["test"] == 2


def test_no_rows_are_said_to_be_missing_where_they_were_asked_for(
    bare: Any, task: TextClassification, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"no rows to predict for are left .*FINETUNE_PREDICT__INPUT"
    ):
        cleaned(tmp_path, "", Readable(PredictRules(task, ()), bare))


def test_a_tokenizer_with_tokens_of_its_own_reads_any_text(task: TextClassification) -> None:
    rules = Readable(PredictRules(task, ()), tokenizers()[0])
    assert rules.problems({"text": ["", "\u200b", None]}) == [None, None, "no text"]
