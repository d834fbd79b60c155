"""Every name a setting can have, and the nearest one to a name that none has."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from job.settings.sources import flatten, variable
from job.settings.tree import CONFIG_VARIABLE, DELIMITER, PREFIX, Settings

Path = tuple[str, ...]


@dataclass(frozen=True)
class Leaf:
    """One setting: its path in the tree, its field, and whether it takes keys of the user's own."""

    path: Path
    field: FieldInfo
    open: bool

    @property
    def untyped(self) -> bool:
        """Whether the values of its keys may be anything that JSON holds."""
        return self.open and _is_any(self.field.annotation)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation holds, also in `Lora | None`."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    options = (
        get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    )
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_is_mapping(part) for part in get_args(annotation))


def _is_any(annotation: Any) -> bool:
    return annotation is Any or any(_is_any(part) for part in get_args(annotation))


def _walk(model: type[BaseModel], path: Path) -> Iterator[Leaf]:
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute  # `from` is no name for an attribute
        section = _section(field.annotation)
        if section is not None:
            yield from _walk(section, (*path, name))
            if get_origin(field.annotation) in (Union, UnionType):
                yield Leaf((*path, name), field, open=False)
        else:
            yield Leaf((*path, name), field, open=_is_mapping(field.annotation))


@cache
def leaves() -> dict[Path, Leaf]:
    """Every setting by its path."""
    return {leaf.path: leaf for leaf in _walk(Settings, ())}


@cache
def sections() -> frozenset[Path]:
    """The paths that hold settings rather than being one."""
    return frozenset(path[:n] for path in leaves() for n in range(1, len(path)))


def owner(path: Path) -> Leaf | None:
    """The setting that a path belongs to: itself, or the open mapping it is a key of."""
    known = leaves()
    for n in range(len(path), 0, -1):
        leaf = known.get(path[:n])
        if leaf is not None and (n == len(path) or leaf.open):
            return leaf
    return None


def open_key(name: str) -> tuple[Leaf, str] | None:
    """The open mapping that a variable gives one key of, and that key as it is written; None for others."""
    parts = name[len(PREFIX) :].split(DELIMITER)
    for n in range(1, len(parts)):
        leaf = leaves().get(tuple(part.lower() for part in parts[:n]))
        if leaf is not None and leaf.open:
            return leaf, DELIMITER.join(parts[n:])
    return None


def unclear_keys(variables: Mapping[str, str], origin: str) -> list[str]:
    """Keys of open mappings that a variable's name cannot say: one in capitals, as variables are, may be
    meant in small letters, and one with the delimiter in it may be two."""
    wrong = []
    for name in variables:
        leaf, key = open_key(name) or (None, "")
        if leaf is not None and (key.isupper() or DELIMITER in key or not key):
            whole = f"""{variable(leaf.path)}='{{"{key}": …}}'"""
            wrong.append(f"{name} ({origin}): it is not clear which key is meant; write {whole}")
    return wrong


def _nearest(name: str, options: list[str]) -> str:
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return (
        f"did you mean {close[0]}?" if close else "`finetune config --reference` lists every name"
    )


def is_secret(leaf: Leaf) -> bool:
    """Whether nobody may see its value."""
    return leaf.field.annotation is SecretStr


def unknown_variables(variables: Mapping[str, str], origin: str) -> list[str]:
    """What is wrong with the names among `variables` that begin with FINETUNE_."""
    options = [variable(path) for path in leaves()] + [CONFIG_VARIABLE]
    wrong = []
    for name in variables:
        path = tuple(name[len(PREFIX) :].lower().split(DELIMITER))
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        if owner(path) is not None or path in sections():
            continue
        hint = _nearest(name, options)
        if variables[name].startswith("tcp://") or name.endswith(
            ("_SERVICE_HOST", "_SERVICE_PORT")
        ):
            hint = "Kubernetes set it for a Service; give the pod enableServiceLinks: false"
        wrong.append(f"{name} ({origin}): there is no such setting; {hint}")
    return wrong


def unknown_keys(values: Mapping[str, Any], origin: str, named: Container[str] = ()) -> list[str]:
    """What is wrong with the keys of a settings file, or of JSON in a variable, at any level.

    `named` holds the variables that `unknown_variables` has seen to.
    """
    options = [".".join(path) for path in leaves()]
    return [
        f"{'.'.join(path)} ({origin}): there is no such setting; {_nearest('.'.join(path), options)}"
        for path in flatten(values)
        if owner(path) is None and path not in sections() and variable(path) not in named
    ]
