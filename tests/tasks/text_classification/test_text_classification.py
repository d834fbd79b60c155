"""text-classification: its labels, features, loss and predictions, beside transformers' own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.errors import DataError, SettingsError
from job.settings import Columns, Data, Model, Train
from job.tasks.text_classification import TextClassification
from job.tasks.text_classification.problems import MULTI, REGRESSION, SINGLE
from job.tasks.types import FIXED, Scored
from tests.support.samples import encoded, settings_of, tiny_bert

ROWS = {
    SINGLE: {"text": ["a b c", "d", "e f", "a a a a"], "label": ["x", "y", "x", "z"]},
    MULTI: {"text": ["a b c", "d", "e f", "a"], "label": ['["x", "y"]', "[]", '["z"]', '["x"]']},
    REGRESSION: {"text": ["a b c", "d", "e f", "a"], "label": ["1.5", "2", "-3e-1", "0"]},
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), ["a b c d e f g h"] * 5)


def made(problem: str = "auto", **train: Any) -> TextClassification:
    data = Data(columns=Columns(text_pair=train.pop("text_pair", None)))
    model = Model.model_validate({"problem_type": problem})
    return TextClassification.create(settings_of(data=data, model=model, train=Train(**train)))


def counts_of(task: TextClassification, rows: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    found: dict[str, int] = {}
    for labels in task.labels_of(rows):
        for label in labels:
            found[label] = found.get(label, 0) + 1
    return {"train": found}


def fitted(problem: str, **train: Any) -> TextClassification:
    task = made("regression" if problem == REGRESSION else "auto", **train)
    return task.fitted(ROWS[problem], counts_of(task, ROWS[problem]), ())


def table_of(
    task: TextClassification, rows: dict[str, list[str]], bert: Path, path: Path
) -> MappedTable:
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 16)
    return MappedTable(encoded(features, path))


# -- labels -----------------------------------------------------------------------------------


def test_labels_are_sorted_integers_by_value() -> None:
    task = made()
    names = {"10": 5, "9": 5, "1": 5}
    assert task.fitted({"label": ["9"]}, {"train": names}, ()).labels == ("1", "9", "10")
    assert task.fitted({"label": ["b"]}, {"train": {"b": 1, "a": 2}}, ()).labels == ("a", "b")


def test_the_models_own_order_is_kept_where_the_sets_match() -> None:
    names = {"neg": 1, "pos": 2}
    assert made().fitted({"label": ["pos"]}, {"train": names}, ("pos", "neg")).labels == (
        "pos",
        "neg",
    )
    assert made().fitted({"label": ["pos"]}, {"train": names}, ("pos", "bad")).labels == (
        "neg",
        "pos",
    )


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="one class only"):
        made().fitted({"label": ["a"]}, {"train": {"a": 9}}, ())
    with pytest.raises(DataError, match="validation holds labels that train does not: 'c'"):
        made().fitted({"label": ["a"]}, {"train": {"a": 9, "b": 9}, "validation": {"c": 1}}, ())
    many = {str(i / 7): 1 for i in range(30)}
    with pytest.raises(DataError, match="PROBLEM_TYPE=regression"):
        made().fitted({"label": ["a"]}, {"train": many}, ())
    with pytest.raises(SettingsError, match="'spma'"):
        made(class_weights={"spma": 2}).fitted(
            {"label": ["a"]}, {"train": {"ham": 9, "spam": 9}}, ()
        )


def test_a_weight_for_no_label_is_refused_with_a_data_set_and_a_model_too() -> None:
    facts = {"labels": ["ham", "spam"], "problem_type": SINGLE, "train_counts": {}}
    config = SimpleNamespace(num_labels=2, id2label={0: "ham", 1: "spam"}, problem_type=SINGLE)
    weighted = made(class_weights={"spma": 2})
    with pytest.raises(SettingsError, match="'spma'"):
        weighted.restored(facts)
    with pytest.raises(SettingsError, match="'spma'"):
        weighted.learned(config, {}, cast("Any", None))


def test_a_model_is_scored_without_the_counts_of_its_training_rows() -> None:
    config = SimpleNamespace(num_labels=2, id2label={0: "ham", 1: "spam"}, problem_type=SINGLE)
    task = made(class_weights="balanced").learned(config, {"test": {"ham": 3}}, cast("Any", None))
    assert task.label_weights.tolist() == [1, 1]


def test_rows_without_text_or_label_are_problems() -> None:
    found = made("regression", text_pair="b").problems(
        {
            "text": ["a", None, "c", "d"],
            "text_pair": ["a", "b", None, "d"],
            "label": ["1", "1", "1", "x"],
        }
    )
    assert found == [None, "no text", "no text_pair", "the label 'x' is not a number"]
    assert made().problems({"text": ["a", "b"], "label": [None, " "]}) == ["no label", "no label"]


def test_what_fitting_found_can_be_restored() -> None:
    task = fitted(SINGLE)
    assert made().restored(task.facts) == task


# -- features ---------------------------------------------------------------------------------


def test_features_are_the_tokenizers_own(bert: Path, tmp_path: Path) -> None:
    """Pairs, token types, truncation: as `tokenizer(...)` of transformers gives them."""
    rows = {"text": ["a b c", "d " * 30], "text_pair": ["e f", "g h"], "label": ["x", "y"]}
    task = made(text_pair="text_pair").fitted(rows, {"train": {"x": 1, "y": 1}}, ())
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = task.features(rows, tokenizer, 16)
    expected = AutoTokenizer.from_pretrained(bert)(
        rows["text"], rows["text_pair"], truncation=True, max_length=16
    )
    assert features.columns["input_ids"].to_pylist() == expected["input_ids"]
    assert features.columns["token_type_ids"].to_pylist() == expected["token_type_ids"]
    assert features.columns["length"].to_pylist() == [len(ids) for ids in expected["input_ids"]]
    assert features.truncated == 1


def test_a_mixed_label_column_is_refused() -> None:
    task = made(MULTI).fitted(ROWS[MULTI], {"train": {"x": 1}}, ())
    with pytest.raises(DataError, match="is not a list"):
        task.problem.encoded(["x"], task.labels)


# -- loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_the_loss_is_transformers_own_times_the_rows(
    problem: str, bert: Path, tmp_path: Path
) -> None:
    task = fitted(problem)
    table = table_of(task, ROWS[problem], bert, tmp_path / "rows.arrow")
    config_model = AutoModelForSequenceClassification.from_pretrained(
        bert, num_labels=len(task.labels), problem_type=problem
    ).eval()
    batch = task.collate(table, np.arange(4), Padding(0), FIXED)
    inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
    with torch.no_grad():
        outputs = config_model(**inputs)
        expected = config_model(**inputs, labels=batch["labels"]).loss
    assert float(task.loss(outputs, batch)) / 4 == pytest.approx(float(expected), abs=1e-6)
    assert task.row_weights(table, np.arange(4), FIXED).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_micro_batches_add_up_and_a_dummy_adds_nothing(
    problem: str, bert: Path, tmp_path: Path
) -> None:
    task = fitted(problem, label_smoothing=0.1)
    table = table_of(task, ROWS[problem], bert, tmp_path / "rows.arrow")
    model = AutoModelForSequenceClassification.from_pretrained(
        bert, num_labels=len(task.labels)
    ).eval()

    def summed(rows: list[int]) -> float:
        return task.predict(
            model, task.collate(table, np.array(rows, dtype=np.int64), Padding(0), FIXED)
        )[1]

    with torch.no_grad():
        assert summed([0, 1, 2, 3]) == pytest.approx(
            summed([3, 1]) + summed([0]) + summed([2]), rel=1e-5
        )
        assert summed([]) == 0


def test_class_weights_make_a_weighted_mean(bert: Path, tmp_path: Path) -> None:
    """torch's own weighted cross-entropy divides by the sum of the weights, as our denominator does."""
    task = fitted(SINGLE, class_weights="balanced")
    table = table_of(task, ROWS[SINGLE], bert, tmp_path / "rows.arrow")
    model = AutoModelForSequenceClassification.from_pretrained(bert, num_labels=3).eval()
    batch = task.collate(table, np.arange(4), Padding(0), FIXED)
    with torch.no_grad():
        outputs = model(**{k: v for k, v in batch.items() if k not in ("labels", "weights")})
    weights = torch.tensor([4 / (3 * 2), 4 / 3, 4 / 3])  # of x, y and z
    expected = torch.nn.functional.cross_entropy(outputs.logits, batch["labels"], weight=weights)
    ours = float(task.loss(outputs, batch)) / float(
        task.row_weights(table, np.arange(4), FIXED).sum()
    )
    assert ours == pytest.approx(float(expected), rel=1e-6)


# -- predictions ------------------------------------------------------------------------------


def test_predictions_are_written_by_name(bert: Path, tmp_path: Path) -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0], [0, 0, 5], [0, 0, 5]], dtype=np.float32)
    tokenizer = AutoTokenizer.from_pretrained(bert)

    def scored(task: TextClassification, problem: str, outputs: np.ndarray) -> Scored:
        table = table_of(task, ROWS[problem], bert, tmp_path / f"{problem}.arrow")
        return Scored(list(outputs), table, table, tokenizer)

    single = fitted(SINGLE)
    written = single.written(scored(single, SINGLE, logits))
    assert written["label"] == ["x", "y", "x", "z"]
    assert written["prediction"] == ["x", "y", "z", "z"]
    assert written["score"][0] == pytest.approx(0.98670, abs=1e-4)
    multi = fitted(MULTI)
    written = multi.written(scored(multi, MULTI, logits - 1))
    assert written["label"] == [["x", "y"], [], ["z"], ["x"]]
    assert written["prediction"] == [["x"], ["y"], ["z"], ["z"]]
    assert pa.array(written["probabilities"]).type == pa.list_(pa.float32())
