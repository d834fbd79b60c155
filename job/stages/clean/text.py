"""What is done to texts: pure functions over lists of strings, null staying null."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Sequence

from job.settings import Clean

Texts = Sequence[str | None]


def changes(clean: Clean) -> bool:
    """Whether `cleaned` may change a text."""
    return bool(_steps(clean))


def cleaned(texts: Texts, clean: Clean) -> list[str | None]:
    """The texts after unescape_html, lowercase, normalize_unicode and strip, where set."""
    results = list(texts)
    for step in _steps(clean):
        results = [None if text is None else step(text) for text in results]
    return results


def _steps(clean: Clean) -> list[Callable[[str], str]]:
    steps: list[Callable[[str], str]] = []
    if clean.unescape_html:
        steps.append(html.unescape)
    if clean.lowercase:
        steps.append(str.lower)
    if form := clean.normalize_unicode:
        steps.append(lambda text: unicodedata.normalize(form, text))
    if clean.strip:
        steps.append(str.strip)
    return steps


def canonical(text: str | None) -> str:
    """NFKC, case folded, white space collapsed: the same for texts that count as equal."""
    if text is None:
        return ""
    if not text.isascii():
        # folding may leave what NFKC would compose: normalized again, equal texts are equal
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().split())


def is_empty(text: str | None) -> bool:
    """Whether there is nothing but white space."""
    return text is None or not text or text.isspace()
