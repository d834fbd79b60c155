"""Label names: how they are read, ordered and refused."""

from __future__ import annotations

import ast
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from job.errors import DataError, SettingsError
from job.tasks.json_text import json_value

LARGEST = 3.4028234663852886e38
"""The largest number that float32 holds."""
ONE, LIST, TWO = "one", "list", "two"


def is_number(text: str) -> bool:
    """Whether the text is a number that float32 can hold."""
    try:
        return "_" not in text and abs(float(text)) <= LARGEST
    except ValueError:
        return False


def as_list(text: str) -> list[str] | None:
    """The labels in a JSON list, each once, numbers and booleans as their JSON text; None if it is not
    a list."""
    values = _values(text)
    return None if values is None else list(dict.fromkeys(map(_name, values)))


def _values(text: str) -> list[Any] | None:
    if not text.startswith("["):
        return None
    try:
        values = json_value(text)
    except ValueError:
        return None
    return values if isinstance(values, list) else None


def _name(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value)


def listed(text: str | None) -> list[str] | None:
    """Every value of a JSON list of words or tags, as text; None where there is no such list."""
    values = _values((text or "").strip())
    if values is None or any(value is None or isinstance(value, (list, dict)) for value in values):
        return None
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def words_of(text: str | None) -> list[str] | None:
    """The values of a JSON list, or else what white space separates; None for a list that is not one of
    words, or not as JSON has it."""
    if text is None:
        return None
    is_list = _values(text.strip()) is not None or _looks_like_list(text.strip())
    return listed(text) if is_list else text.split()


def classes(label: str | None) -> list[str]:
    """The labels in a JSON list, or the label itself."""
    if label is None:
        return []
    names = as_list(label)
    return [label] if names is None else names


def fault_of(label: str, *, lists: bool | None) -> str | None:
    """Why a label cannot be read, or None.

    Args:
        lists: whether it must be a list of classes; None where it may also be one class.
    """
    values = _values(label)
    if values is None:
        java = label[:1] == "[" and label[-1:] == "]" and ", " in label
        if lists or java or _looks_like_list(label):
            return f'the label {label[:40]!r} is not a list as JSON has it, such as ["a", "b"]'
        return None
    if any(value is None or (isinstance(value, float) and math.isnan(value)) for value in values):
        return f"the label {label[:40]!r} holds a null"
    if any(isinstance(value, (list, dict)) for value in values):
        return f"the label {label[:40]!r} holds a list or an object; classes are text or numbers"
    if not all(map(_name, values)):
        return f"the label {label[:40]!r} holds an empty text"
    if _is_vector(values):
        return (
            f"the label {label[:40]!r} is a vector of numbers; list the classes that hold by name"
        )
    return None


def _is_vector(values: list[Any]) -> bool:
    """Whether a list says of each class how far it holds, as 0 and 1 or as a fraction: its numbers repeat."""
    numbers = [_number(value) for value in values]
    if len(values) < 2 or None in numbers:
        return False
    return len(set(numbers)) < len(numbers) or any(n is not None and n % 1 for n in numbers)


def _number(value: Any) -> float | None:
    """What a value is as a number, also where it was written as text."""
    text = str(value).strip().lower()
    return {"true": 1.0, "false": 0.0}.get(text, float(text) if is_number(text) else None)


def _looks_like_list(text: str) -> bool:
    """Whether a text is a JSON object, or a list as Python, pandas or numpy print it (`['a', 'b']`,
    `['a' 'b']`, `[0 1]`), or JSON that is too deep to be read."""
    if text.startswith(("array(", "[[", "[{", '{"')):
        return True
    if text[:1] not in _PAIRS or text[-1:] != _PAIRS[text[:1]]:
        return False
    try:
        return isinstance(ast.literal_eval(text), (list, tuple, set, dict))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        inside = text[1:-1].strip()
    quoted = inside[:1] in _QUOTES and inside[-1:] in _QUOTES
    values = [word.strip("[]") for word in inside.split()]
    plain = all(is_number(value) or value in _CONSTANTS for value in values)
    return text[0] == "[" and bool(inside) and (quoted or plain)


_PAIRS = {"[": "]", "(": ")", "{": "}"}
_QUOTES = ("'", '"')
_CONSTANTS = ("True", "False", "None", "nan", "...", "")


