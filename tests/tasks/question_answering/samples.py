"""Questions about who lives where, some of them about nobody."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from job.settings import Encode, Evaluate
from job.tasks.question_answering import QuestionAnswering
from tests.support.samples import settings_of

NAMES = ("anna", "boris", "chidi", "dana", "emil", "femi")
PLACES = ("paris", "lagos", "rome", "oslo", "lima", "quito")


def asked(count: int, *, people: int = 3, unanswerable: bool = False) -> list[dict[str, Any]]:
    """Who lives where; some questions are about people whom their context does not mention."""
    random = np.random.default_rng(1)
    rows = []
    for i in range(count):
        names = random.permutation(NAMES)[:people].tolist()
        places = random.permutation(PLACES)[:people].tolist()
        context = " ".join(
            f"{name} lives in {place}." for name, place in zip(names, places, strict=True)
        )
        answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
        who = next(name for name in NAMES if name not in names)
        if not (unanswerable and i % 3 == 0):
            who, place = names[i % people], places[i % people]
            answers = {"text": [place], "answer_start": [context.index(place)]}
        rows.append({"question": f"where is {who}?", "context": context, "answers": answers})
    return rows


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    texts = {role: [row[role] for row in rows] for role in ("question", "context")}
    return {**texts, "answers": [json.dumps(row["answers"]) for row in rows]}


def made(*, none: bool = False, stride: int | None = None, **evaluate: Any) -> QuestionAnswering:
    task = QuestionAnswering.create(
        settings_of(encode=Encode(stride=stride), evaluate=Evaluate(**evaluate))
    )
    return task.fitted({}, {"train": {"answer": 1, **({"no answer": 1} if none else {})}}, ())
