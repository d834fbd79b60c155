"""Questions that leave room for their context."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from job.tasks.question_answering.questions import shortened
from tests.tasks.question_answering.samples import asked, columns_of, made


def test_an_endless_question_leaves_room_for_the_context(bert: Path) -> None:
    rows = columns_of(asked(2))
    rows["question"][0] = "where is anna " * 50
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = made().features(rows, tokenizer, 32)
    assert features.truncated == 1
    assert shortened(tokenizer, "where is anna", 2) == "where is"
    tokenizer.backend_tokenizer.enable_padding(length=128)  # as some are published
    assert shortened(tokenizer, "where is anna", 2) == "where is"
