"""token-classification: rows, labels, features and loss, beside transformers' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.errors import DataError, SettingsError
from job.tasks.types import FIXED, IGNORED
from tests.support.samples import encoded
from tests.support.trainer_parity import losses_of_both
from tests.tasks.token_classification.samples import fitted, made, model_of, rows_of, sentences

# -- rows and labels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "tags", "scheme", "problem"),
    [
        ('["a", "b"]', '["O"]', "auto", "2 tokens and 1 tags; token-classification needs"),
        ('["a"]', '["X-LOC"]', "auto", "the tag 'X-LOC' is not in the scheme: O, B-TYPE, I-TYPE"),
        ('["a"]', '["S-LOC"]', "iob2", "the tag 'S-LOC' is not in the scheme: O, B-TYPE, I-TYPE"),
        ('["a"]', '["3"]', "auto", "the tag '3' is not"),
        ('["a"]', '["B-"]', "auto", "the tag 'B-' is not"),
        ("a b", '["O"]', "auto", "tokens is not a JSON list of texts: a b"),
        (None, '["O"]', "auto", "no tokens"),
        ('["a"]', None, "auto", "no tags"),
        ("[]", "[]", "auto", "no tokens"),
        ('[" "]', '["O"]', "auto", "no tokens"),
        ('["a"]', '["NOUN"]', "none", None),
        ('["a"]', '["S-LOC"]', "auto", None),
    ],
)
def test_a_row_that_cannot_be_used_says_why(
    tokens: str | None, tags: str | None, scheme: str, problem: str | None
) -> None:
    (found,) = made({"tag_scheme": scheme}).problems({"tokens": [tokens], "tags": [tags]})
    assert found is None if problem is None else found is not None and found.startswith(problem)


def test_labels_are_all_tags_of_the_types_in_train() -> None:
    task = made().fitted({}, {"train": {"O": 5, "I-b": 1, "B-a": 2}}, ())
    assert task.labels == ("O", "B-a", "I-a", "B-b", "I-b")
    assert (task.scheme, task.types, task.default_metric) == ("iob2", ("a", "b"), "f1")
    assert made().restored(task.facts) == task
    own = ("B-a", "I-a", "O")
    assert made().fitted({}, {"train": {"O": 5, "B-a": 1}}, own).labels == own
    bioes = made().fitted({}, {"train": {"S-a": 1}}, ())
    assert bioes.labels == ("O", "B-a", "I-a", "E-a", "S-a")
    plain = made({"tag_scheme": "none"}).fitted({}, {"train": {"NOUN": 3, "ADJ": 1}}, ())
    assert (plain.labels, plain.types, plain.default_metric) == (("ADJ", "NOUN"), (), "accuracy")


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="validation holds labels that train does not: 'c'"):
        made().fitted({}, {"train": {"B-a": 1}, "validation": {"B-c": 1}}, ())
    with pytest.raises(DataError, match="holds no tag but O in the training rows"):
        made().fitted({}, {"train": {"O": 9}}, ())


# -- features ---------------------------------------------------------------------------------


@pytest.mark.parametrize("label_all", [False, True])
def test_labels_meet_tokens_as_transformers_aligns_them(bert: Path, label_all: bool) -> None:
    """`word_ids()` of transformers' own call over the words gives the same tokens and labels."""
    found = sentences(30)
    task = fitted(rows_of(found), label_all_pieces=label_all)
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = task.features(rows_of(found), tokenizer, 64)
    theirs = AutoTokenizer.from_pretrained(bert)([w for w, _ in found], is_split_into_words=True)
    assert features.columns["input_ids"].to_pylist() == theirs["input_ids"]
    later = {"B-PER": "I-PER", "B-LOC": "I-LOC"}
    for i, (_, tags) in enumerate(found):
        expected, before = [], None
        for word in theirs.word_ids(i):
            tag = None if word is None else tags[word]
            if tag is not None and word == before:
                tag = later.get(tag, tag) if label_all else None
            expected.append(IGNORED if tag is None else task.labels.index(tag))
            before = word
        assert features.columns["labels"][i].as_py() == expected
    assert tokenizer.backend_tokenizer.truncation is None


def test_long_sentences_become_windows_and_repairs_are_counted(bert: Path) -> None:
    tokens, tags = ["Anna", "Lee", "in", "Paris"] * 10, ["I-PER", "I-PER", "O", "I-LOC"] * 10
    rows = rows_of([(tokens, tags), (["in"], ["O"])])
    task = fitted(rows)
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 16)
    assert features.repaired == 20
    assert features.truncated == 0
    assert features.source.tolist()[-1] == 1
    assert features.source.tolist().count(0) > 2
    assert max(features.columns["length"].to_pylist()) == 16


@pytest.mark.parametrize(("length", "stride"), [(16, 7), (2, None), (16, 20)])
def test_windows_that_cannot_be_are_refused(bert: Path, length: int, stride: int | None) -> None:
    rows = rows_of(sentences(2))
    with pytest.raises(SettingsError, match="FINETUNE_ENCODE__"):
        fitted(rows, stride=stride).features(rows, AutoTokenizer.from_pretrained(bert), length)


# -- loss -------------------------------------------------------------------------------------


def test_the_loss_is_transformers_own_times_the_labels(bert: Path, tmp_path: Path) -> None:
    rows = rows_of(sentences(6))
    task = fitted(rows)
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 16)
    table = MappedTable(encoded(features, tmp_path / "rows.arrow"))
    model, every = model_of(task, bert), np.arange(len(table))
    batch = task.collate(table, every, Padding(0), FIXED)
    weights = task.row_weights(table, every, FIXED)
    with torch.no_grad():
        expected = float(model(**batch).loss)
        parts = [
            task.predict(model, task.collate(table, every[part], Padding(0, fixed=16), FIXED))
            for part in (slice(0, 1), slice(1, None), slice(0, 0))
        ]
    assert parts[2][1] == 0, "a dummy adds nothing"
    assert sum(loss for _, loss in parts) / weights.sum() == pytest.approx(expected, rel=1e-5)
    assert [len(out) for out in parts[1][0]] == table.column("length")[1:].tolist()


def test_losses_are_trainers(bert: Path, tmp_path: Path) -> None:
    rows = rows_of(sentences(64, words=10))
    task = fitted(rows)
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 16)
    encoded(features, tmp_path / "train.arrow")
    ours, theirs = losses_of_both(task, tmp_path, bert, tmp_path / "run", as_theirs=dict)
    assert len(ours) == 20
    assert ours[-1] < ours[0]
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_adapters_fit_the_task(bert: Path) -> None:
    from job.settings import Lora, Model
    from job.stages.train.model import make_trainable, merge_adapters

    task = fitted(rows_of(sentences(6)))
    tokenizer = AutoTokenizer.from_pretrained(bert)
    model = make_trainable(model_of(task, bert), tokenizer, task, Model(lora=Lora()))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora" in name or "classifier" in name for name in trained)
    assert merge_adapters(model).config.num_labels == len(task.labels)
