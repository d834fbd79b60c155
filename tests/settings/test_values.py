"""Values that no setting can have, whichever source they are from; and names that say no key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from job.errors import SettingsError
from job.settings import load, names, recorded
from job.settings.show import effective
from job.settings.sources import DEEPEST, read_file, variable
from tests.support.settings import COMPLETE

DEEP = "[" * 5000
LOOP = "clean: &a {rename: {a: *a}}"
BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(8))}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


def refusal(environment: dict[str, str], *flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load({**COMPLETE, **environment}, flags)
    assert caught.value.exit_code == 78
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FINETUNE_MODEL__CONFIG", DEEP, "nested"),
        ("FINETUNE_MODEL__CONFIG", "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), "nested"),
        ("FINETUNE_CLEAN__RENAME", '{"a": "b", "a": "c"}', "the key 'a' stands twice"),
        ("FINETUNE_NAME", "caf\udce9", "not UTF-8"),
        ("FINETUNE_OUTPUT", "caf\udce9", "not UTF-8"),
        ("FINETUNE_DATA__TRAIN", '["a\\u0000"]', "NUL"),
        ("FINETUNE_DATA__TRAIN", '["\\ud800"]', "surrogate"),
        ("FINETUNE_MODEL__CONFIG", '{"a": 1e999}', "inf is not a finite number"),
        ("AWS_ACCESS_KEY_ID", "key\nx", "a line break"),
        ("HF_TOKEN", "hf_\x7f", "a line break, or another control character"),
        ("AWS_SECRET_ACCESS_KEY", "\udcff", "not UTF-8"),
    ],
)
def test_a_variable_that_can_be_no_setting(name: str, value: str, said: str) -> None:
    message = refusal({name: value})
    assert name in message
    assert said in message
    if not name.startswith("FINETUNE_"):
        assert value not in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("model: {config: " + DEEP, "nested"),
        (LOOP, "nested"),
        (BOMB, "more than 100000 values"),
        ("model: {config: {a: 2026-01-01}}", "a date"),
        ("model: {config: {a: !!binary aGk=}}", "a bytes"),
        ("model: {config: {a: .inf}}", "inf is not a finite number"),
        ("model: {config: {2026-01-01: a}}", "cannot be a key"),
        ("seed: !!bool maybe", "settings.yaml"),
        ("seed: !!timestamp noon", "settings.yaml"),
        ("seed: !!int x", "settings.yaml"),
        ("x: !!python/object:os.system {}", "settings.yaml"),
        ("output: 'a\\\0'", "settings.yaml"),
        ("#" * (4 * 2**20), "longer than 4194304 bytes"),
    ],
)
def test_a_file_that_can_be_no_settings(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content + "\n")
    assert said in refusal({"FINETUNE_CONFIG": str(file)})


def test_a_file_of_json_is_as_strict(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    for content, said in (
        ('{"seed": 1, "seed": 2}', "the key 'seed' stands twice"),
        ('{"model": ' + DEEP, "nested"),
        ('{"output": "a\\u0000"}', "FINETUNE_OUTPUT"),
        ("\xff", "settings.json"),
    ):
        file.write_text(content, encoding="latin-1")
        assert said in refusal({"FINETUNE_CONFIG": str(file)})
    file.write_bytes(b'\xef\xbb\xbf{"seed": 3}')
    assert read_file(str(file)) == {"seed": 3}
    file.with_suffix(".yaml").write_text("name: nan\n")
    assert read_file(str(file.with_suffix(".yaml"))) == {"name": "nan"}


def test_the_line_end_of_a_secret_is_no_part_of_a_setting() -> None:
    given = {"FINETUNE_OUTPUT": "out\n", "FINETUNE_NAME": "m\r\n", "FINETUNE_SEED": "\n"}
    settings = load({**COMPLETE, **given}).settings
    assert (settings.output.secret, settings.name, settings.seed) == ("out", "m", 42)
    prefix = {"FINETUNE_ENCODE__PREFIX": "one\ntwo: \n"}
    assert load({**COMPLETE, **prefix}).settings.encode.prefix == "one\ntwo: "


def test_keys_of_ones_own_stay_as_they_are_written() -> None:
    environment = {
        "FINETUNE_CLEAN__RENAME": '{"Old": "new"}',
        "FINETUNE_CLEAN__RENAME__Foo": "text",
        "FINETUNE_CLEAN__RENAME__foo": "label",
        "FINETUNE_CLEAN__DERIVE__fullText": "{{ a }}",
        "FINETUNE_TRAIN__CLASS_WEIGHTS__0": "2",
        "FINETUNE_MODEL__CONFIG__hidden_size": "32",
    }
    loaded = load({**COMPLETE, **environment}, ["--clean.rename.Sub-Title", "title"])
    settings = loaded.settings
    assert settings.clean.rename == {
        "Old": "new",
        "Foo": "text",
        "foo": "label",
        "Sub-Title": "title",
    }
    assert settings.clean.derive == {"fullText": "{{ a }}"}
    assert settings.train.class_weights == {"0": 2}
    assert settings.model.config == {"hidden_size": 32}
    assert loaded.origins["clean", "rename", "Foo"] == "environment"
    assert loaded.origins["clean", "rename", "Sub-Title"] == "flag"


@pytest.mark.parametrize("key", ["BODY", "a__b", ""])
def test_a_key_that_may_be_two_is_asked_back(key: str) -> None:
    message = refusal({f"FINETUNE_CLEAN__RENAME__{key}": "text"})
    assert f"""write FINETUNE_CLEAN__RENAME='{{"{key}": …}}'""" in message


def test_a_token_is_shown_nowhere() -> None:
    token = "0123456789 not for everybody"
    loaded = load({**COMPLETE, "FINETUNE_RUNTIME__PEER_TOKEN": token})
    assert loaded.settings.runtime.peer_token.get_secret_value() == token
    assert token not in effective(loaded) + str(loaded.settings) + loaded.settings.model_dump_json()
    assert "runtime" not in recorded(loaded.settings)
    message = refusal({"FINETUNE_RUNTIME__PEER_TOKEN": "too short"})
    assert "FINETUNE_RUNTIME__PEER_TOKEN" in message
    assert "at least 16" in message
    assert "too short" not in message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
PATHS = st.sampled_from(sorted({*names.leaves(), *names.sections()}))
TEXTS = (
    st.text(max_size=8) | JSON.map(json.dumps) | st.sampled_from(["http://[", "s3://", "{{", "~x"])
)


@trying(deadline=None, max_examples=60)
@given(PATHS, TEXTS, PATHS, JSON, st.booleans())
def test_whatever_is_given_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    path: names.Path,
    text: str,
    in_file: names.Path,
    value: object,
    as_json: bool,
) -> None:
    for part in reversed(in_file):
        value = {part: value}
    file = tmp_path_factory.getbasetemp() / f"settings.{'json' if as_json else 'yaml'}"
    file.write_text(json.dumps(value) if as_json else yaml.safe_dump(value, allow_unicode=True))
    try:
        loaded = load({**COMPLETE, variable(path): text, "FINETUNE_CONFIG": str(file)})
    except SettingsError as error:
        assert error.exit_code == 78
    else:
        json.dumps([recorded(loaded.settings), effective(loaded)]).encode()
