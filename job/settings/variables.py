"""Settings from variables and flags: which there are, what is wrong with them, and the values they hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from job.environment import LIBRARIES, OURS, without_line_end
from job.errors import SettingsError
from job.settings import names
from job.settings.sources import parse_json, variable
from job.text import is_text


def given(environment: Mapping[str, str]) -> dict[str, str]:
    """Our variables that are set."""
    ours = ((name, without_line_end(value)) for name, value in environment.items())
    return {name: value for name, value in ours if name.startswith(OURS) and value}


def unusable(variables: Mapping[str, str], origin: str) -> Iterator[str]:
    """A line for each variable whose value can be none, whatever it is for."""
    for name, value in variables.items():
        if not is_text(name + value):
            yield f"{name.encode('utf-8', 'backslashreplace').decode()} ({origin}): not UTF-8"
        elif name.startswith(LIBRARIES) and _has_control_characters(without_line_end(value)):
            yield f"{name} ({origin}): holds a line break, or another control character"
        elif name.startswith(OURS) and (wrong := _wrong_json(value)):
            yield f"{name} ({origin}): {wrong}"


def of_libraries(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the libraries read by themselves."""
    return {name: value for name, value in environment.items() if name.startswith(LIBRARIES)}


def _has_control_characters(value: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in value)


def _wrong_json(value: str) -> str | None:
    try:
        parse_json(value)
    except SettingsError as error:
        return error.message
    except ValueError:  # plain text
        return None
    return None


class Variables(EnvSettingsSource):
    """Settings from variables; JSON where a value holds more than one thing, plain text otherwise.

    pydantic-settings would end with a traceback where a list is written as plain text; here the
    text is passed on, for the field's own validation to accept or to explain. It would also write
    the keys of open mappings in lower case; here they stay as they are written.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self.env_vars, self._written = {}, {}
        for number, (name, value) in enumerate(variables.items()):
            whole = name
            if found := names.open_key(name):
                leaf, key = found
                stand_in = f"key{number}"
                self._written[*leaf.path, stand_in] = key, leaf.untyped
                whole = variable((*leaf.path, stand_in))
            self.env_vars[whole.lower()] = value

    def __call__(self) -> dict[str, Any]:
        """The values by section and name."""
        values = super().__call__()
        for (*path, stand_in), (key, untyped) in self._written.items():
            keys: Any = values
            for part in path:
                keys = keys.get(part) if isinstance(keys, dict) else None
            if isinstance(keys, dict) and stand_in in keys:
                value = keys.pop(stand_in)
                keys[key] = self._decoded(value) if untyped else value
        return values

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The JSON that `value` holds, or `value` itself."""
        return self._decoded(value)

    def _decoded(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_json(value)
        except ValueError:
            return value


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
        found[_variable_of(name)] = value
    return found


def _variable_of(flag: str) -> str:
    parts = tuple(flag.split("."))
    head = tuple(part.replace("-", "_").lower() for part in parts[:-1])
    leaf = names.leaves().get(head)
    if leaf is not None and leaf.open:
        return f"{variable(head)}__{parts[-1]}"  # a key of the user's own
    return variable(tuple(part.replace("-", "_") for part in parts))
