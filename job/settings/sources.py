"""The settings file, and the JSON that variables hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from job.errors import SettingsError
from job.settings.tree import CONFIG_VARIABLE, DELIMITER, PREFIX
from job.text import one_line

FILE_BYTES = 4 * 2**20
"""The longest settings file."""
DEEPEST = 40
"""Levels of mappings and lists, at most."""
TOO_DEEP = f"nested more than {DEEPEST} levels deep"


def variable(path: tuple[str, ...]) -> str:
    """`('train', 'epochs')` as FINETUNE_TRAIN__EPOCHS."""
    return PREFIX + DELIMITER.join(path).upper()


class _Loader(yaml.SafeLoader):
    """YAML in which 2e-5 is a number, as YAML 1.2 and every user have it, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice", node.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _construct_text(loader: Any, node: Any) -> Any:
    if node.style is None:  # not quoted
        with suppress(ValueError):
            if math.isfinite(number := float(node.value)):
                return number
    return loader.construct_yaml_str(node)


_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)


def read_file(path: str) -> dict[str, Any]:
    """The settings file, YAML or JSON (which is YAML), as a mapping.

    Raises:
        SettingsError: it is absent, not YAML, or not a mapping.
    """
    hint = f"{CONFIG_VARIABLE} must name a YAML or JSON file of settings"
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", hint=hint) from None
    if len(data) > FILE_BYTES:
        raise SettingsError(f"{path}: longer than {FILE_BYTES} bytes", hint=hint)
    try:
        content = _parse(data.decode("utf-8-sig"), as_json=path.endswith(".json"))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=hint) from None
    except RecursionError:
        raise SettingsError(f"{path}: {TOO_DEEP}", hint=hint) from None
    # a tag such as !!bool or !!timestamp on what is none makes PyYAML fail in other ways than its own
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise SettingsError(f"{path}: {one_line(error)}", hint=hint) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds a {type(content).__name__}, not settings", hint=hint)
    return {str(key): value for key, value in content.items()}


def _parse(text: str, *, as_json: bool) -> Any:
    # most JSON is YAML too, but not all of it
    return parse_json(text) if as_json else yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def parse_json(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        SettingsError: a key stands twice in it, or it is nested too deeply.
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except RecursionError:
        raise SettingsError(TOO_DEEP, hint="") from None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in mapping if keys.count(key) > 1)
        raise SettingsError(f"the key {twice!r} stands twice", hint="")
    return mapping


def flatten(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the leaves of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, (*path, str(key)))
        else:
            yield (*path, str(key))
