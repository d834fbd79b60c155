"""token-classification: rows, labels, loss, windows and entities, beside transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from job.batching.padding import Padding
from job.commands.check import plan
from job.data.arrow import MappedTable
from job.errors import DataError, SettingsError
from job.settings import Data, Encode, load
from job.tasks.token_classification import TokenClassification
from job.tasks.token_classification.sentences import sentences_of
from job.tasks.values import FIXED, IGNORED, Scored
from tests.support.samples import cleaned, encoded, finetune, settings_of, tiny_bert
from tests.support.trainer_parity import losses_of_both

NAMES = ("Anna", "Chidi", "Okonkwo", "Lee")
PLACES = ("Paris", "Lagos", "U.S.", "Rio-Negro")
OTHERS = ("met", "in", "the", "said", "unbelievable", ",", "again", "today")


def sentences(count: int, words: int = 8, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Names and places at random, told apart by their words."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        tokens: list[str] = []
        tags: list[str] = []
        while len(tokens) < words:
            kind = random.integers(0, 4)
            if kind == 0:
                tokens += [str(random.choice(NAMES[:2])), str(random.choice(NAMES[2:]))]
                tags += ["B-PER", "I-PER"]
            elif kind == 1:
                tokens.append(str(random.choice(PLACES)))
                tags.append("B-LOC")
            else:
                tokens.append(str(random.choice(OTHERS)))
                tags.append("O")
        found.append((tokens, tags))
    return found


def rows_of(found: list[tuple[list[str], list[str]]]) -> dict[str, list[str]]:
    return {
        "tokens": [json.dumps(tokens) for tokens, _ in found],
        "tags": [json.dumps(tags) for _, tags in found],
    }


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [" ".join([*NAMES, *PLACES, *OTHERS])] * 5
    return tiny_bert(tmp_path_factory.mktemp("bert"), texts)


def made(data: dict[str, Any] | None = None, **encode: Any) -> TokenClassification:
    return TokenClassification.create(
        settings_of(data=Data(**(data or {})), encode=Encode(**encode))
    )


def fitted(rows: dict[str, list[str]], **encode: Any) -> TokenClassification:
    task = made(**encode)
    return task.fitted(rows, {"train": counts(task, rows)}, ())


def counts(task: TokenClassification, rows: dict[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for labels in task.labels_of(rows):
        for label in labels:
            found[label] = found.get(label, 0) + 1
    return found


# -- rows and labels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "tags", "scheme", "problem"),
    [
        ('["a", "b"]', '["O"]', "auto", "2 tokens and 1 tags; token-classification needs"),
        ('["a"]', '["X-LOC"]', "auto", "the tag 'X-LOC' is not in the scheme: O, B-TYPE, I-TYPE"),
        ('["a"]', '["S-LOC"]', "iob2", "the tag 'S-LOC' is not in the scheme: O, B-TYPE, I-TYPE"),
        ('["a"]', '["3"]', "auto", "the tag '3' is not"),
        ('["a"]', '["B-"]', "auto", "the tag 'B-' is not"),
        ("a b", '["O"]', "auto", "tokens is not a list: a b"),
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


def model_of(task: TokenClassification, bert: Path) -> Any:
    torch.manual_seed(1)
    model = AutoModelForTokenClassification.from_pretrained(bert, num_labels=len(task.labels))
    task.configure(model.config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)  # decided, and not all one label
    return model.eval()


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


# -- predictions ------------------------------------------------------------------------------


def scored_of(
    task: TokenClassification, rows: Any, bert: Path, folder: Path, length: int
) -> Scored:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = task.features(rows, tokenizer, length)
    table = MappedTable(encoded(features, folder / "rows.arrow"))
    batch = task.collate(table, np.arange(len(table)), Padding(0), FIXED)
    with torch.no_grad():
        outputs, _ = task.predict(model_of(task, bert), batch)
    return Scored(outputs, table, MappedTable(cleaned(rows, folder / "cleaned.arrow")), tokenizer)


@pytest.mark.parametrize("scheme", ["iob2", "bioes", "none"])
def test_entities_are_the_pipelines(bert: Path, tmp_path: Path, scheme: str) -> None:
    found = [*sentences(20), (["Anna", "\u200b", "é", "zzz", "Lee's"], ["O"] * 5)]
    rows = rows_of(found)
    if scheme == "bioes":
        rows["tags"] = [tags.replace("B-LOC", "S-LOC") for tags in rows["tags"]]
    task = made({"tag_scheme": scheme})
    task = task.fitted(rows, {"train": counts(task, rows)}, ())
    scored = scored_of(task, rows, bert, tmp_path, 64)
    written = task.written(scored)
    model, tokenizer = model_of(task, bert), AutoTokenizer.from_pretrained(bert)
    classify = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first"
    )
    seen = 0
    for (tokens, _), entities in zip(found, written["entities"].to_pylist(), strict=True):
        theirs = classify(" ".join(tokens))
        seen += len(theirs)
        assert [{**e, "score": 0} for e in entities] == [{**e, "score": 0} for e in theirs]
        assert [e["score"] for e in entities] == pytest.approx(
            [e["score"] for e in theirs], abs=1e-5
        )
    assert seen > 10
    assert pa.array(written["prediction"]).type == pa.list_(pa.string())
    assert [len(tags) for tags in written["prediction"]] == [len(tokens) for tokens, _ in found]
    if scheme != "none":
        assert written["prediction"][-1][1] == "O", "a word without a token"


def test_words_are_read_where_they_have_most_context(bert: Path, tmp_path: Path) -> None:
    """With room for the whole sentence, windows are one; with less, the middles of windows win."""
    rows = rows_of(sentences(3, words=40))
    task = fitted(rows, stride=6)
    scored = scored_of(task, rows, bert, tmp_path, 20)
    for i, sentence in enumerate(sentences_of(scored, task.labels, task.scheme)):
        numbers = np.flatnonzero(scored.table.column("__row") == i)
        assert len(numbers) > 2
        best: dict[tuple[int, int], tuple[int, int]] = {}
        for number in numbers.tolist():
            starts, ends = (
                scored.table.lists(n, np.array([number]))[0] for n in ("starts", "ends")
            )
            inside = np.flatnonzero(np.asarray(starts, np.int64) >= 0)
            for place, token in enumerate(inside.tolist()):
                context = min(place, len(inside) - 1 - place)
                key = (int(starts[token]), int(ends[token]))
                label = int(scored.outputs[number][token].argmax())
                if key not in best or context > best[key][0]:
                    best[key] = (context, label)
        at, expected = 0, []
        for word in sentence.words:
            expected.append(next(task.labels[v[1]] for k, v in sorted(best.items()) if k[0] == at))
            at += len(word) + 1
        assert sentence.guess == expected


# -- the whole run ----------------------------------------------------------------------------


def test_a_conll_file_becomes_a_published_tagger(bert: Path, tmp_path: Path) -> None:
    found = sentences(160)
    lines = ["-DOCSTART- -X- O\n"]
    lines += ["\n".join(map(" ".join, zip(*pair, strict=True))) + "\n" for pair in found]
    (tmp_path / "rows.conll").write_text(
        "\n".join([*lines, "again O\nParis I-LOC\n", "ragged O\nline\n"])
    )
    env = {
        "FINETUNE_TASK": "token-classification",
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_DATA__TRAIN": str(tmp_path / "rows.conll"),
        "FINETUNE_MODEL__NAME": str(bert),
        "FINETUNE_TRAIN__EPOCHS": "8",
        "FINETUNE_TRAIN__LEARNING_RATE": "5e-3",
        "FINETUNE_DATA__MAX_BAD_FRACTION": "0.05",
    }
    said = "\n".join(plan(load(env).settings))
    assert "labels: B-LOC" in said
    assert "tokens     a row" in said
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"labels": 1' in done.stderr, "the repaired one"
    compared = [json.loads(line) for line in done.stderr.splitlines() if "rows_compared" in line]
    assert compared[0]["rows_compared"] == 16
    (version,) = (tmp_path / "store/m/models").iterdir()
    results = json.loads((version / "eval_results.json").read_text())
    assert results["test_f1"] > 0.8
    assert {"test_f1_PER", "test_precision_LOC", "eval_accuracy", "test_recall"} < set(results)
    card = (version / "README.md").read_text()
    assert 'pipeline("token-classification"' in card
    assert "| PER |" in card
