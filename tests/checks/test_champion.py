"""A champion of each task is put to rows: it scores them, also with labels that it does not know."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from job import models
from job.checks.champion import ScoredChampion
from job.models.trained import find_version
from job.settings import load
from job.tasks.scorers import whole
from job.uris import Uri
from tests.support.architectures import ARCHITECTURES, Architecture
from tests.support.task_samples import Rows, fitted, variables

METRICS = {
    "bert": "accuracy",
    "roberta": "f1",
    "distilbert": "exact_match",
    "modernbert": "loss",
    "gpt2": "exact_match",
    "t5": "rougeL",
}
"""What each is measured by: the share of right rows where there is one, else the task's own metric."""


def champion_of(kind: str, made: Architecture, folder: Path) -> ScoredChampion:
    """A model that has learned its task, as a version holds it."""
    base = made.build(folder / "base", kind)
    given = {**made.settings, "ENCODE__MAX_LENGTH": "24"}
    settings = load(variables(made.task, given)).settings
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    task = fitted(made.task, made.settings, made.rows, tokenizer)
    model = models.load(models.find(str(base), None, folder), task, settings.model)
    models.save(model, tokenizer, folder / "version")
    return ScoredChampion.of(find_version(settings, Uri(str(folder / "version")), folder), folder)


def table(champion: ScoredChampion, rows: Rows, count: int) -> pa.Table:
    return pa.table({role: rows[role][:count] for role in champion.contender.task.columns})


@pytest.mark.parametrize("kind", METRICS)
def test_every_task_has_a_score_and_unknown_tokens(kind: str, tmp_path: Path) -> None:
    made = ARCHITECTURES[kind]
    champion = champion_of(kind, made, tmp_path)
    tables = [table(champion, made.rows, count) for count in (24, 9)]
    seen = champion.scorers(None, *tables)
    assert seen is not None
    name, scorers = seen
    assert name == METRICS[kind]
    assert all(0 <= whole(each) < 1e6 for each in scorers)
    assert champion.scorers("loss", *tables) is not None
    unknown = champion.unknown_tokens(tables[0])
    assert unknown is not None
    assert len(unknown[0]) == len(unknown[1]) == 24
    assert not unknown[0].sum()


def test_a_label_that_it_does_not_know_is_a_wrong_row(tmp_path: Path) -> None:
    made = ARCHITECTURES["bert"]
    champion = champion_of("bert", made, tmp_path)
    assert champion.labels == ("ham", "spam")
    rows = {**made.rows, "label": ["ham", "new"] * 12, "text": ["ψ", *made.rows["text"][1:]]}
    seen = champion.scorers(None, table(champion, rows, 24))
    assert seen is not None
    correct = seen[1][0].correct
    assert correct is not None
    assert not correct[1::2].any()
    unknown = champion.unknown_tokens(table(champion, rows, 2))
    assert unknown is not None
    assert unknown[0].tolist() == [1, 0]
