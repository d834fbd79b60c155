"""Entities are those that transformers' pipeline finds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from transformers import AutoTokenizer, pipeline

from tests.tasks.token_classification.samples import (
    counts,
    made,
    model_of,
    rows_of,
    scored_of,
    sentences,
)


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