def kind_of(label: str) -> str:
    """How a label is written: as `one`, as a `list`, or as a list that may also be a vector over two
    classes, `two`."""
    values = _values(label)
    if values is None:
        return ONE
    return TWO if sorted(map(str, map(_number, values))) == ["0.0", "1.0"] else LIST


def likeness(label: str) -> str:
    """The same for labels that differ only in case, white space, `-` and `_`, characters that are not
    seen, or in how a number is written."""
    if is_number(label):
        return repr(float(label) + 0.0)
    text = unicodedata.normalize("NFKC", label).casefold()
    seen = "".join(" " if c in "-_" else c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(seen.split())


def alike(counts: Mapping[str, int]) -> list[list[str]]:
    """Labels that may be one label written in several ways, those that are alike together."""
    groups: dict[str, list[str]] = {}
    for label in sorted(counts):
        groups.setdefault(likeness(label), []).append(label)
    return [labels for labels in groups.values() if len(labels) > 1]


def ordered(labels: Iterable[str], model_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The model's own order if the sets match; else integers by value, and anything else as text."""
    names = set(labels)
    if names == set(model_labels):
        return model_labels
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def refuse_unlearnable(train: Mapping[str, int], column: str) -> None:
    """One class teaches nothing; a class for nearly every row is a number or an identifier."""
    if len(train) < 2:
        names = ", ".join(repr(name) for name in train) or "none"
        raise DataError(
            f"column {column!r} holds one class only ({names}) in the training rows",
            hint="add rows of another class, or look at FINETUNE_DATA__COLUMNS__LABEL",
        )
    if len(train) > 20 and len(train) > sum(train.values()) / 2:
        if all(is_number(name) for name in train):
            hint = "for numbers set FINETUNE_MODEL__PROBLEM_TYPE=regression"
        else:
            hint = "look at FINETUNE_DATA__COLUMNS__LABEL: this column may be an identifier or the text"
        raise DataError(
            f"column {column!r} holds {len(train):,} classes in {sum(train.values()):,} training rows",
            hint=hint,
        )


def refuse_unseen(train: Mapping[str, int], counts: Mapping[str, Mapping[str, int]]) -> None:
    """A label that the training rows lack cannot be scored."""
    seen = {likeness(name): name for name in train}
    for split, labels in counts.items():
        unseen = sorted(set(labels) - set(train))
        if unseen:
            names = ", ".join(
                f"{name!r} (train has {seen[likeness(name)]!r})"
                if likeness(name) in seen
                else repr(name)
                for name in unseen[:5]
            )
            raise DataError(
                f"{split} holds labels that train does not: {names} ({len(unseen)} in all)",
                hint="correct the label, add training rows for it, or remove these rows",
            )


def of_model(config: Any) -> tuple[str, ...]:
    """A model's labels in order; 0, 1 … where all it has is transformers' LABEL_0, LABEL_1 …"""
    names = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    unnamed = names == tuple(f"LABEL_{i}" for i in range(len(names)))
    return tuple(map(str, range(len(names)))) if unnamed else names


def write_labels(config: Any, labels: Sequence[str]) -> None:
    """Write label names into a model's config, as transformers reads them."""
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}


def refuse_unknown(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> None:
    """A label that the model does not know cannot be scored."""
    for split, names in counts.items():
        if unknown := sorted(set(names) - set(labels)):
            raise DataError(
                f"{split} holds labels that the model does not know: "
                f"{', '.join(map(repr, unknown[:5]))} ({len(unknown)} in all); "
                f"it knows {', '.join(map(repr, labels[:20]))}",
                hint="correct the labels, or score a model that was trained on them",
            )


def refuse_unknown_weights(weights: Mapping[str, float], labels: tuple[str, ...]) -> None:
    """A weight for a class that does not exist is a typing mistake."""
    unknown = sorted(set(weights) - set(labels))
    if unknown:
        raise SettingsError(
            f"FINETUNE_TRAIN__CLASS_WEIGHTS names {', '.join(map(repr, unknown))}; "
            f"the labels are {', '.join(map(repr, labels[:20]))}",
            hint="use the labels as they stand in the data",
        )
