"""The termination message: JSON that Kubernetes reads whole, whatever a worker has said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from job.supervisor import TERMINATION_MESSAGE_BYTES, record_outcome, termination_message

CHARACTERS = st.characters(codec=None) | st.sampled_from('\\"\n\0é漢😀\ud800')
TEXTS = st.tuples(st.text(CHARACTERS, max_size=40), st.integers(1, 400)).map(lambda t: t[0] * t[1])
VALUES = st.none() | st.integers() | st.floats() | TEXTS
OUTCOMES = st.fixed_dictionaries(
    {"exit_code": st.integers(0, 255)},
    optional={
        "error": st.sampled_from(["DataError", "JobError"]),
        "message": TEXTS,
        "lines": st.lists(TEXTS, max_size=3),
        "result": st.dictionaries(
            st.text(max_size=9), VALUES | st.lists(VALUES, max_size=3), max_size=4
        ),
    },
)


@trying(deadline=None)
@given(OUTCOMES)
def test_it_is_whole_json_within_what_is_read(outcome: dict[str, Any]) -> None:
    encoded = termination_message(outcome)
    assert len(encoded) <= TERMINATION_MESSAGE_BYTES
    read = json.loads(encoded.decode(), parse_constant=lambda word: 1 / 0)
    assert read["exit_code"] == outcome["exit_code"]
    assert read.get("error") == outcome.get("error")


def test_what_is_long_is_shortened_least_important_first(tmp_path: Path) -> None:
    lines, result = ["line " * 500] * 3, {"model": "s3://m", "loss": float("nan")}
    read = json.loads(termination_message({"exit_code": 0, "lines": lines, "result": result}))
    assert read == {"exit_code": 0, "result": {"model": "s3://m", "loss": None}}
    message = "what is wrong: " + "漢字" * 4000 + "; what to do"
    log = tmp_path / "log"
    log.write_text("")
    record_outcome(65, {"error": "DataError", "message": message, "result": result}, str(log))
    encoded = log.read_bytes()
    assert TERMINATION_MESSAGE_BYTES - 8 < len(encoded) <= TERMINATION_MESSAGE_BYTES
    read = json.loads(encoded)
    assert read["message"].startswith("what is wrong: 漢字")
    assert read["message"].endswith("漢字; what to do")
