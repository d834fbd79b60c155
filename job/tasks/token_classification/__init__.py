"""token-classification: a tag for each word, such as named entities or parts of speech."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching.padding import Padding
from job.batching.steps import Rows
from job.data.artifacts import ROW
from job.errors import DataError
from job.settings import Data, Encode, Train
from job.tasks import labels as label_names
from job.tasks.base import Task
from job.tasks.rules import Columns
from job.tasks.token_classification import entities as aggregation
from job.tasks.token_classification import tags as tagging
from job.tasks.tokens import inputs_of
from job.tasks.values import IGNORED, Batch, Features, Floats, Ints, Outputs, Scored
from job.tasks.windows import (
    Window,
    columns_of,
    groups,
    lists,
    merged,
    stride_of,
    windows_of,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


class _Settings(Protocol):
    """The sections that the task reads."""

    @property
    def data(self) -> Data: ...
    @property
    def encode(self) -> Encode: ...
    @property
    def train(self) -> Train: ...


@dataclass(frozen=True)
class TokenClassification(Task):
    """Tags words by the first token of each.

    The model sees the words joined by single spaces, not one by one: so a tokenizer for which a
    space is part of the next word gives the tokens that it was trained on, and the pipeline's.
    """

    columns: Mapping[str, str]
    scheme: str = "auto"
    stride: int | None = None
    label_all: bool = False
    label_smoothing: float = 0.0
    labels: tuple[str, ...] = ()

    name = "token-classification"
    auto_class = "AutoModelForTokenClassification"
    peft_type = "TOKEN_CLS"
    text_roles = ("tokens",)
    targets = known = ("tags",)
    verbatim_roles = ("tokens",)
    compared = ("entities",)

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        columns, encode = settings.data.columns, settings.encode
        return cls(
            columns={"tokens": columns.tokens, "tags": columns.tags},
            scheme=settings.data.tag_scheme,
            stride=encode.stride,
            label_all=encode.label_all_pieces,
            label_smoothing=settings.train.label_smoothing,
        )

    @property
    def default_metric(self) -> str:
        """F1 over entities; accuracy where tags mark none."""
        return "accuracy" if self.scheme == "none" else "f1"

    # -- rows ------------------------------------------------------------------------------------

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs words and a tag of the scheme for each."""
        return [self._problem(*row) for row in zip(rows["tokens"], rows["tags"], strict=True)]

    def _problem(self, tokens: str | None, tags: str | None) -> str | None:
        for role, value in (("tokens", tokens), ("tags", tags)):
            if not value:
                return f"no {role}"
            if _listed(value) is None:
                return f"{role} is not a list: {value[:40]}"
        return tagging.fault(_listed(tokens) or [], _listed(tags) or [], self.scheme)

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The tags as they stand in the rows, of several for a word the first."""
        return [
            [tagging.first_of(tag, self.scheme) for tag in _listed(tags) or []]
            for tags in rows["tags"]
        ]

    # -- labels ----------------------------------------------------------------------------------

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types, none where tags mark no entities."""
        return () if self.scheme == "none" else tuple(tagging.types_of(self.labels))

    @property
    def facts(self) -> dict[str, Any]:
        """Labels in order, the scheme, and the entity types."""
        return {"labels": list(self.labels), "scheme": self.scheme, "types": list(self.types)}

    def restored(self, facts: Mapping[str, Any]) -> TokenClassification:
        """The task with the labels that the data set was encoded with."""
        return replace(self, labels=tuple(facts["labels"]), scheme=facts["scheme"])

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast | None = None,
    ) -> TokenClassification:
        """Labels from train alone: every tag that the scheme has for train's entity types."""
        train = counts.get("train", {})
        scheme = self.scheme
        if scheme == "auto":
            scheme = tagging.scheme_of(tag for tags in counts.values() for tag in tags)
        if scheme == "none":
            label_names.refuse_unseen(train, counts)
            labels: tuple[str, ...] = label_names.ordered(train, model_labels)
        else:
            types = tagging.types_of(train)
            label_names.refuse_unseen(
                types, {split: tagging.types_of(tags) for split, tags in counts.items()}
            )
            labels = tagging.labels_of(types, scheme)
            labels = model_labels if set(labels) == set(model_labels) else labels
        if len(labels) < 2:
            raise DataError(
                f"column {self.columns['tags']!r} holds no tag but {', '.join(labels) or 'none'} in "
                "the training rows",
                hint="look at FINETUNE_DATA__COLUMNS__TAGS",
            )
        return replace(self, labels=labels, scheme=scheme)

    def learned(
        self,
        config: Any,
        counts: Mapping[str, Mapping[str, int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> TokenClassification:
        """The model's tags, which mark entities if all of them are of a scheme."""
        labels, scheme = label_names.of_model(config), self.scheme
        if scheme == "auto":
            entities = all(tagging.is_tag(label, scheme) for label in labels)
            scheme = tagging.scheme_of(labels) if entities else "none"
        label_names.refuse_unknown(labels, counts)
        return replace(self, labels=labels, scheme=scheme)

    def completed(self, rows: Columns) -> Columns:
        """The first tag for every word; a text that is no list is cut into words at white space."""
        words = [label_names.words(text) for text in rows["tokens"]]
        tokens = [None if w is None else json.dumps(w, ensure_ascii=False) for w in words]
        tags = [json.dumps([self.labels[0]] * len(w or [])) for w in words]
        return {**rows, "tokens": tokens, "tags": tags}

    def configure(self, config: Any) -> None:
        """Label names, by the names that transformers reads."""
        config.num_labels = len(self.labels)
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: i for i, label in enumerate(self.labels)}

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """The columns of `windows.columns_of`, and labels: IGNORED where nothing is learned."""
        sentences = [_listed(words) or [] for words in rows["tokens"]]
        given = [_listed(tags) or [] for tags in rows["tags"]]
        tags = [tagging.repaired(tags, self.scheme) for tags in given]
        stride = stride_of(tokenizer, max_length, self.stride)
        texts = [" ".join(words) for words in sentences]
        parts = windows_of(tokenizer, texts, max_length, stride)
        flat = [window for windows in parts for window in windows]
        labels = [
            found
            for row in zip(parts, sentences, tags, strict=True)
            for found in self._labels(*row)
        ]
        columns = {**columns_of(flat, tokenizer), "labels": lists(labels)}
        source = np.repeat(np.arange(len(parts)), [len(windows) for windows in parts])
        pairs = zip(given, tags, strict=True)
        changed = sum(a != b for one, other in pairs for a, b in zip(one, other, strict=True))
        return Features(columns, source, repaired=changed)

    def _labels(
        self, windows: Sequence[Window], words: Sequence[str], tags: Sequence[str]
    ) -> Iterator[Ints]:
        """For each window the label of each of its tokens."""
        index = {label: i for i, label in enumerate(self.labels)}
        firsts = [window.first for window in windows]
        starts, ends = (
            merged(firsts, [getattr(w, name)[w.inside] for w in windows])
            for name in ("starts", "ends")
        )
        owner = tagging.words_of(starts, ends, words)
        learned = np.array([index[tag] for tag in tags])[owner]
        going_on = np.array([index.get(tagging.continued(tag), index[tag]) for tag in tags])[owner]
        later = np.where((owner >= 0) & self.label_all, going_on, IGNORED)
        labels = np.where(tagging.is_first(owner), learned, later)
        for window in windows:
            found = np.full(len(window.input_ids), IGNORED, dtype=np.int32)
            found[window.inside] = labels[window.first :][: window.inside.sum()]
            yield found

    # -- loss ------------------------------------------------------------------------------------

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The number of tokens that have a label."""
        counts = [(labels != IGNORED).sum() for labels in table.lists("labels", rows)]
        return np.array(counts, dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, token_type_ids, labels."""
        import torch

        labels = pad.fill(table.lists("labels", rows), IGNORED)
        batch = inputs_of(table, rows, pad)
        batch["labels"] = torch.from_numpy(labels)
        return batch

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy summed over the tokens that have a label."""
        from torch.nn import functional

        return functional.cross_entropy(
            outputs.logits.float().flatten(0, 1),
            batch["labels"].flatten(),
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Logits, shape (tokens, labels) a row, padding left out."""
        outputs = self.forward(model, batch)
        mask = batch["attention_mask"].bool()
        rows = [logits[kept] for logits, kept in zip(outputs.logits.float(), mask, strict=True)]
        return [row.cpu().numpy() for row in rows], float(self.loss(outputs, batch))

    def sentences(self, scored: Scored) -> Iterator[aggregation.Sentence]:
        """Every cleaned row with its tags; each token's from the window where it has most context."""
        words, tags = (scored.rows.table.column(r).to_pylist() for r in ("tokens", "tags"))
        parts = groups(scored.table.column(ROW), len(words))
        for numbers, given, marks in zip(parts, words, tags, strict=True):
            sentence, truth = _listed(given) or [], _listed(marks) or []
            tokens = aggregation.tokens_of(scored, numbers)
            owner = tagging.words_of(tokens.starts, tokens.ends, sentence)
            first = tagging.is_first(owner)
            # a word that no token stands for is no entity
            guess = [tagging.OUTSIDE if self.types else self.labels[0]] * len(sentence)
            best = tokens.probabilities.argmax(axis=-1)
            for word, label in zip(owner[first].tolist(), best[first].tolist(), strict=True):
                guess[word] = self.labels[label]
            yield aggregation.Sentence(
                sentence, tagging.repaired(truth, self.scheme), guess, tokens
            )

    def metrics(self, scored: Scored) -> dict[str, float]:
        """See job.tasks.tagging_metrics."""
        from job.tasks.token_classification.metrics import compute

        pairs = [(s.guess, s.truth) for s in self.sentences(scored)]
        return compute([guess for guess, _ in pairs], [truth for _, truth in pairs], self.types)

    def written(self, scored: Scored) -> dict[str, Any]:
        """`tags` and `prediction`, one a word, and `entities` (see job.tasks.aggregation), whose
        offsets count in the words joined by single spaces."""
        sentences = list(self.sentences(scored))
        found = [
            aggregation.entities_of(s.text, s.tokens, self.labels, scored.tokenizer)
            for s in sentences
        ]
        return {
            "tags": [sentence.truth for sentence in sentences],
            "prediction": [sentence.guess for sentence in sentences],
            "entities": pa.array(found, pa.list_(aggregation.ENTITY)),
        }


def _listed(text: str | None) -> list[str] | None:
    return label_names.as_list((text or "").strip())
