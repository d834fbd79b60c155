"""Scorers beside the metrics themselves: of all rows, of rows drawn again, and of some rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from job.data.arrow import MappedTable
from job.data.artifacts import ROW
from job.settings.metrics import METRICS, SUPPORT, of_class
from job.tasks.base import Task
from job.tasks.scorers import AreaScorer, Scorer, SpearmanScorer, mean_of, share_of, whole
from job.tasks.text_classification import TextClassification
from job.tasks.text_classification.metrics import compute
from job.tasks.text_classification.scorers import of_classes, of_lists, of_numbers
from job.tasks.token_classification import TokenClassification
from job.tasks.types import IGNORED, Outputs, Scored
from tests.support.samples import cleaned
from tests.support.task_samples import ROWS, Rows, fitted, table_of, tokenizer_of_all

Rng = np.random.Generator
Numbers = npt.NDArray[np.int64]

TIMES = 6
"""How often each row of the samples occurs, each time with another answer."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tokenizer_of_all(tmp_path_factory.mktemp("bert"))


def outputs_of(task: Task, table: MappedTable, random: Rng) -> Outputs:
    """Answers some of which are right, or nearly: logits, or a loss, a count and ids."""
    lengths = table.column("length").tolist()
    if task.name in ("text-classification", "token-classification", "question-answering"):
        labels = len(task.facts.get("labels", ())) or 2
        shape = (
            (lambda _: (labels,)) if task.name == "text-classification" else lambda n: (n, labels)
        )
        return [random.normal(size=shape(n)).astype(np.float32) for n in lengths]
    figures = [np.array([random.random() * 9, random.integers(1, 5)]) for _ in lengths]
    if "labels" not in table.names:
        return figures
    answers = [ids[ids != IGNORED] for ids in table.lists("labels", np.arange(len(table)))]
    told = [ids if random.random() < 0.5 else random.permutation(ids)[1:] for ids in answers]
    return [np.append(f, ids) for f, ids in zip(figures, told, strict=True)]


def answers_to(
    task: str, own: dict[str, str], rows: Rows, tokenizer: Any, folder: Path
) -> tuple[Task, Scored]:
    made = fitted(task, own, rows, tokenizer)
    table = table_of(made, rows, tokenizer, folder / "encoded.arrow")
    clean = MappedTable(cleaned(rows, folder / "cleaned.arrow"))
    outputs = outputs_of(made, table, np.random.default_rng(7))
    return made, Scored(outputs, table, clean, tokenizer)


def drawn(scored: Scored, units: Numbers) -> Scored:
    """The scored rows, or blocks where they are packed, drawn one by one, as often as they are named."""
    table, rows = scored.table, scored.rows
    if ROW in table.names:
        windows = [np.flatnonzero(table.column(ROW) == unit) for unit in units]
        source = np.repeat(np.arange(len(units)), [len(w) for w in windows])
        encoded = np.concatenate(windows)
        table, rows = table.take(encoded).replaced(ROW, source), rows.take(units)
    else:
        encoded, table = units, table.take(units)
    return Scored([scored.outputs[i] for i in encoded], table, rows, scored.tokenizer)


def counts_of(rows: int, first: int, random: Rng) -> Numbers:
    """How often each row is drawn; each of the `first` at least once, so that every class is there."""
    counts = random.integers(0, 4, size=rows)
    counts[:first] = np.maximum(1, counts[:first])
    return counts


