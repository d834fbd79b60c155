"""The metrics of each task by name: what can select the best checkpoint, and which way is better.

Said once, where nothing heavy is imported, so that a name that does not exist is refused with the
settings and not at the first evaluation. tests/tasks/test_metric_names.py compares it with what the
tasks compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OF_CLASSES = ("precision", "recall", "f1")
"""Over all classes, or all types of entities, and for each of them as well: `f1_spam`, `f1_LOC`."""
SUPPORT = "support"
"""How many rows or entities a class or type has, given beside OF_CLASSES: `support_spam`."""
_PREFIXES = tuple(f"{name}_" for name in (*OF_CLASSES, SUPPORT))

_CLASSES = (*OF_CLASSES, *(f"{name}_weighted" for name in OF_CLASSES), "roc_auc")

METRICS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "text-classification": {
        "single_label_classification": ("accuracy", "matthews_correlation", *_CLASSES),
        "multi_label_classification": (
            *("accuracy", "hamming_loss", "f1_micro", "f1_samples"),
            *_CLASSES,
        ),
        "regression": ("mse", "mae", "pearson", "spearman"),
    },
    "token-classification": {"entities": ("accuracy", *OF_CLASSES), "tags": ("accuracy",)},
    "question-answering": {
        "answers": (
            *("exact_match", "f1", "answerable_exact_match", "answerable_f1"),
            *("unanswerable_exact_match", "unanswerable_f1"),
        )
    },
    "fill-mask": {"text": ("perplexity",)},
    "text-generation": {"text": ("perplexity",), "prompts": ("perplexity", "exact_match")},
    "summarization": {"pairs": ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "translation": {"pairs": ("bleu", "chrf")},
}
"""For each task, and each kind of its rows or labels, the metrics besides `loss`. Some are given only
where the data allow it, such as `unanswerable_f1`."""

_OVER_ALL = {name for kinds in METRICS.values() for each in kinds.values() for name in each}

MINIMIZED = frozenset({"loss", "mse", "mae", "perplexity", "hamming_loss"})
"""Better the lower they are; all others are better the higher they are."""

RIGHT_OR_WRONG: Mapping[str, tuple[str, ...]] = {
    "text-classification": ("accuracy", "matthews_correlation", *OF_CLASSES),
    "question-answering": ("exact_match",),
    "text-generation": ("exact_match",),
}
"""For some tasks the metrics that count rows, each of them right or wrong."""

IN_PERCENT = ("question-answering", "summarization", "translation")
"""The tasks whose metrics, but for the loss, go from 0 to 100 and not to 1."""

UNBOUNDED = frozenset({"loss", "mse", "mae", "perplexity"})
"""Without a scale of their own: what is a small difference depends on their value."""

HEADLINE = ("accuracy", "exact_match", "f1", "pearson", "rougeL", "bleu", "chrf", "perplexity")
"""What a run shows when it ends, in this order."""

PER_TOKEN = frozenset({"loss", "perplexity"})
"""Of language models a mean over tokens: other tokens, other figures."""


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores that matter most of what eval_results.json holds, those of test before those of
    validation."""
    shown = [f"{prefix}_{name}" for prefix in ("test", "eval") for name in HEADLINE]
    found = {name: scores[name] for name in shown if isinstance(scores.get(name), (int, float))}
    return {name: round(score, 4) for name, score in found.items()}


def names(task: str, kind: str | None = None) -> tuple[str, ...]:
    """The metrics of one kind of a task, `loss` among them; of all its kinds where none is named."""
    kinds = METRICS[task]
    chosen = kinds.values() if kind is None else (kinds[kind],)
    return tuple(dict.fromkeys(("loss", *(name for each in chosen for name in each))))


def plain(metric: str) -> str:
    """A metric's name without the prefix of a split, as people copy it from eval_results.json."""
    return metric.removeprefix("eval_")


def is_among(metric: str, known: Iterable[str]) -> bool:
    """Whether a metric is known, or is that of one class, where classes are scored one by one; which
    classes there are only the data say."""
    of_class = metric.startswith(tuple(f"{name}_" for name in OF_CLASSES))
    return metric in known or (of_class and set(OF_CLASSES) <= set(known))


def of_class(metric: str, label: str) -> str:
    """The name of a metric, or SUPPORT, of one class or type.

    A class that is called as an average is (`weighted`, `micro`, `samples`) stands in quotes, and so
    does one that begins with a quote: `f1_weighted` is the average, `f1_'weighted'` the class's.
    """
    taken = label.startswith("'") or any(f"{name}_{label}" in _OVER_ALL for name in OF_CLASSES)
    return f"{metric}_'{label}'" if taken else f"{metric}_{label}"


def of_slice(prefix: str, part: str, figure: str) -> str:
    """The name of a figure of a part of a split's rows: `test[length=64-127]_f1`.

    No figure of a whole split begins so, whatever its classes are called.
    """
    return f"{prefix}[{part}]_{figure}"


def slice_of(name: str, prefix: str) -> tuple[str, str] | None:
    """The part of a split's rows, and the figure, that `of_slice` has put together; None for another
    name."""
    part, _, figure = name.removeprefix(f"{prefix}[").rpartition("]_")
    return (part, figure) if name.startswith(f"{prefix}[") else None


def is_of_class(figure: str) -> bool:
    """Whether a figure is that of one class or type (`f1_spam`, `support_spam`), not one over all."""
    return figure.startswith(_PREFIXES) and figure not in _OVER_ALL
