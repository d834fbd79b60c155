"""Mistakes in EVALUATE: a metric that the task does not have."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

METRICS = {
    "single_label_classification": ("accuracy", "matthews_correlation"),
    "multi_label_classification": ("accuracy", "hamming_loss", "f1_micro", "f1_samples"),
    "regression": ("mse", "mae", "pearson", "spearman"),
}
"""Of text-classification, besides `loss` and AVERAGED."""
AVERAGED = ("precision", "recall", "f1")
"""Macro averages; `_weighted` weights the classes, and `f1_spam` is that of one class."""


def metric(given: str, problem: str) -> Iterator[str]:
    """A metric that is none is found out at the first evaluation otherwise, after all the training."""
    metric = given.removeprefix("eval_")
    known = [
        "loss",
        *dict.fromkeys(m for p in METRICS if problem in ("auto", p) for m in METRICS[p]),
    ]
    if problem != "regression":
        known += [*AVERAGED, *(f"{name}_weighted" for name in AVERAGED), "roc_auc"]
        if metric.startswith(tuple(f"{name}_" for name in AVERAGED)):
            return  # of one class; which there are the data says
    if metric not in known:
        near = get_close_matches(metric, known, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        kind = "" if problem == "auto" else f" with FINETUNE_MODEL__PROBLEM_TYPE={problem}"
        yield (
            f"FINETUNE_EVALUATE__METRIC={given} is no metric of text-classification{kind}{guess}; "
            f"use one of {', '.join(known)}"
        )
