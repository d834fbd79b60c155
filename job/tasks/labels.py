"""Label names: how they are read, ordered and refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from job.errors import DataError, SettingsError


def is_number(text: str) -> bool:
    """Whether the text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def as_list(text: str) -> list[str] | None:
    """The labels in a JSON list, numbers and booleans as their JSON text; None if it is not a list."""
    if not text.startswith("["):
        return None
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def listed(text: str | None) -> list[str] | None:
    """The same, whatever white space surrounds the list; None where there is no text."""
    return as_list((text or "").strip())


def words_of(text: str | None) -> list[str] | None:
    """The values of a JSON list, or else what white space separates."""
    return None if text is None else listed(text) or text.split()


def classes(label: str | None) -> list[str]:
    """The labels in a JSON list, or the label itself."""
    if label is None:
        return []
    names = as_list(label)
    return [label] if names is None else names


def ordered(labels: Iterable[str], model_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The model's own order if the sets match; else integers by value, and anything else as text."""
    names = set(labels)
    if names == set(model_labels):
        return model_labels
    try:
        return tuple(sorted(names, key=int))
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
    for split, labels in counts.items():
        unseen = sorted(set(labels) - set(train))
        if unseen:
            names = ", ".join(repr(name) for name in unseen[:5])
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
