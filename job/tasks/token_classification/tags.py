"""Tags of words: schemes, entities and repair. Pure functions.

IOB2 begins every entity with B- and continues it with I-; BIOES also ends it with E-, and marks an
entity of one word with S- (Ratinov and Roth 2009). Where entities have no types, tags are the letters
alone; such a tag is read as one of the type `_`, as seqeval calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from job.tasks.labels import listed

OUTSIDE = "O"
UNNAMED = "_"
"""The type of entities that have none."""
PREFIXES = {"iob2": "BI", "bioes": "BIES"}
"""The letters of each scheme, in the order of the labels."""


class Entity(NamedTuple):
    """The words from `start` up to `end`, which is not part of it."""

    type: str
    start: int
    end: int


def read_tags(text: str | None) -> list[str]:
    """The tags in a JSON list; white space around one is never meant."""
    return [tag.strip() for tag in listed(text) or []]


def is_tag(tag: str, scheme: str) -> bool:
    """Whether a tag is O or one of the scheme's letters, with or without a type; `auto` is either
    scheme."""
    if scheme == "none":
        return bool(tag)
    letters = PREFIXES.get(scheme, PREFIXES["bioes"])
    letter, dash, name = tag[:1], tag[1:2], tag[2:]
    return tag == OUTSIDE or (
        letter in tuple(letters) and (not dash or (dash == "-" and name != ""))
    )


def described(scheme: str) -> str:
    """A scheme's tags, for a message."""
    letters = PREFIXES.get(scheme, PREFIXES["bioes"])
    return ", ".join([OUTSIDE, *(f"{letter}-TYPE" for letter in letters)])


def first_of(tag: str, scheme: str) -> str:
    """The first of several tags that annotators gave a word (`B-person,B-group`), else the tag; always
    with a type."""
    if scheme == "none":
        return tag
    parts = tag.split(",")
    first = parts[0] if all(is_tag(part, scheme) for part in parts) else tag
    return f"{first}-{UNNAMED}" if len(first) == 1 and first != OUTSIDE else first


def fault(words: Sequence[str], tags: Sequence[str], scheme: str) -> str | None:
    """Why a sentence cannot be learned from, or None."""
    if len(words) != len(tags):
        return (
            f"{len(words)} tokens and {len(tags)} tags; token-classification needs a tag for each"
        )
    wrong = next((tag for tag in tags if not is_tag(first_of(tag, scheme), scheme)), None)
    if wrong is not None:
        return (
            f"the tag {wrong[:40]!r} is not in the scheme: {described(scheme)}; "
            "token-classification needs one of these"
        )
    types = () if scheme == "none" else types_of(first_of(tag, scheme) for tag in tags)
    if len(types) > 1 and UNNAMED in types:
        return "some tags have a type and others have none"
    return None if any(word.strip() for word in words) else "no tokens"


def scheme_of(tags: Iterable[str]) -> str:
    """BIOES where there is an E- or an S-, else IOB2."""
    return "bioes" if any(tag.startswith(("E-", "S-")) for tag in tags) else "iob2"


def types_of(tags: Iterable[str]) -> dict[str, int]:
    """The entity types among tags, sorted, each with the number 1."""
    return dict.fromkeys(sorted({tag[2:] for tag in tags if tag != OUTSIDE}), 1)


def tags_for(types: Iterable[str], scheme: str) -> tuple[str, ...]:
    """Every tag that a scheme has for these types; a repaired tag is always among them."""
    return (OUTSIDE, *(f"{letter}-{name}" for name in types for letter in PREFIXES[scheme]))


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence, in order, as conlleval and seqeval read tags.

    An entity continues while I- or E- of its type follows B- or I-; anything else but O begins one.
    So I- without B- begins one too, and IOB1 is read correctly.
    """
    entities: list[Entity] = []
    before = OUTSIDE
    for i, tag in enumerate(tags):
        letter, _, name = tag.partition("-")
        continues = letter in ("I", "E") and before in (f"B-{name}", f"I-{name}")
        if continues:
            entities[-1] = entities[-1]._replace(end=i + 1)
        elif tag != OUTSIDE:
            entities.append(Entity(name, i, i + 1))
        before = tag
    return entities


def tags_of(entities: Iterable[Entity], words: int, scheme: str) -> list[str]:
    """Entities as the tags of a sentence of so many words."""
    tags = [OUTSIDE] * words
    for name, start, end in entities:
        tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
        if scheme == "bioes":
            tags[end - 1] = f"{'S' if end - start == 1 else 'E'}-{name}"
    return tags


def repaired(tags: Sequence[str], scheme: str) -> list[str]:
    """The tags of the same entities as the scheme writes them; tags that mark no entities as they are.

    Where a word has several tags, the first counts.
    """
    if scheme == "none":
        return list(tags)
    return tags_of(entities([first_of(tag, scheme) for tag in tags]), len(tags), scheme)


def continued(tag: str) -> str:
    """The tag of a word's later tokens: what begins an entity continues it, and what ends it stays."""
    if tag.startswith("B-"):
        return f"I-{tag[2:]}"
    return f"E-{tag[2:]}" if tag.startswith("S-") else tag
