"""question-answering: rows, windows, loss and answers, beside transformers' own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.tasks.types import FIXED, Batch, Scored
from tests.support.samples import cleaned, encoded
from tests.support.trainer_parity import losses_of_both
from tests.tasks.question_answering.samples import asked, columns_of, made

# -- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "context", "answers", "problem"),
    [
        ("q", "in rome", '{"text": ["rome"], "answer_start": [3]}', None),
        ("q", "in rome", '{"text": [], "answer_start": []}', None),
        (
            "q",
            "in rome",
            '{"text": ["rome"], "answer_start": [2]}',
            "the answer 'rome' is not in its context at character 2; question-answering needs",
        ),
        ("q", "in rome", '{"text": ["rome"], "answer_start": [-4]}', "the answer 'rome' is not"),
        ("q", "in rome", '{"text": [" "], "answer_start": [2]}', "an answer is empty"),
        ("q", "in rome", '{"text": ["rome"]}', "answers are not"),
        ("q", "in rome", '{"text": ["rome"], "answer_start": ["3"]}', "answers are not"),
        ("q", "in rome", "rome", "answers are not"),
        ("q", "in rome", "[]", "answers are not"),
        ("q", "in rome", None, "no answers"),
        (" ", "in rome", "{}", "no question"),
        ("q", None, "{}", "no context"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(
    question: str, context: str | None, answers: str | None, problem: str | None
) -> None:
    rows: dict[str, list[str | None]] = {
        "question": [question],
        "context": [context],
        "answers": [answers],
    }
    (found,) = made().problems(rows)
    assert found is None if problem is None else found is not None and found.startswith(problem)


def test_whether_there_may_be_no_answer_is_found_in_train() -> None:
    rows = columns_of(asked(3, unanswerable=True))
    assert made().labels_of(rows) == [["no answer"], ["answer"], ["answer"]]
    task = made(none=True)
    assert task.search.can_be_none
    assert not made().search.can_be_none
    assert made().restored(task.facts) == task


# -- features ---------------------------------------------------------------------------------


def test_windows_are_transformers_own(bert: Path) -> None:
    rows = asked(6, people=5)
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = made(stride=5).features(columns_of(rows), tokenizer, 20)
    theirs = AutoTokenizer.from_pretrained(bert)(
        [row["question"] for row in rows],
        [row["context"] for row in rows],
        max_length=20,
        stride=5,
        truncation="only_second",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert features.columns["input_ids"].to_pylist() == theirs["input_ids"]
    assert features.columns["token_type_ids"].to_pylist() == theirs["token_type_ids"]
    assert features.source.tolist() == theirs["overflow_to_sample_mapping"]
    assert len(features.source) > 12
    answered = 0
    starts, ends = (features.columns[name].to_pylist() for name in ("start", "end"))
    for number, (row, start, end) in enumerate(zip(features.source, starts, ends, strict=True)):
        offsets = theirs["offset_mapping"][number]
        text = rows[row]["context"][offsets[start][0] : offsets[end][1]]
        assert text in ("", rows[row]["answers"]["text"][0])
        answered += text != ""
        assert text or (start, end) == (0, 0), "[CLS] stands for no answer"
    assert answered >= 6


def test_positions_move_with_padding_on_the_left(bert: Path, tmp_path: Path) -> None:
    rows = columns_of([*asked(1, people=1), *asked(1, people=4)])
    features = made().features(rows, AutoTokenizer.from_pretrained(bert), 64)
    table = MappedTable(encoded(features, tmp_path / "rows.arrow"))
    right, left = (
        made().collate(table, np.arange(2), Padding(0, side=side), FIXED)
        for side in ("right", "left")
    )
    for row in range(2):
        for at in range(2):
            ids = [batch["input_ids"][row, batch["labels"][row, at]] for batch in (right, left)]
            assert ids[0] == ids[1]


# -- loss -------------------------------------------------------------------------------------


def as_theirs(batch: Batch) -> Batch:
    inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
    start, end = batch["labels"].unbind(-1)
    return {**inputs, "start_positions": start, "end_positions": end}


def test_the_loss_is_transformers_own_times_the_windows(bert: Path, tmp_path: Path) -> None:
    rows = columns_of(asked(6, people=5))
    task = made()
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 24)
    table = MappedTable(encoded(features, tmp_path / "rows.arrow"))
    every = np.arange(len(table))
    model = AutoModelForQuestionAnswering.from_pretrained(bert).eval()
    batch = task.collate(table, every, Padding(0), FIXED)
    with torch.no_grad():
        expected = float(model(**as_theirs(batch)).loss)
        _, loss = task.predict(model, batch)
        nothing = task.predict(model, task.collate(table, every[:0], Padding(0), FIXED))[1]
    assert nothing == 0
    assert loss / task.row_weights(table, every, FIXED).sum() == pytest.approx(expected, rel=1e-6)


def test_losses_are_trainers(bert: Path, tmp_path: Path) -> None:
    task = made(none=True)
    rows = columns_of(asked(64, people=5, unanswerable=True))
    features = task.features(rows, AutoTokenizer.from_pretrained(bert), 24)
    encoded(features, tmp_path / "train.arrow")
    ours, theirs = losses_of_both(task, tmp_path, bert, tmp_path / "run", as_theirs=as_theirs)
    assert len(ours) == 20
    assert ours[-1] < ours[0]
    assert ours == pytest.approx(theirs, rel=1e-5)


# -- predictions ------------------------------------------------------------------------------


def test_a_model_that_knows_gives_the_answer_of_whichever_window_has_it(
    bert: Path, tmp_path: Path
) -> None:
    rows = columns_of(asked(9, people=5, unanswerable=True))
    task, tokenizer = made(none=True), AutoTokenizer.from_pretrained(bert)
    features = task.features(rows, tokenizer, 24)
    table = MappedTable(encoded(features, tmp_path / "rows.arrow"))
    outputs = []
    for i in range(len(table)):
        logits = np.zeros((int(table.column("length")[i]), 2), np.float32)
        for side, name in enumerate(("start", "end")):
            logits[int(table.column(name)[i]), side] = 9
        outputs.append(logits)
    scored = Scored(outputs, table, MappedTable(cleaned(rows, tmp_path / "c.arrow")), tokenizer)
    written = task.written(scored)
    texts = [json.loads(a)["text"] for a in rows["answers"]]
    assert written["prediction"] == [text[0] if text else "" for text in texts]
    assert written["answers"].to_pylist() == texts
    assert min(written["score"]) > 0.9
    metrics = task.metrics(scored)
    assert (metrics["exact_match"], metrics["f1"], metrics["unanswerable_f1"]) == (100, 100, 100)
