"""URIs: what they name, and that nothing prints their secrets."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from job.errors import JobError, SettingsError, StoreError
from job.redaction import mask
from job.settings import Data, Model, Settings, load, recorded, relevant
from job.settings.sections.data import Source
from job.settings.show import effective
from job.store import open_reader, open_store
from job.telemetry import _Json, _Text
from job.uris import Uri

MASKED = [
    ("https://user:pw@host/a?sig=1", "https://***@host/a?***"),
    ("https://user:p@ss/w#rd@host/a", "https://***@host/a"),
    ("https://user:12/34@host/a", "https://***@host/a"),
    ("https://dG9rZW4/a@host/a", "https://***@host/a"),
    ("https://user:p?w@host/a", "https://***"),
    ("https://user:p@s?s@host/a", "https://***"),
    ("https://user:pw@host.org:80/a?mail=me@home", "https://***@host.org:80/a?***"),
    ("https://user:pw@host/my file.csv?sig=it's 1", "https://***@host/my file.csv?***"),
    ("http://host:9000/a?mail=me@home", "http://host:9000/a?***"),
    ("https://cdn.example.org/it@1.2/a?mail=me@home", "https://cdn.example.org/it@1.2/a?***"),
    ("ftp://user:pw@host/a?b", "ftp://***@host/a?***"),
    ("https:/user:pw@host/a", "https:/***@host/a"),
    ("s3://AKIA:se/cr@et@bucket/a", "s3://***@bucket/a"),
    ("s3://bucket/it's @home/?.csv", "s3://bucket/it's @home/?.csv"),
    ("s3://bucket/a@b/?.csv", "s3://bucket/a@b/?***"),
    ("hf://datasets/me/it@main/a.csv", "hf://datasets/me/it@main/a.csv"),
    ("file:///home/me@work/a", "file:///home/me@work/a"),
    ("a/b@c?", "a/b@c?"),
    ("org/model", "org/model"),
]


@pytest.mark.parametrize(("text", "shown"), MASKED)
def test_what_is_shown_of_a_uri(text: str, shown: str) -> None:
    uri = Uri(text)
    assert (str(uri), f"{uri:>3}", repr(uri)) == (shown, shown, f"Uri({shown!r})")
    assert uri.secret == text
    assert mask(shown) == shown


def test_secrets_in_text_are_masked_and_nothing_else() -> None:
    for scheme in ("https://", "https:/", "s3:/", "HTTP:/"):
        assert mask(f"at {scheme}user:pw@host/a") == f"at {scheme}***@host/a"
        assert mask(f"{scheme}host/a?X-Amz-Signature=1 it") == f"{scheme}host/a?*** it"
    assert mask("https://a.org/http://u:p@host/") == "https://a.org/http://***@host/"
    for text in ("c:/me@home", "a/b@c", "hf://datasets/me/it@main/a.csv", "https://host:8443/a"):
        assert mask(text) == text
    with pytest.raises(SettingsError) as caught:
        open_store("https:/user:pw@host/a")
    assert "pw" not in str(caught.value)


def test_what_may_stand_in_a_record() -> None:
    for text, public in (
        ("https://user:pw@Host:8443/a?b=1", "https://host:8443/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("https://user:p/w@host/a", "https://host/a"),
        ("https://user:p?w@host/a", "https://***"),
        ("s3://Bucket/a?.csv", "s3://Bucket/a?.csv"),
        ("data/a?.csv", "data/a?.csv"),
    ):
        assert Uri(text).without_secrets == public


def test_what_a_uri_names(tmp_path: Path) -> None:
    assert Uri("s3://bucket/a/b/").bucket_and_key() == ("bucket", "a/b/")
    assert Uri("s3://bucket//a//b").bucket_and_key() == ("bucket", "/a//b")
    for begin in ("file://", "FILE://", "file://localhost", ""):
        assert Uri(f"{begin}{tmp_path}/a").path == tmp_path / "a"
    assert Uri("org/model").is_hub_id
    assert not Uri(str(tmp_path)).is_hub_id
    assert not Uri("s3://bucket/model").is_hub_id
    assert (Uri("S3://b").scheme, Uri("a/b").scheme) == ("s3", "file")
    assert (Uri("data/a.CSV").suffix, Uri("data").suffix) == ("csv", "")
    signed = Uri("https://user:pw@host/")
    assert (signed / "/a").secret == "https://user:pw@host/a"
    assert signed / "" is signed
    assert Uri("s3://b/model").folder == Uri("s3://b/model/").folder == Uri("s3://b/model/")
    assert Uri("s3://b/model//").folder == Uri("s3://b/model//"), "keys of their own"
    assert Uri("s3://b/d/").of_key("/a.csv") == Uri("s3://b/d///a.csv")
    assert Uri("/").of_key("a") == Uri("/a")
    assert not Uri("")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file://out", "write file:///out for an absolute path, or ./out"),
        ("file://out/run", "is a server, not a folder"),
        ("FILE://C:/a", "is a server"),
        ("file:///a#b/c", "without file://"),
        ("file:///x?y/z", "without file://"),
        ("file:///a%20b", "without file://"),
        ("data/caf\udce9.csv", "not UTF-8"),
        ("s3://b/caf\udce9.csv", "not UTF-8"),
        ("data/a\0.csv", "NUL"),
    ],
)
def test_what_reads_in_two_ways_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        Uri(text).check()
    assert caught.value.exit_code == 78
    with pytest.raises(ValueError, match=words):
        Data.model_validate({"train": text})
    if text.lower().startswith("file://"):
        for opened in (open_store, open_reader):
            with pytest.raises(SettingsError, match=words):
                opened(text)


def test_a_uri_is_a_value() -> None:
    uri = Uri("https://user:pw@host/a")
    assert uri == Uri(uri.secret) != Uri(str(uri))
    assert len({uri, Uri(uri.secret), Uri.of(uri), Uri.of(uri.secret)}) == 1
    assert uri == copy.deepcopy(uri) == pickle.loads(pickle.dumps(uri))
    with pytest.raises(AttributeError):
        uri.secret = "other"
    assert not isinstance(uri, str)


def test_a_field_is_given_as_text_and_dumped_masked() -> None:
    model = Model.model_validate({"name": "https://user:pw@host/a"})
    assert model.name == Uri("https://user:pw@host/a")
    assert Model(name=model.name).name == model.name
    assert model.model_dump()["name"] == "https://***@host/a"
    for wrong in (1, None, ["a"]):
        with pytest.raises(ValueError, match="valid string"):
            Model.model_validate({"name": wrong})
    with pytest.raises(ValueError, match="at least 1"):
        Source.model_validate({"uri": ""})


def test_free_text_in_the_settings_is_dumped_masked_too() -> None:
    config = {"model_type": "bert", "from": ["https://user:pw@host/a"]}
    assert "pw" not in json.dumps(recorded(Settings(model=Model(config=config))))


PIECE = st.text("QXZJ", min_size=6, max_size=8)
"""What nothing else that is printed holds."""


def _secret(between: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """Pieces with other characters between and around them: the whole, and the pieces."""
    return st.lists(PIECE, min_size=1, max_size=4).flatmap(
        lambda pieces: st.lists(
            st.text(between, max_size=2), min_size=len(pieces) + 1, max_size=len(pieces) + 1
        ).map(
            lambda gaps: (
                gaps[0] + "".join(p + g for p, g in zip(pieces, gaps[1:], strict=True)),
                pieces,
            )
        )
    )


def _uris(between: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """URIs with a password, a token or a signed query, and the pieces of what is secret in them."""
    host = st.sampled_from(["host", "host:9000", "data.example.org", "data.example.org:8443"])
    path = st.sampled_from(["a.csv", "some/folder/a.csv", "it/a b.csv"])
    http = st.sampled_from(["https://", "http://", "HTTPS://"])
    password, token = _secret(between + "/@:#?&=%+"), _secret(between + "/@&=%+")
    query = _secret(between + "/@:#?&=%+.")
    return st.one_of(
        st.builds(lambda b, s, h, p: (f"{b}me:{s[0]}@{h}/{p}", s[1]), http, password, host, path),
        st.builds(lambda b, s, h, p: (f"{b}{s[0]}@{h}/{p}", s[1]), http, token, host, path),
        st.builds(lambda b, h, p, s: (f"{b}{h}/{p}?sig={s[0]}", s[1]), http, host, path, query),
        st.builds(
            lambda b, s, h, p, q: (f"{b}me:{s[0]}@{h}/{p}?sig={q[0]}", s[1] + q[1]),
            *(http, password, host, path, query),
        ),
        st.builds(lambda s, p: (f"s3://AKIA:{s[0]}@bucket/{p}", s[1]), password, path),
    )


def _logged(message: str, error: Exception, **fields: object) -> str:
    """A record as both formatters write it."""
    try:
        raise StoreError(message) from error
    except StoreError:
        record = logging.LogRecord(
            "finetune", logging.ERROR, __file__, 1, message, None, sys.exc_info()
        )
    record.fields = fields
    return _Text().format(record) + _Json().format(record)


@trying(deadline=None)
@given(_uris(" '\"\n\\"))
def test_nothing_prints_what_is_secret_in_a_uri(quoted: tuple[str, list[str]]) -> None:
    text, secrets = quoted
    uri = Uri(text)
    settings = Settings(output=uri, model=Model(name=uri, tokenizer=uri))
    whole = [
        *(str(uri), repr(uri), f"{uri}", f"{uri:>99}", uri.without_secrets),
        *(str(settings), repr(settings), str(settings.model_dump()), settings.model_dump_json()),
        *(str(recorded(settings)), str(relevant(settings)), settings.model.model_dump_json()),
        *(str(JobError(f"{uri}: no", hint=f"correct {uri}")), repr(JobError(f"at {uri}"))),
        _logged(f"looked at {uri}", ValueError(uri), uri=uri, uris=[uri]),
    ]
    assert [(s, shown) for s in secrets for shown in whole if s in shown] == []


@trying(deadline=None, max_examples=30)
@given(_uris(" '\"\n\\"))
def test_nor_do_settings_that_are_loaded_or_refused(quoted: tuple[str, list[str]]) -> None:
    text, secrets = quoted
    whole = []
    names = ("MODEL__NAME", "OUTPUT", "TOKENIZER__BASE")
    for chosen, rules in ((("DATA__TRAIN",), ()), (names, ()), (names, ("output", "model"))):
        try:
            loaded = load({f"FINETUNE_{name}": text for name in chosen}, rules=rules)
        except SettingsError as error:
            whole.append(str(error))
        else:
            whole += map(str, (recorded(loaded.settings), relevant(loaded.settings)))
            whole.append(effective(loaded))
    assert [(s, shown) for s in secrets for shown in whole if s in shown] == []


@trying(deadline=None)
@given(_uris("\\"))
def test_nor_does_a_text_that_quotes_it(quoted: tuple[str, list[str]]) -> None:
    text, secrets = quoted[0].replace(" ", "_"), quoted[1]
    whole = [
        str(JobError(f"no answer from {text}", hint=f"look at '{text}'")),
        repr(JobError(f"no answer from {text}")),
        _logged(f"looked at ({text}", ValueError(f"{text} is gone"), a=text, b=[{"c": text}]),
    ]
    assert [(s, shown) for s in secrets for shown in whole if s in shown] == []


def test_a_home_that_nobody_has_is_a_mistake() -> None:
    for text in ("~0", "~nobody-here/rows.csv"):
        with pytest.raises(SettingsError, match="nobody's home here"):
            _ = Uri(text).path
    assert Uri("./~0").path.name == "~0"
