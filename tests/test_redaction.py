"""What is known to be secret is hidden in whatever is printed, however it is written there."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from job import redaction
from job.errors import JobError
from job.redaction import mask, redact, redact_all, remember
from job.supervisor import termination_message
from job.telemetry import Watcher, milestone, watched
from job.uris import Uri, remember_environment


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_remembered", [])
    yield


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40).filter(
    lambda text: len(text.strip("* \r\n\t")) >= 8
)
AWS_KEYS = st.text("abcdefghijKLMNOPQ0123456789/+", min_size=40, max_size=40)


@trying(deadline=None)
@given(SECRETS | AWS_KEYS)
def test_however_a_library_writes_it(secret: str) -> None:
    redaction._remembered.clear()
    remember(secret)
    for written in (
        secret,
        repr(secret),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
    ):
        shown = redact(f"library: cannot use <{written}> here")
        assert written not in shown or written in "library: cannot use <***> here"
        assert "***" in shown


@trying(deadline=None)
@given(AWS_KEYS)
def test_a_key_that_was_pasted_into_a_uri_is_found_where_only_a_part_is_quoted(key: str) -> None:
    redaction._remembered.clear()
    for uri in (f"s3://AKIAEXAMPLE:{key}@bucket/a.csv", f"https://me:{key}@host/a b's.csv"):
        shown = str(Uri(uri))
        assert key not in shown
        for said in (uri, f"me:{key}", key, f"cannot parse '{uri}' at it's end", repr(uri)):
            assert key not in redact(said)
            assert key not in str(JobError(said, hint=said))
            assert key not in termination_message({"exit_code": 70, "message": said}).decode()


def test_a_signed_address_is_hidden_also_with_spaces_and_apostrophes() -> None:
    for name in ("my file.csv", "john's.csv", "a.csv"):
        for query in (
            "X-Amz-Signature=f00&X-Amz-Expires=9",
            *("X-Goog-Signature=f00", "token=f00", "a=1&sig=f00", "X-Amz-Security-Token=f00"),
        ):
            said = f"GET http://127.0.0.1:9/{name}?{query} failed"
            assert "f00" not in redact(said)
            assert redact(said).endswith(" failed")
    assert redact("'GET /a b.csv?sig=f00 HTTP/1.1'") == "'GET /a b.csv?sig=*** HTTP/1.1'"
    assert redact("why?key=value") == "why?key=***"
    assert redact("x?page=2") == "x?page=2"


def test_variables_that_are_secret_by_their_names() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "abc/DEF+ghi/JKL",
        "HF_TOKEN": "hf_0123456789\n",
        "HTTPS_PROXY": "http://me:a password@proxy:3128",
        "WANDB_API_KEY": "0123456789abcdef",
        "DB_PWD": "a-long-password",
        "PWD": "/home/somebody",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/token",
        "FINETUNE_CLEAN__RENAME__key": "category",
        "TOKENIZERS_PARALLELISM": "false-ish",
    }
    remember_environment(environment)
    for hidden in (
        "abc/DEF+ghi/JKL",
        "hf_0123456789",
        "a password",
        "0123456789abcdef",
        "a-long-password",
    ):
        assert redact(f"it is {hidden}!") == "it is ***!"
    for shown in (
        "/home/somebody",
        "/var/run/secrets/token",
        "category",
        "false-ish",
        "proxy:3128",
    ):
        assert redact(shown) == shown


def test_what_is_compared_does_not_depend_on_what_is_known() -> None:
    text = "s3://bucket/a-long-password/a.csv"
    remember("a-long-password")
    assert mask(text) == str(Uri(text)) == Uri(text).without_secrets == text
    assert redact(text) == "s3://bucket/***/a.csv"
    assert redact_all({text: [text, 1, None]}) == {redact(text): [redact(text), 1, None]}


def test_watchers_are_told_nothing_secret() -> None:
    told: list[str] = []

    class Listening(Watcher):
        def reached(self, reason: str, message: str) -> None:
            told.append(message)

        def figures(self, **figures: object) -> None:
            raise AssertionError

    remember("a-long-password")
    with watched(Listening()):
        milestone("Failed", "at a-long-password", uri="https://me:pw@host/a")
    assert told == ["at ***, uri https://***@host/a"]
