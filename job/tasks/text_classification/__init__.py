"""text-classification: one label, several, or a number, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching.padding import Padding
from job.batching.steps import Rows
from job.errors import DataError
from job.settings import Data, Model, Train
from job.tasks import labels as label_names
from job.tasks.base import Task
from job.tasks.rules import Columns
from job.tasks.tokens import inputs_of, tokenize
from job.tasks.values import Batch, Features, Floats, Outputs, Scored

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
REGRESSION = "regression"


class _Settings(Protocol):
    """The sections that the task reads."""

    @property
    def data(self) -> Data: ...
    @property
    def model(self) -> Model: ...
    @property
    def train(self) -> Train: ...


@dataclass(frozen=True)
class TextClassification(Task):
    """Sequence classification and regression with a head on top of an encoder or a decoder."""

    columns: Mapping[str, str]
    problem_type: str = "auto"
    labels: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    class_weights: str | Mapping[str, float] = "none"
    train_counts: Mapping[str, int] = field(default_factory=dict)

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    peft_type = "SEQ_CLS"
    targets = known = ("label",)

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        columns, train = settings.data.columns, settings.train
        roles = {"text": columns.text, "label": columns.label}
        if columns.text_pair:
            roles["text_pair"] = columns.text_pair
        return cls(
            columns=roles,
            problem_type=settings.model.problem_type,
            label_smoothing=train.label_smoothing,
            class_weights=train.class_weights,
        )

    @property
    def text_roles(self) -> tuple[str, ...]:
        """`text`, and `text_pair` for pairs."""
        return tuple(role for role in ("text", "text_pair") if role in self.columns)

    @property
    def default_metric(self) -> str:
        """Pearson's r for regression, macro F1 otherwise."""
        return "pearson" if self.problem_type == REGRESSION else "f1"

    # -- rows ------------------------------------------------------------------------------------

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs its texts and a label; for regression the label must be a finite number."""
        found: list[str | None] = [None] * len(rows["label"])
        for i, label in enumerate(rows["label"]):
            if label is None or not label.strip():
                found[i] = "no label"
            elif self.problem_type == REGRESSION and not label_names.is_number(label):
                found[i] = f"the label {label[:40]!r} is not a number"
        for role in self.text_roles:
            for i, text in enumerate(rows[role]):
                if text is None:
                    found[i] = f"no {role}"
        return found

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The classes of each row; none for regression."""
        if self.problem_type == REGRESSION:
            return [[] for _ in rows["label"]]
        if self.problem_type == SINGLE:
            return [[label] if label else [] for label in rows["label"]]
        return [label_names.classes(label) for label in rows["label"]]

    # -- labels ----------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """Labels in order, their counts in train, and the problem type."""
        return {
            "labels": list(self.labels),
            "problem_type": self.problem_type,
            "train_counts": dict(self.train_counts),
        }

    def restored(self, facts: Mapping[str, Any]) -> TextClassification:
        """The task with the labels and the problem type that the data set was encoded with."""
        return replace(
            self,
            labels=tuple(facts["labels"]),
            problem_type=facts["problem_type"],
            train_counts=facts["train_counts"],
        )

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast | None = None,
    ) -> TextClassification:
        """Labels from train alone: in the model's own order if the sets match, else sorted."""
        problem = self.problem_type
        if problem == "auto":
            lists = [label_names.as_list(label or "") is not None for label in first["label"]]
            problem = MULTI if any(lists) else SINGLE
        if problem == REGRESSION:
            return replace(self, problem_type=problem, labels=("score",))
        train = dict(counts.get("train", {}))
        if problem == SINGLE:
            label_names.refuse_unlearnable(train, self.columns["label"])
        elif not train:
            raise DataError(
                "no training row has a label", hint="look at FINETUNE_DATA__COLUMNS__LABEL"
            )
        label_names.refuse_unseen(train, counts)
        ordered = label_names.ordered(train, model_labels)
        if isinstance(self.class_weights, Mapping):
            label_names.refuse_unknown_weights(self.class_weights, ordered)
        return replace(self, problem_type=problem, labels=ordered, train_counts=train)

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> TextClassification:
        """The model's labels; LABEL_0, LABEL_1 … stand for 0, 1 …"""
        labels = label_names.of_model(config)
        problem = self.problem_type
        if problem == "auto":
            problem = config.problem_type or (SINGLE if len(labels) > 1 else REGRESSION)
        if problem == REGRESSION:
            return replace(self, problem_type=problem, labels=("score",))
        label_names.refuse_unknown(labels, counts)
        return replace(self, problem_type=problem, labels=labels)

    def completed(self, rows: Columns) -> Columns:
        """The first label for every row, no label, or 0."""
        label = {SINGLE: self.labels[0], MULTI: "[]"}.get(self.problem_type, "0")
        return {**rows, "label": [label] * len(rows["text"])}

    def configure(self, config: Any) -> None:
        """Label names and problem type, by the names that transformers reads."""
        config.problem_type = self.problem_type
        config.num_labels = len(self.labels)
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: i for i, label in enumerate(self.labels)}

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """input_ids, token_type_ids where the model has them, labels, length."""
        texts = [text or "" for text in rows["text"]]
        pairs = [text or "" for text in rows["text_pair"]] if "text_pair" in rows else None
        tokens = tokenize(tokenizer, texts, pairs, max_length)
        columns: dict[str, pa.Array] = {"input_ids": tokens.input_ids}
        if tokens.token_type_ids is not None:
            columns["token_type_ids"] = tokens.token_type_ids
        columns["labels"] = self._encode_labels([label or "" for label in rows["label"]])
        columns["length"] = tokens.lengths
        return Features(columns, np.arange(len(texts)), tokens.truncated)

    def _encode_labels(self, labels: Sequence[str]) -> pa.Array:
        if self.problem_type == REGRESSION:
            return pa.array(np.array([float(label) for label in labels], dtype=np.float32))
        index = {label: i for i, label in enumerate(self.labels)}
        if self.problem_type == SINGLE:
            return pa.array(np.array([index[label] for label in labels], dtype=np.int64))
        return label_names.multi_hot(labels, index)

    def truth(self, table: MappedTable) -> Floats:
        """The labels of all rows: class numbers or scores, shape (rows,); multi-hot, (rows, labels)."""
        if self.problem_type != MULTI:
            return table.column("labels").astype(np.float32)
        return np.stack(table.lists("labels", np.arange(len(table)))).astype(np.float32)

    # -- loss ------------------------------------------------------------------------------------

    def weights_of_labels(self) -> Floats:
        """A weight for each label, shape (labels,); ones without class weights."""
        if self.class_weights == "balanced" and self.problem_type == SINGLE:
            counts = np.array([self.train_counts[label] for label in self.labels], dtype=np.float32)
            return np.asarray(counts.sum() / (len(counts) * counts), np.float32)
        given = self.class_weights if isinstance(self.class_weights, Mapping) else {}
        return np.array([given.get(label, 1.0) for label in self.labels], dtype=np.float32)

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The weight of the row's class; one for multi-label and regression."""
        if self.problem_type != SINGLE:
            return np.ones(len(rows), dtype=np.float32)
        return np.asarray(self.weights_of_labels()[table.column("labels")[rows]])

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, token_type_ids, labels and weights as tensors."""
        import torch

        batch = inputs_of(table, rows, pad)
        if self.problem_type == MULTI:
            batch["labels"] = torch.from_numpy(np.stack(table.lists("labels", rows)))
        else:
            batch["labels"] = torch.from_numpy(table.column("labels")[rows])
        batch["weights"] = torch.from_numpy(self.row_weights(table, rows, epoch))
        return batch

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy, binary cross-entropy averaged over the labels, or squared error, summed."""
        import torch
        from torch.nn import functional

        logits, labels = outputs.logits.float(), batch["labels"]
        if self.problem_type == SINGLE:
            rows = functional.cross_entropy(
                logits, labels, reduction="none", label_smoothing=self.label_smoothing
            )
        elif self.problem_type == MULTI:
            smooth = self.label_smoothing
            rows = functional.binary_cross_entropy_with_logits(
                logits,
                labels * (1 - smooth) + smooth / 2,
                weight=torch.from_numpy(self.weights_of_labels()).to(logits.device),
                reduction="none",
            ).mean(dim=-1)
        else:
            rows = (logits.squeeze(-1) - labels).square()
        return (rows * batch["weights"]).sum()

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Logits, shape (labels,) a row."""
        outputs = self.forward(model, batch)
        return list(outputs.logits.float().cpu().numpy()), float(self.loss(outputs, batch))

    def probabilities(self, logits: Floats) -> Floats:
        """Softmax over the labels, a sigmoid for each, or the score as it is; shape (rows, labels)."""
        if self.problem_type == REGRESSION:
            return logits
        from scipy.special import expit, softmax

        found = expit(logits) if self.problem_type == MULTI else softmax(logits, axis=-1)
        return np.asarray(found, np.float32)

    @property
    def compared(self) -> tuple[str, ...]:
        """The score of a regression, all probabilities otherwise."""
        return ("prediction",) if self.problem_type == REGRESSION else ("probabilities",)

    def metrics(self, scored: Scored) -> dict[str, float]:
        """See job.tasks.classification_metrics."""
        from job.tasks.text_classification.metrics import compute

        probabilities = self.probabilities(np.stack(scored.outputs))
        return compute(self.problem_type, self.labels, probabilities, self.truth(scored.table))

    def written(self, scored: Scored) -> dict[str, Any]:
        """`label` and `prediction` by name, `score` (the prediction's probability), `probabilities`."""
        probabilities = self.probabilities(np.stack(scored.outputs))
        targets = self.truth(scored.table)
        if self.problem_type == REGRESSION:
            return {"label": targets, "prediction": probabilities[:, 0]}
        if self.problem_type == MULTI:
            return {
                "label": [self._named(row > 0) for row in targets],
                "prediction": [self._named(row > 0.5) for row in probabilities],
                "probabilities": list(probabilities),
            }
        best = probabilities.argmax(axis=-1)
        return {
            "label": [self.labels[int(i)] for i in targets],
            "prediction": [self.labels[i] for i in best],
            "score": probabilities[np.arange(len(best)), best],
            "probabilities": list(probabilities),
        }

    def _named(self, chosen: Any) -> list[str]:
        return [label for label, yes in zip(self.labels, chosen, strict=True) if yes]
