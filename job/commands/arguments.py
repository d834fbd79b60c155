"""Words of a command's own among the settings' flags: a name, a switch, a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from job.errors import SettingsError


@dataclass(frozen=True)
class Arguments:
    """The command line, taken apart."""

    words: Sequence[str]
    """What belongs to no flag."""
    switches: frozenset[str]
    """Those of the command's own that were given."""
    options: dict[str, str]
    """Those of the command's own that were given, with their values."""
    settings: Sequence[str]
    """Flags that are settings."""

    @classmethod
    def of(
        cls,
        arguments: Sequence[str],
        usage: str,
        *,
        most: int = 0,
        switches: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> Arguments:
        """Take a command line apart.

        Args:
            usage: the whole line, for the error.
            most: how many words may belong to no flag.
            switches: names of flags without a value, such as `--json`.
            options: names of flags with a value, such as `--keep`.

        Raises:
            SettingsError: there are more words, or a flag has no value.
        """
        words: list[str] = []
        given: set[str] = set()
        values: dict[str, str] = {}
        settings: list[str] = []
        rest = iter(arguments)
        for word in rest:
            flag, equals, value = word.partition("=")
            if not word.startswith("--"):
                words.append(word)
            elif word in switches:
                given.add(word)
            elif flag in options:
                values[flag] = value if equals else _value(flag, next(rest, None), usage)
            else:
                settings.append(word)
                if not equals:
                    settings.append(_value(flag, next(rest, None), usage))
        if len(words) > most:
            raise SettingsError(f"{words[most]!r} belongs to no flag", hint=f"write {usage}")
        return cls(words, frozenset(given), values, settings)


def _value(flag: str, value: str | None, usage: str) -> str:
    if value is None:
        raise SettingsError(f"{flag} has no value", hint=f"write {usage}")
    return value
