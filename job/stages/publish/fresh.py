"""Runs published files as a user would, with transformers alone: request on stdin, outputs on stdout.

Nothing of the job's own code takes part, so that a model that only the job can load is found out.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def text_classification(folder: str, rows: list[dict[str, Any]], max_length: int) -> list[Any]:
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
        outputs.append(ordered[0] if regression else ordered)
    return outputs


if __name__ == "__main__":
    request = json.load(sys.stdin)
    run = {"text-classification": text_classification}[request["task"]]
    print(json.dumps(run(request["folder"], request["rows"], request["max_length"])))