@pytest.mark.parametrize(("task", "kind"), ROWS)
def test_a_scorer_is_the_metric_of_whatever_rows_it_is_given(
    task: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    own, sample = ROWS[task, kind]
    rows = {role: list(values) * TIMES for role, values in sample.items()}
    made, scored = answers_to(task, own, rows, tokenizer, tmp_path)
    metrics = made.metrics(scored)
    assert set(metrics) >= set(METRICS[task][kind])
    named = {name for name in metrics if not name.startswith(f"{SUPPORT}_")}
    scorers = {name: made.scorer(scored, name) for name in named}
    random = np.random.default_rng(3)
    units = len(scored.rows) if ROW in scored.table.names else len(scored.table)
    first = len(next(iter(sample.values())))
    counts = np.stack([counts_of(units, first, random) for _ in range(3)])
    drawings = [made.metrics(drawn(scored, np.repeat(np.arange(units), c))) for c in counts]
    some = np.flatnonzero(counts[0])
    part = made.metrics(drawn(scored, some))

    for name, scorer in scorers.items():
        assert scorer is not None, name
        assert scorer.rows == units
        assert whole(scorer) == pytest.approx(metrics[name], abs=1e-9), name
        wanted = [drawing[name] for drawing in drawings]
        assert scorer.score(counts) == pytest.approx(wanted, abs=1e-9), name
        assert whole(scorer.take(some)) == pytest.approx(part[name], abs=1e-9), name
        assert scorer.scale == (100 if name.endswith(PERCENTAGES[task]) else 1), name
        if scorer.correct is not None:
            right = 100 * scorer.correct.mean() / (100 / scorer.scale)
            assert right == pytest.approx(metrics[name])
    assert made.scorer(scored, "pear") is None
    assert made.scorer(scored, "f1_nobody") is None


PERCENTAGES: dict[str, tuple[str, ...]] = {
    "text-classification": (),
    "token-classification": (),
    "question-answering": ("exact_match", "f1"),
    "fill-mask": (),
    "text-generation": (),
    "summarization": METRICS["summarization"]["pairs"],
    "translation": METRICS["translation"]["pairs"],
}


def test_which_metrics_count_right_rows_and_which_are_drawn_within_classes(
    tokenizer: Any, tmp_path: Path
) -> None:
    def scorer(task: str, kind: str, metric: str) -> Scorer:
        own, rows = ROWS[task, kind]
        folder = tmp_path / f"{task}-{kind}"
        made, scored = answers_to(task, own, rows, tokenizer, folder)
        found = made.scorer(scored, metric)
        assert found is not None
        return found

    def strata(task: str, kind: str, metric: str) -> list[int]:
        found = scorer(task, kind, metric).strata
        assert found is not None
        return [int(stratum) for stratum in found]

    single, multi = "single_label_classification", "multi_label_classification"
    for task, kind, metric in (
        ("text-classification", single, "accuracy"),
        ("text-classification", multi, "accuracy"),
        ("question-answering", "answers", "exact_match"),
        ("text-generation", "prompts", "exact_match"),
    ):
        assert scorer(task, kind, metric).correct is not None
        assert scorer(task, kind, metric).strata is None
    for metric in ("f1", "recall", "matthews_correlation", "roc_auc"):
        assert strata("text-classification", single, metric) == [0, 1, 0, 1]
    assert strata("text-classification", single, "f1_spam") == [0, 1, 0, 1]
    assert strata("text-classification", multi, "f1_x") == [1, 0, 0, 1]
    assert strata("token-classification", "entities", "f1_LOC") == [1, 0]
    assert strata("question-answering", "answers", "unanswerable_f1") == [0, 1]
    for task, kind, metric in (
        ("text-classification", single, "f1_weighted"),
        ("text-classification", multi, "f1"),
        ("token-classification", "entities", "f1"),
        ("token-classification", "entities", "accuracy"),
        ("translation", "pairs", "bleu"),
    ):
        assert scorer(task, kind, metric).strata is None
        assert scorer(task, kind, metric).correct is None


@pytest.mark.parametrize(("task", "kind"), ROWS)
def test_losses_are_compared_where_no_setting_weighs_or_smooths_them(
    task: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    own, rows = ROWS[task, kind]
    made, scored = answers_to(task, own, rows, tokenizer, tmp_path)
    scorer = made.scorer(scored, "loss")
    if kind == "regression":
        assert whole(some(scorer)) == pytest.approx(made.metrics(scored)["mse"])
    elif task in ("text-classification", "token-classification", "question-answering"):
        assert scorer is None
    else:
        sums = np.sum([output[:2] for output in scored.outputs], axis=0)
        assert whole(some(scorer)) == pytest.approx(sums[0] / sums[1])
        assert some(scorer).rows == len(scored.table)


LABELS = ("b", "a", "weighted", "'c")


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 40))
def test_scores_of_classifiers_and_regressions_are_those_of_sklearn_and_scipy(
    seed: int, rows: int
) -> None:
    random = np.random.default_rng(seed)
    classes = np.concatenate([np.arange(4), random.integers(0, 4, rows - 4)])
    lists = random.random((rows, 4)) < 0.4
    lists[0], lists[1] = True, False
    numbers = random.integers(0, 5, rows).astype(np.float32)
    numbers[:2] = 0, 1
    ties = random.random((rows, 4)).round(1).astype(np.float32)  # equal likelihoods are no rarity
    counts = counts_of(rows, 4, random)
    again = np.repeat(np.arange(rows), counts)

    def names(kind: str) -> dict[str, float]:
        truth = {"single": classes, "multi": lists, "regression": numbers}[kind.partition("_")[0]]
        given = ties[again, :1] if kind == "regression" else ties[again]
        return compute(kind, LABELS, given, truth[again].astype(np.float32))

    named = [[LABELS[i] for i in np.flatnonzero(row)] for row in lists]
    for name, value in names("single_label_classification").items():
        scorer = of_classes(name, [LABELS[i] for i in classes], ties, LABELS)
        check(scorer, name, counts, value)
    for name, value in names("multi_label_classification").items():
        check(of_lists(name, named, ties, LABELS), name, counts, value)
    for name, value in names("regression").items():
        scorer = of_numbers(name, [str(n) for n in numbers], ties[:, 0])
        check(scorer, name, counts, value)


