"""SQuAD files (Rajpurkar et al. 2016, arXiv 1606.05250; 2018, arXiv 1806.03822): a row is a question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from job.settings import Data
from job.stages.fetch.chunks import Chunk, Rows
from job.stages.fetch.jsons import objects


def read_squad(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One row a question: `id`, `title`, `context`, `question`, and `answers` as
    {"text": […], "answer_start": […]}, empty where SQuAD 2.0 says that there is none.

    A row's line is the number of its question in the file, from 1.

    Raises:
        DataError: the file is not JSON, or does not hold a list of articles.
        SettingsError: Python does not know the encoding.
    """
    rows = Rows()
    number = 0
    for article in objects(file, name, data):
        for row in _questions(article):
            number += 1
            if isinstance(row, str):
                rows.refuse(number, row, _shown(article))
            else:
                rows.add(number, row, len(row["context"]))
            if rows.full:
                yield rows.chunk()
    yield rows.chunk()


def _shown(article: Any) -> str:
    try:
        return json.dumps(article, ensure_ascii=False)
    except (RecursionError, TypeError):
        return "…"


def _questions(article: Any) -> Iterator[dict[str, Any] | str]:
    """The rows of an article; in place of a row that cannot be made, why."""
    if not isinstance(article, dict) or not isinstance(article.get("paragraphs"), list):
        yield "not a SQuAD article: it has no list of paragraphs"
        return
    for paragraph in article["paragraphs"]:
        context = paragraph.get("context") if isinstance(paragraph, dict) else None
        if not isinstance(context, str) or not isinstance(paragraph.get("qas"), list):
            yield "not a SQuAD paragraph: it has no context or no list of questions (qas)"
            continue
        for asked in paragraph["qas"]:
            if not isinstance(asked, dict):
                yield "a question that is not a JSON object"
                continue
            yield {
                "id": asked.get("id"),
                "title": article.get("title"),
                "context": context,
                "question": asked.get("question"),
                "answers": _answers(asked),
            }


def _answers(asked: dict[str, Any]) -> Any:
    """As columns; what is not a list of answers is left as it is, for the task to refuse."""
    if asked.get("is_impossible") is True:
        return {"text": [], "answer_start": []}
    answers = asked.get("answers")
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        return answers
    return {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
