"""Chats: a JSON list of messages, each with a role, laid out as text by a tokenizer's own template."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from job.tasks.json_text import json_value
from job.tasks.special_tokens import SpecialTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = list[dict[str, Any]]

NOT_A_CHAT = 'messages must be a list of {"role": …, "content": …}'
UNANSWERED = (
    "nothing to learn: the last message is not the assistant's; text-generation needs an answer"
)


def messages_of(chat: str | None) -> Messages:
    """A chat's messages, the parts of each one's content joined.

    Raises:
        ValueError: it is not a chat, or a message holds something that is not text; with the reason.
    """
    try:
        messages = json_value(chat or "")
    except ValueError:
        raise ValueError(NOT_A_CHAT) from None
    if not isinstance(messages, list) or not messages:
        raise ValueError(NOT_A_CHAT)
    return [_message(message, number) for number, message in enumerate(messages, 1)]


def _message(message: Any, number: int) -> dict[str, Any]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ValueError(NOT_A_CHAT)
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return message
    if "content" not in message:
        raise ValueError(NOT_A_CHAT)
    parts = content if isinstance(content, list) else [content]
    return {**message, "content": "".join(_text(part, number) for part in parts)}


def _text(part: Any, number: int) -> str:
    """The text of a message's content, or of a part of it, which names its type."""
    if isinstance(part, dict):
        kind = part.get("type", "text")
        if kind != "text":
            raise ValueError(f"message {number} holds a part of type {kind!r}, which is not text")
        part = part.get("text")
    if not isinstance(part, str):
        raise ValueError(f"the content of message {number} is not text")
    return part


def problem_of_answered(chat: str | None) -> str | None:
    """Why a chat cannot be learned from, or None; its last message must be the assistant's."""
    try:
        last = messages_of(chat)[-1]
    except ValueError as error:
        return str(error)
    answer = last.get("content") or ""
    return None if last["role"] == "assistant" and answer.strip() else UNANSWERED


def asked_of(chat: str | None) -> Messages:
    """The messages of a chat that is to be answered, without empty ones at its end.

    Raises:
        ValueError: as `messages_of`; or nothing is asked.
    """
    messages = messages_of(chat)
    said = [number for number, m in enumerate(messages, 1) if m.get("content") or "tool_calls" in m]
    if not said:
        raise ValueError(NOT_A_CHAT)
    messages = messages[: said[-1]]
    if messages[-1]["role"] == "assistant":
        raise ValueError("the last message is the assistant's: nothing is asked")
    return messages


def problem_of_asked(chat: str | None) -> str | None:
    """Why a chat cannot be answered, or None; its last message must not be the assistant's."""
    try:
        asked_of(chat)
    except ValueError as error:
        return str(error)
    return None


class Refused(Exception):
    """A tokenizer's template does not lay out a chat; in its own words, where it has any."""


@dataclass(frozen=True)
class Layout:
    """How a tokenizer's template lays out chats: as text in which the users' special tokens are marked
    (see SpecialTokens), so that those of the template alone are obeyed."""

    tokenizer: PreTrainedTokenizerFast
    special: SpecialTokens

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> Layout:
        """The tokenizer's own."""
        return cls(tokenizer, SpecialTokens(tokenizer))

    def prompt(self, chat: str | None) -> str:
        """A chat that is to be answered, up to where the answer begins.

        Raises:
            Refused: the template does not lay it out.
        """
        return self._rendered(self.special.marked(asked_of(chat)), prompt=True)

    def halves(self, chat: str | None) -> tuple[str, str]:
        """A chat cut where its last message begins.

        A template may lay out the last message differently from a prompt for it; then the prompt is
        the beginning that both have.

        Raises:
            Refused: the template does not lay it out.
        """
        messages = self.special.marked(messages_of(chat))
        whole = self._rendered(messages, prompt=False)
        prompt = self._rendered(messages[:-1], prompt=True) if messages[1:] else ""
        same = sum(accumulate((a == b for a, b in zip(prompt, whole, strict=False)), min))
        return whole[:same], whole[same:]

    def _rendered(self, messages: Messages, *, prompt: bool) -> str:
        template = self.tokenizer.apply_chat_template
        try:
            return str(template(messages, tokenize=False, add_generation_prompt=prompt))
        except Exception as error:  # a template can fail in any way
            raise Refused(str(error) or type(error).__name__) from error
