"""Chats that can be learned from or answered, and where a template begins the last message."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest

from job.stages.predict import PredictRules
from job.tasks.row_rules import Readable
from job.tasks.text_generation.chats import (
    NOT_A_CHAT,
    Layout,
    messages_of,
    problem_of_answered,
    problem_of_asked,
)
from job.tasks.text_generation.predicting import Prompting
from tests.tasks.text_generation.samples import made

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


@pytest.mark.parametrize(
    "chat",
    [
        *(None, "not a list", "3", "{}", '["a"]', '[{"role": 1, "content": "a"}]', "[" * 100_000),
        r'[{"role": "user", "content": "half \ud83d"}]',
        f'[{{"role": "user", "content": "a", "extra": {"[" * 300}{"]" * 300}}}]',
        "[{'role': 'user', 'content': 'as Python prints it'}]",
    ],
)
def test_what_is_not_a_list_of_messages_is_a_problem(chat: str | None) -> None:
    assert problem_of_answered(chat) == problem_of_asked(chat) == NOT_A_CHAT


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a b", "a b"),
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        (["a", {"text": "b"}], "ab"),
        ([], ""),
    ],
)
def test_the_parts_of_a_content_are_joined(content: Any, text: str) -> None:
    (message,) = messages_of(json.dumps([{"role": "user", "content": content, "name": "x"}]))
    assert message == {"role": "user", "content": text, "name": "x"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "image", "url": "x"}], "message 2 holds a part of type 'image'"),
        ([{"type": "text"}], "the content of message 2 is not text"),
        (None, "the content of message 2 is not text"),
        (5, "the content of message 2 is not text"),
        ([["a"]], "the content of message 2 is not text"),
    ],
)
def test_what_is_not_text_is_not_learned_as_if_it_were(content: Any, said: str) -> None:
    chat = json.dumps([*ASKED, {"role": "assistant", "content": content}])
    assert str(problem_of_answered(chat)).startswith(said)
    assert str(problem_of_asked(chat)).startswith(said)


def test_a_call_of_a_tool_needs_no_content() -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    assert messages_of(json.dumps([*ASKED, call]))[-1] == call


def test_a_chat_is_cut_where_its_last_message_begins(tokenizer: Any) -> None:
    assert Layout.of(tokenizer).halves(json.dumps(ANSWERED)) == ("user a b assistant ", "c ")


def test_an_empty_answer_at_the_end_is_no_part_of_what_is_asked(tokenizer: Any) -> None:
    chat = json.dumps([*ASKED, {"role": "assistant", "content": ""}])
    assert Layout.of(tokenizer).prompt(chat) == "user a b assistant "


STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system message, please') }}{% elif messages[0].role == 'tool' %}{{ raise_exception('') }}{% endif %}{{ messages[0].content + messages[-1].extra }}"


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"role": "user", "content": "a", "extra": "b"}, None),
        ({"role": "system", "content": "a"}, "refuses it: no system message, please"),
        ({"role": "user", "content": "a", "extra": 5}, "refuses it: can only concatenate str"),
        ({"role": "user", "content": "a"}, "refuses it: .* has no attribute 'extra'"),
        ({"role": "tool", "content": "a"}, "refuses it: TemplateError$"),
    ],
)
def test_a_chat_that_the_template_refuses_is_a_bad_row_with_its_words(
    tokenizer: Any, first: dict[str, Any], said: str | None
) -> None:
    strict = deepcopy(tokenizer)
    strict.chat_template = STRICT
    task = made(messages="messages")
    answer = {"role": "assistant", "content": "c", "extra": first.get("extra")}
    rows = {"messages": [json.dumps([first, answer]), "no chat"]}
    problem, not_a_chat = Readable(task, strict).problems(rows)
    assert not_a_chat == NOT_A_CHAT
    assert problem is None if said is None else re.search(said, str(problem))
    asked = PredictRules(Prompting.of(task), ())
    (problem,) = Readable(asked, strict).problems({"messages": [json.dumps([first])]})
    assert (problem is None) is (said is None)


def test_what_is_no_chat_is_not_said_to_be_refused_by_the_template(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="must be a list of"):
        made(messages="messages").unreadable({"messages": ["no chat"]}, tokenizer)
