"""Words of a command's own among the settings' flags: a name, a switch, a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from job.commands import Command
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
    def of(cls, arguments: Sequence[str], command: Command) -> Arguments:
        """Take the command line of a command apart.

        Raises:
            SettingsError: there are more words than it takes, or a flag has no value.
        """
        takes_value = {flag.partition(" ")[0]: " " in flag for flag in command.flags}
        words: list[str] = []
        given: set[str] = set()
        values: dict[str, str] = {}
        settings: list[str] = []
        rest = iter(arguments)
        for word in rest:
            flag, equals, value = word.partition("=")
            if not word.startswith("--"):
                words.append(word)
            elif takes_value.get(word) is False:
                given.add(word)
            elif takes_value.get(flag):
                values[flag] = value if equals else _value(flag, next(rest, None), command)
            else:
                settings.append(word)
                if not equals:
                    settings.append(_value(flag, next(rest, None), command))
        if len(words) > bool(command.word):
            last = words[-1]
            raise SettingsError(f"{last!r} belongs to no flag", hint=f"write {command.synopsis}")
        return cls(words, frozenset(given), values, settings)


def _value(flag: str, value: str | None, command: Command) -> str:
    if value is None:
        raise SettingsError(f"{flag} has no value", hint=f"write {command.synopsis}")
    return value
