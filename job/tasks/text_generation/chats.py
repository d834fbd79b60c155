"""Chats: a JSON list of messages, each with a role, laid out as text by a tokenizer's own template."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = list[dict[str, Any]]

NOT_A_CHAT = 'messages must be a list of {"role": …, "content": …}'


def problem_of_answered(chat: str | None) -> str | None:
    """Why a chat cannot be learned from, or None; its last message must be the assistant's."""
    try:
        messages = json.loads(chat or "")
        roles = [message["role"] for message in messages]
        last = str(messages[-1]["content"])
    except (ValueError, TypeError, KeyError, IndexError):
        return NOT_A_CHAT
    if roles[-1] != "assistant" or not last.strip():
        return "nothing to learn: the last message is not the assistant's; text-generation needs an answer"
    return None


def problem_of_asked(chat: str | None) -> str | None:
    """Why a chat cannot be answered, or None; its last message must not be the assistant's."""
    try:
        roles = [message["role"] for message in json.loads(chat or "") if message["content"]]
    except (ValueError, TypeError, KeyError):
        return NOT_A_CHAT
    if not roles:
        return NOT_A_CHAT
    if roles[-1] == "assistant":
        return "the last message is the assistant's: nothing is asked"
    return None


def prompt_of(messages: Messages, tokenizer: PreTrainedTokenizerFast) -> str:
    """Messages as text, up to where the assistant's next one begins."""
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(prompt)


def halves_of(chat: str, tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """A chat as text, cut where its last message begins.

    A template may lay out the last message differently from a prompt for it; then the prompt is the
    beginning that both have.
    """
    messages = json.loads(chat)
    whole = str(tokenizer.apply_chat_template(messages, tokenize=False))
    prompt = prompt_of(messages[:-1], tokenizer)
    same = sum(accumulate((a == b for a, b in zip(prompt, whole, strict=False)), min))
    return whole[:same], whole[same:]
