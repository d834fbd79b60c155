"""Where settings come from: flags over the environment over the file that FINETUNE_CONFIG names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from job.errors import SettingsError, one_line
from job.settings.tree import CONFIG_VARIABLE, DELIMITER, PREFIX


class Variables(EnvSettingsSource):
    """Settings from variables; JSON where a value holds more than one thing, plain text otherwise.

    pydantic-settings would end with a traceback where a list is written as plain text; here the
    text is passed on, for the field's own validation to accept or to explain.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self.env_vars = {name.lower(): value for name, value in variables.items() if value != ""}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The JSON that `value` holds, or `value` itself."""
        try:
            return json.loads(value)
        except ValueError:
            return value


def variable(path: tuple[str, ...]) -> str:
    """`('train', 'epochs')` as FINETUNE_TRAIN__EPOCHS."""
    return PREFIX + DELIMITER.join(path).upper()


def parse_flags(arguments: list[str]) -> dict[str, str]:
    """`--train.epochs 3` and `--train.epochs=3` as variables.

    Raises:
        SettingsError: a flag without a value, or a word that belongs to no flag.
    """
    found: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("--"):
            raise SettingsError(f"{word!r} belongs to no flag", hint="write --train.epochs 3")
        name, separator, value = word[2:].partition("=")
        if not separator:
            following = next(words, None)
            if following is None:
                raise SettingsError(f"--{name} has no value", hint=f"write --{name} VALUE")
            value = following
        found[variable(tuple(name.replace("-", "_").split(".")))] = value
    return found


class _Loader(yaml.SafeLoader):
    """YAML in which 2e-5 is a number, as YAML 1.2 and every user have it, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _construct_text(loader: Any, node: Any) -> Any:
    if node.style is None:  # not quoted
        with suppress(ValueError):
            return float(node.value)
    return loader.construct_yaml_str(node)


_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)


def read_file(path: str) -> dict[str, Any]:
    """The settings file, YAML or JSON (which is YAML), as a mapping.

    Raises:
        SettingsError: it is absent, not YAML, or not a mapping.
    """
    hint = f"{CONFIG_VARIABLE} must name a YAML or JSON file of settings"
    try:
        content = _parse(Path(path).read_text(encoding="utf-8"), as_json=path.endswith(".json"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", hint=hint) from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{path}: {one_line(error)}", hint=hint) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds a {type(content).__name__}, not settings", hint=hint)
    return {str(key): value for key, value in content.items()}


def _parse(text: str, *, as_json: bool) -> Any:
    # most JSON is YAML too, but not all of it
    return json.loads(text) if as_json else yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def flatten(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the leaves of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, (*path, str(key)))
        else:
            yield (*path, str(key))
