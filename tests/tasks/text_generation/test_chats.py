"""Chats that can be learned from or answered, and where a template begins the last message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from job.tasks.text_generation.chats import (
    NOT_A_CHAT,
    halves_of,
    problem_of_answered,
    problem_of_asked,
)

ASKED = [{"role": "user", "content": "a b"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "c"}]


@pytest.mark.parametrize(
    ("messages", "learned", "answered"),
    [
        (ANSWERED, None, "the last message is the assistant's: nothing is asked"),
        (ASKED, "nothing to learn: the last message is not the assistant's", None),
        ([*ASKED, {"role": "assistant", "content": " "}], "nothing to learn: ", "the last message"),
        ([], NOT_A_CHAT, NOT_A_CHAT),
        ([{"content": "a"}], NOT_A_CHAT, NOT_A_CHAT),
    ],
)
def test_a_chat_must_end_with_the_answer_to_be_learned_and_without_it_to_be_answered(
    messages: list[dict[str, str]], learned: str | None, answered: str | None
) -> None:
    for problem_of, expected in ((problem_of_answered, learned), (problem_of_asked, answered)):
        problem = problem_of(json.dumps(messages))
        assert problem is None if expected is None else str(problem).startswith(expected)


@pytest.mark.parametrize("chat", [None, "not a list", "3"])
def test_what_is_not_a_list_of_messages_is_a_problem(chat: str | None) -> None:
    assert problem_of_answered(chat) == problem_of_asked(chat) == NOT_A_CHAT


def test_a_chat_is_cut_where_its_last_message_begins(tokenizer: Any) -> None:
    assert halves_of(json.dumps(ANSWERED), tokenizer) == ("user a b assistant ", "c ")
