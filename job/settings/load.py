"""Settings loaded, checked and explained: all mistakes at once, and where each value came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from job.errors import SettingsError
from job.redaction import remember
from job.settings import names
from job.settings.rules import mistakes
from job.settings.sources import flatten, read_file, variable
from job.settings.tree import CONFIG_VARIABLE, INCIDENTAL, Settings
from job.settings.values import unfit
from job.settings.variables import Variables, given, of_libraries, parse_flags, unusable
from job.uris import Uri, remember_environment

_PLAIN = {
    "string_pattern_mismatch": "use letters, digits, '.', '_' and '-', at most 96, the first a letter or digit",
    "too_short": "a URI is empty; name one, or a path",
}
"""pydantic's complaints in words that say what to do: every pattern is a name's, and what can be too
short a URI."""


@dataclass(frozen=True)
class Loaded:
    """The settings and, for each one that was set, where: a flag, a variable or a file."""

    settings: Settings
    origins: Mapping[tuple[str, ...], str]


def load(
    environment: Mapping[str, str],
    arguments: Iterable[str] = (),
    *,
    rules: Iterable[str] = (),
) -> Loaded:
    """Settings from flags, the environment and the file, in this order.

    Args:
        rules: the rules across settings (`job.settings.rules`) whose mistakes count too.

    Raises:
        SettingsError: one or more mistakes, one a line.
    """
    remember_environment(environment)
    variables, flags = given(environment), parse_flags(list(arguments))
    theirs = of_libraries(environment)
    if wrong := [*unusable(flags, "flag"), *unusable({**variables, **theirs}, "environment")]:
        raise refusal(wrong)
    path = flags.pop(CONFIG_VARIABLE, variables.pop(CONFIG_VARIABLE, ""))
    content = read_file(path) if path else {}
    by_flag, by_variable = Variables(Settings, flags), Variables(Settings, variables)
    sources = [("flag", by_flag()), ("environment", by_variable()), (path, content)]
    if wrong := [line for name, values in sources for line in unfit(values, name)]:
        raise refusal(wrong)
    origins = {leaf: name for name, values in reversed(sources) for leaf in flatten(values)}
    wrong = _misnamed(flags, variables)
    for name, values in sources:
        wrong += names.unknown_keys(values, name, {*flags, *variables})
    settings = None
    try:
        settings = _from_sources(by_flag, by_variable, content)
    except ValidationError as error:
        wrong += _explain(error, origins)
    if settings is None or wrong:
        raise refusal(wrong)
    _remember_secrets(settings)
    if across := mistakes(settings, rules):
        raise refusal(across)
    return Loaded(settings, origins)


def _remember_secrets(settings: Settings) -> None:
    for secret in (settings.runtime.peer_token, settings.publish.webhook_secret):
        remember(secret.get_secret_value())


def _misnamed(flags: Mapping[str, str], variables: Mapping[str, str]) -> list[str]:
    """What names no setting, or may name two."""
    unknown = names.unknown_variables(flags, "flag")
    unknown += names.unknown_variables(variables, "environment")
    return unknown + names.unclear_keys(variables, "environment")


def refusal(wrong: list[str]) -> SettingsError:
    """One error for one or many mistakes."""
    if len(wrong) == 1:
        return SettingsError(wrong[0], hint="")
    lines = "\n".join(f"  {line}" for line in dict.fromkeys(wrong))
    return SettingsError(f"{len(wrong)} settings are wrong:\n{lines}", hint="")


def _from_sources(flags: Variables, variables: Variables, content: dict[str, Any]) -> Settings:
    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return flags, variables, init_settings

    return Settings.model_construct(**dict(Sourced(**content)))


def _explain(error: ValidationError, origins: Mapping[tuple[str, ...], str]) -> Iterable[str]:
    """A line for each mistake; a union's several complaints about one value become one."""
    complaints: dict[tuple[str, ...], list[str]] = {}
    values: dict[tuple[str, ...], Any] = {}
    for item in error.errors(include_url=False):
        if item["type"] == "extra_forbidden":
            continue  # named already, with the nearest valid name
        path = tuple(str(part) for part in item["loc"])
        while path and names.owner(path) is None and path not in names.sections():
            path = path[:-1]
        owner = names.owner(path)
        path = owner.path if owner else path  # without pydantic's names for a union's members
        said = item["msg"].removeprefix("Value error, ")
        if not (owner and names.is_secret(owner)):
            said = _PLAIN.get(item["type"], said)
        complaints.setdefault(path, []).append(said)
        values.setdefault(path, item["input"])
    for path, messages in complaints.items():
        leaf = names.owner(path)
        said = " or ".join(dict.fromkeys(m[0].lower() + m[1:] for m in messages))
        origin = next((o for key, o in origins.items() if key[: len(path)] == path), "default")
        value = str(Uri(values[path])) if isinstance(values[path], str) else values[path]
        if leaf and names.is_secret(leaf):
            value = "***"
        yield f"{variable(path)} ({origin}) = {value!r}: {said}"


def recorded(settings: Settings) -> dict[str, Any]:
    """The settings that decide what is learned, all of them, as JSON."""
    values = settings.model_dump(mode="json")
    return {name: value for name, value in values.items() if name not in INCIDENTAL}


def relevant(settings: Settings) -> dict[str, Any]:
    """The same without what is left at its default, for identities: a release that brings a new
    setting must not make every data set and run another one."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in values.items() if name not in INCIDENTAL}
