"""What a head on top of a text can be asked for: one label, any number of labels, or a number.

Each is one of transformers' problem types, and knows its labels as arrays, its loss and its
predictions.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.batching import Rows
from job.errors import DataError
from job.tasks.labels import as_list, classes, is_number
from job.tasks.types import Floats

if TYPE_CHECKING:
    import torch

    from job.data.arrow import MappedTable

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
REGRESSION = "regression"


class Problem(ABC):
    """A problem type; it has no state, since what is fitted belongs to the task."""

    @abstractmethod
    def encoded(self, labels: Sequence[str], names: Sequence[str]) -> pa.Array:
        """The labels of rows as a column.

        Args:
            labels: as the rows have them.
            names: every label, in order.

        Raises:
            DataError: a row's label is not of this kind.
        """

    @abstractmethod
    def known(self, label: str, names: Sequence[str]) -> str:
        """A row's label if it can be encoded, or else another: the first, no labels, or 0."""

    def targets(self, table: MappedTable, rows: Rows) -> npt.NDArray[Any]:
        """Labels as the loss takes them: class numbers (int64) or scores (float32), shape (rows,), or
        0 and 1 (float32), shape (rows, labels)."""
        return table.column("labels")[rows]

    def label_weights(
        self,
        names: Sequence[str],
        wanted: str | Mapping[str, float],
        counts: Mapping[str, int],
    ) -> Floats:
        """A weight for each label, shape (labels,).

        Args:
            names: every label, in order.
            wanted: a weight for some labels, the others weigh 1; or `balanced`, which only single
                labels can be; or `none`.
            counts: how many training rows have each label.
        """
        given = wanted if isinstance(wanted, Mapping) else {}
        return np.array([given.get(name, 1.0) for name in names], dtype=np.float32)

    def row_weights(self, table: MappedTable, rows: Rows, weights: Floats) -> Floats:
        """What each row weighs, by the weights of the labels, shape (rows,)."""
        return np.ones(len(rows), dtype=np.float32)

    @abstractmethod
    def losses(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: Floats, smoothing: float
    ) -> torch.Tensor:
        """The loss of each row, shape (rows,), not weighted by `row_weights` yet.

        Args:
            logits: float32, shape (rows, labels).
            targets: see `targets`.
            weights: of the labels, shape (labels,), for rows that have several.
            smoothing: probability mass spread evenly over all classes.
        """

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """What the logits stand for, shape (rows, labels)."""

    @abstractmethod
    def written(
        self, targets: npt.NDArray[Any], probabilities: Floats, names: Sequence[str]
    ) -> dict[str, Any]:
        """Columns of predictions.parquet, labels by name."""


class SingleLabel(Problem):
    """One label per row: softmax and cross-entropy."""

    def encoded(self, labels: Sequence[str], names: Sequence[str]) -> pa.Array:
        """Class numbers."""
        index = {name: i for i, name in enumerate(names)}
        unknown = next((label for label in labels if label not in index), None)
        if unknown is not None:
            raise DataError(
                f"the label {unknown[:40]!r} is not one of the model's classes",
                hint="write one class a row, as text, or train a model on lists of classes",
            )
        return pa.array(np.array([index[label] for label in labels], dtype=np.int64))

    def known(self, label: str, names: Sequence[str]) -> str:
        """The first for one that is not among them."""
        return label if label in names else names[0]

    def label_weights(
        self,
        names: Sequence[str],
        wanted: str | Mapping[str, float],
        counts: Mapping[str, int],
    ) -> Floats:
        """As given; `balanced` is the inverse of each label's frequency, 1 in the mean over the rows, and 1
        for a label that none of them has."""
        if wanted != "balanced":
            return super().label_weights(names, wanted, counts)
        rows = np.array([counts[name] for name in names], dtype=np.float32)
        even = np.maximum(1, rows) * np.count_nonzero(rows)
        return np.where(rows > 0, rows.sum() / even, 1).astype(np.float32)

    def row_weights(self, table: MappedTable, rows: Rows, weights: Floats) -> Floats:
        """The weight of the row's label."""
        return np.asarray(weights[self.targets(table, rows)])

    def losses(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: Floats, smoothing: float
    ) -> torch.Tensor:
        """Cross-entropy."""
        from torch.nn import functional

        return functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=smoothing
        )

    def probabilities(self, logits: Floats) -> Floats:
        """Softmax over the labels."""
        from scipy.special import softmax

        return np.asarray(softmax(logits, axis=-1), np.float32)

    def written(
        self, targets: npt.NDArray[Any], probabilities: Floats, names: Sequence[str]
    ) -> dict[str, Any]:
        """`label`, `prediction`, `score` (the prediction's probability) and all `probabilities`."""
        best = probabilities.argmax(axis=-1)
        return {
            "label": [names[i] for i in targets],
            "prediction": [names[i] for i in best],
            "score": probabilities[np.arange(len(best)), best],
            "probabilities": list(probabilities),
        }