def check(scorer: Scorer | None, name: str, counts: Numbers, value: float) -> None:
    if not name.startswith(f"{SUPPORT}_"):
        assert scorer is not None, name
        assert scorer.score(counts[np.newaxis]) == pytest.approx([value], abs=1e-9), name


@given(st.permutations(range(4)), st.integers(0, 1000))
@hypothesis_settings(max_examples=10, deadline=None)
def test_the_order_of_a_models_labels_changes_nothing(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    likelihoods = random.random((30, 4)).astype(np.float32)
    truth = [LABELS[i] for i in random.integers(0, 4, 30)]
    other = [LABELS[i] for i in order]
    for metric in (*METRICS["text-classification"]["single_label_classification"], "f1_a"):
        pair = [
            of_classes(metric, truth, likelihoods, LABELS),
            of_classes(metric, truth, likelihoods[:, order], other),
        ]
        assert whole(some(pair[0])) == pytest.approx(whole(some(pair[1])), abs=1e-12)


def some(scorer: Scorer | None) -> Scorer:
    assert scorer is not None
    return scorer


def test_a_row_whose_class_a_model_does_not_know_is_wrong_and_no_class_of_its_own_counts() -> None:
    truth = ["ham", "ham", "spam", "spam"]
    knows = of_model(truth, ("spam", "ham"), ["ham", "ham", "spam", "ham"])
    # ham: precision 2/3, recall 1; spam: precision 1, recall 1/2
    assert knows["accuracy"] == 3 / 4
    assert knows["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    older = of_model(truth, ("eggs", "ham"), ["ham", "ham", "ham", "eggs"])
    # ham: precision 2/3, recall 1; spam: never found; eggs, which no row is of, does not count
    assert older["accuracy"] == 2 / 4
    assert older["f1"] == pytest.approx((4 / 5 + 0) / 2)
    assert older["f1_spam"] == older["recall_spam"] == 0
    assert older["roc_auc"] == pytest.approx((knows_ham_area() + 1 / 2) / 2)
    assert "f1_eggs" not in older


def knows_ham_area() -> float:
    # the older model gives the first three rows 1 for ham, and the last one 0
    return (2 * (1 + 1 / 2)) / 4


def of_model(truth: list[str], labels: tuple[str, ...], guesses: list[str]) -> dict[str, float]:
    likelihoods = np.array([[g == label for label in labels] for g in guesses], np.float32)
    names = ["accuracy", "f1", "roc_auc", *(of_class("f1", label) for label in labels)]
    scorers = {
        name: of_classes(name, truth, likelihoods, labels)
        for name in (*names, "f1_spam", "recall_spam")
    }
    return {name: whole(scorer) for name, scorer in scorers.items() if scorer is not None}


def test_labels_that_a_model_does_not_know_are_replaced_for_encoding_alone(
    tokenizer: Any, tmp_path: Path
) -> None:
    own, rows = ROWS["text-classification", "single_label_classification"]
    made = fitted("text-classification", own, rows, tokenizer)
    assert isinstance(made, TextClassification)
    task = replace(made, labels=("ham", "eggs"))
    assert task.known(rows)["label"] == ["ham", "ham", "ham", "ham"]
    table = table_of(task, as_lists(task.known(rows)), tokenizer, tmp_path / "encoded.arrow")
    outputs: Outputs = [np.array([1, 0], np.float32)] * 4
    clean = MappedTable(cleaned(rows, tmp_path / "cleaned.arrow"))
    scorer = some(task.scorer(Scored(outputs, table, clean, tokenizer), "accuracy"))
    assert scorer.correct is not None
    assert scorer.correct.tolist() == [True, False, True, False]

    multi = replace(task, problem_type="multi_label_classification", labels=("x",))
    lists = ROWS["text-classification", "multi_label_classification"][1]
    assert multi.known(lists)["label"] == ['["x"]', "[]", "[]", '["x"]']
    assert multi.known({"label": ["x", "y"]})["label"] == ['["x"]', "[]"]
    number = replace(task, problem_type="regression", labels=("score",))
    assert number.known({"label": ["2", "high"]})["label"] == ["2", "0"]
    assert of_numbers("mse", ["2", "high"], np.zeros(2, np.float32)) is None


def as_lists(rows: Any) -> dict[str, list[str]]:
    return {role: list(values) for role, values in rows.items()}


def test_tags_that_a_model_does_not_know_are_wrong(tokenizer: Any, tmp_path: Path) -> None:
    own, rows = ROWS["token-classification", "entities"]
    task = fitted("token-classification", own, rows, tokenizer)
    assert isinstance(task, TokenClassification)
    older = replace(task, labels=("O", "B-PER", "I-PER"))
    known = as_lists(older.known(rows))
    assert known["tags"][0] == '["B-PER", "O", "O", "O"]'
    table = table_of(older, known, tokenizer, tmp_path / "encoded.arrow")
    clean = MappedTable(cleaned(rows, tmp_path / "cleaned.arrow"))
    # it finds both persons, in sentences of four words between [CLS] and [SEP]
    tags = np.eye(3, dtype=np.float32)[[0, 1, 0, 0, 0, 0]]
    scored = Scored([tags, tags], table, clean, tokenizer)
    figures = {name: some(older.scorer(scored, name)) for name in ("accuracy", "recall", "f1_LOC")}
    assert whole(figures["accuracy"]) == 7 / 8
    assert whole(figures["recall"]) == 2 / 3
    assert whole(figures["f1_LOC"]) == 0

    plain = replace(older, scheme="none", labels=("NN", "O"))
    assert as_lists(plain.known(rows))["tags"][0] == '["NN", "O", "O", "NN"]'
    bioes = replace(older, scheme="bioes", labels=("O", "B-PER", "I-PER", "E-PER", "S-PER"))
    assert bioes.known({"tags": ['["B-PER", "B-LOC"]']})["tags"] == ['["B-PER", "O"]']


def test_rows_with_nothing_to_score_score_no_number_and_a_draw_without_any_scores_0() -> None:
    truth = ["spam", "ham", "ham"]
    likelihoods = np.eye(2, dtype=np.float32)[[0, 1, 1]]
    for metric in ("f1_spam", "roc_auc", "matthews_correlation"):
        scorer = some(of_classes(metric, truth, likelihoods, ("spam", "ham")))
        assert scorer.score(np.array([[0, 1, 2], [1, 1, 1]])).tolist() == [0, 1]
        assert np.isnan(whole(scorer.take(np.array([1, 2]))))
        assert np.isnan(whole(scorer.take(np.array([], np.int64))))
    constant = SpearmanScorer(np.array([1.0, 2, 3]), np.array([1.0, 1, 2]))
    assert np.isnan(whole(constant.take(np.array([0, 1]))))
    assert whole(SpearmanScorer(constant.truth * 0, constant.guess)) == 0


def test_means_and_shares() -> None:
    mean = mean_of([1, 2, 6])
    assert mean.score(np.array([[1, 1, 1], [0, 0, 5]])).tolist() == [3, 6]
    share = share_of([True, False], 100)
    assert share.score(np.array([[3, 1]])).tolist() == [75]
    taken = share.take(np.array([1]))
    assert (taken.rows, taken.scale) == (1, 100)
    assert taken.correct is not None
    assert taken.correct.tolist() == [False]
    area = AreaScorer(np.array([[0.1], [0.9]]), np.array([[False], [True]]))
    assert whole(area) == 1
