"""Runs published files as a user would, with transformers alone: request on stdin, outputs on stdout.

Nothing of the job's own code takes part but pure functions that read a model's outputs, so that a
model that only the job can load is found out. Every task's function gives, for each row, the values
of the task's `compared` columns, or None for a row that this way cannot take.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Rows = list[dict[str, Any]]


def text_classification(folder: str, rows: Rows, *, max_length: int) -> list[Any]:
    """Probabilities in the order of the labels, or the score of a regression."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=folder, device="cpu")
    config = classify.model.config
    regression = config.problem_type == "regression"
    outputs = []
    for row in rows:
        inputs = {"text": row["text"]}
        if row.get("text_pair") is not None:
            inputs["text_pair"] = row["text_pair"]
        answers = classify(inputs, top_k=None, truncation=True, max_length=max_length)
        scores = {answer["label"]: answer["score"] for answer in answers}
        ordered = [scores[config.id2label[i]] for i in range(len(config.id2label))]
        outputs.append([ordered[0] if regression else ordered])
    return outputs


def token_classification(folder: str, rows: Rows, *, max_length: int) -> list[Any]:
    """The pipeline's entities; it takes texts of one window only."""
    from transformers import pipeline

    classify = pipeline(
        "token-classification", model=folder, device="cpu", aggregation_strategy="first"
    )
    outputs: list[Any] = []
    for row in rows:
        text = " ".join(json.loads(row["tokens"]))
        fits = len(classify.tokenizer(text)["input_ids"]) <= max_length
        outputs.append([classify(text)] if fits and text else None)
    return outputs


def question_answering(folder: str, rows: Rows, **reading: Any) -> list[Any]:
    """The best span's text and probability, read by the job's own n-best."""
    from job.tasks.answers import answer_of
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [list(answer_of(model, tokenizer, row, **reading)) for row in rows]


RUN: dict[str, Callable[..., list[Any]]] = {
    "text-classification": text_classification,
    "token-classification": token_classification,
    "question-answering": question_answering,
}


def plain(value: Any) -> Any:
    """numpy's scalars as JSON."""
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    request = json.load(sys.stdin)
    found = RUN[request["task"]](request["folder"], request["rows"], **request["reading"])
    print(json.dumps(found, default=plain))