class MultiLabel(Problem):
    """Any number of labels per row: a sigmoid and binary cross-entropy for each."""

    def encoded(self, labels: Sequence[str], names: Sequence[str]) -> pa.Array:
        """1 for each label in a row's JSON list, else 0; list<float>, a value for every label."""
        index = {name: i for i, name in enumerate(names)}
        hot = np.zeros((len(labels), len(names)), dtype=np.float32)
        for row, label in zip(hot, labels, strict=True):
            listed = as_list(label)
            if listed is None:
                raise DataError(
                    f"the label {label[:40]!r} is not a list, and the model gives any number of labels",
                    hint='write every label as a list (["a"])',
                )
            row[[index[name] for name in listed]] = 1
        rows = pa.FixedSizeListArray.from_arrays(pa.array(hot.ravel()), len(names))
        return rows.cast(pa.list_(pa.float32()))

    def known(self, label: str, names: Sequence[str]) -> str:
        """A list of those that are among them; one class alone may be in it."""
        return json.dumps([name for name in classes(label) if name in names], ensure_ascii=False)

    def targets(self, table: MappedTable, rows: Rows) -> npt.NDArray[Any]:
        """0 and 1, shape (rows, labels)."""
        return np.stack(table.lists("labels", rows))

    def losses(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: Floats, smoothing: float
    ) -> torch.Tensor:
        """Binary cross-entropy, the mean over the labels."""
        import torch
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(
            logits,
            targets * (1 - smoothing) + smoothing / 2,
            weight=torch.from_numpy(weights).to(logits.device),
            reduction="none",
        ).mean(dim=-1)

    def probabilities(self, logits: Floats) -> Floats:
        """A sigmoid for each label."""
        from scipy.special import expit

        return np.asarray(expit(logits), np.float32)

    def written(
        self, targets: npt.NDArray[Any], probabilities: Floats, names: Sequence[str]
    ) -> dict[str, Any]:
        """`label` and `prediction` (more likely than not), lists, and all `probabilities`."""

        def named(rows: npt.NDArray[np.bool_]) -> list[list[str]]:
            return [[name for name, yes in zip(names, row, strict=True) if yes] for row in rows]

        return {
            "label": named(targets > 0),
            "prediction": named(probabilities > 0.5),
            "probabilities": list(probabilities),
        }


class Regression(Problem):
    """A number per row: squared error."""

    def encoded(self, labels: Sequence[str], names: Sequence[str]) -> pa.Array:
        """Scores."""
        return pa.array(np.array([float(label) for label in labels], dtype=np.float32))

    def known(self, label: str, names: Sequence[str]) -> str:
        """0 for what is not a number."""
        return label if is_number(label) else "0"

    def losses(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: Floats, smoothing: float
    ) -> torch.Tensor:
        """The square of the error."""
        return (logits.squeeze(-1) - targets).square()

    def probabilities(self, logits: Floats) -> Floats:
        """The scores as they are."""
        return logits

    def written(
        self, targets: npt.NDArray[Any], probabilities: Floats, names: Sequence[str]
    ) -> dict[str, Any]:
        """`label` and `prediction`, numbers."""
        return {"label": targets, "prediction": probabilities[:, 0]}


PROBLEMS: Mapping[str, Problem] = {
    SINGLE: SingleLabel(),
    MULTI: MultiLabel(),
    REGRESSION: Regression(),
}
