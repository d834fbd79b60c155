"""Tags: entities and repair, against obvious references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.tasks.token_classification.tags import (
    entities,
    fault,
    first_of,
    is_tag,
    repaired,
    scheme_of,
    tags_for,
    tags_of,
)

TAG = st.sampled_from(tags_for(["a", "b"], "bioes"))


@pytest.mark.parametrize(
    ("tags", "iob2", "bioes"),
    [
        ("O I-a I-a O", "O B-a I-a O", "O B-a E-a O"),  # IOB1
        ("I-a B-a I-a", "B-a B-a I-a", "S-a B-a E-a"),  # IOB1, two entities side by side
        ("B-a I-b I-b", "B-a B-b I-b", "S-a B-b E-b"),
        ("B-a B-a O", "B-a B-a O", "S-a S-a O"),
        ("S-a I-a E-a E-a", "B-a B-a I-a B-a", "S-a B-a E-a S-a"),
    ],
)
def test_what_no_scheme_allows_is_repaired(tags: str, iob2: str, bioes: str) -> None:
    assert repaired(tags.split(), "iob2") == iob2.split()
    assert repaired(tags.split(), "bioes") == bioes.split()
    assert repaired(tags.split(), "none") == tags.split()


@given(st.lists(TAG, max_size=12), st.sampled_from(["iob2", "bioes"]))
def test_repaired_tags_mark_the_same_entities_and_need_no_repair(
    tags: list[str], scheme: str
) -> None:
    fixed = repaired(tags, scheme)
    assert repaired(fixed, scheme) == fixed
    assert entities(fixed) == entities(tags)
    assert tags_of(entities(tags), len(tags), scheme) == fixed
    assert all(is_tag(tag, scheme) for tag in fixed)
    assert [tag == "O" for tag in fixed] == [tag == "O" for tag in tags]


def test_of_several_tags_for_a_word_the_first_counts() -> None:
    """As in the test file of WNUT 2017, which keeps what its annotators disagreed on."""
    tags = ["B-a,B-b", "I-a,I-b", "O,B-b", "B-a,b"]
    assert repaired(tags, "iob2") == ["B-a", "I-a", "O", "B-a,b"]
    assert repaired(tags, "none") == tags
    assert fault(["x"] * 4, tags, "auto") is None
    assert first_of("B-a,B-b", "auto") == "B-a"


def test_letters_without_types_mark_entities_of_one_type() -> None:
    """As in the data of BioBERT; seqeval calls the type `_`."""
    tags = ["B", "I", "O", "I", "B", "B"]
    assert fault(["x"] * 6, tags, "auto") is None
    assert repaired(tags, "iob2") == ["B-_", "I-_", "O", "B-_", "B-_", "B-_"]
    assert repaired(["B", "E", "S"], "bioes") == ["B-_", "E-_", "S-_"]
    assert [entity.type for entity in entities(repaired(tags, "iob2"))] == ["_"] * 4
    assert repaired(["B", "NN"], "none") == ["B", "NN"]
    assert scheme_of(first_of(tag, "auto") for tag in tags) == "iob2"
    assert fault(["x"] * 2, ["B", "B-a"], "auto") == "some tags have a type and others have none"
    assert not any(is_tag(tag, "iob2") for tag in ("E", "S", "B-", "-", "", "BI"))


def test_the_scheme_is_read_from_the_tags() -> None:
    assert scheme_of(["O", "B-E-x"]) == "iob2"
    assert scheme_of(["O", "S-x"]) == "bioes"
    assert is_tag("B-E-x", "iob2")
    assert not is_tag("E-x", "iob2")
    assert not is_tag("B_x", "auto")
