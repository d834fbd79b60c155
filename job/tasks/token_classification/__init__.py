"""token-classification: a tag for each word, such as an entity's or a part of speech."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.errors import DataError
from job.settings.protocols import HasData, HasEncode, HasTrain
from job.tasks.base import Task
from job.tasks.labels import (
    listed,
    of_model,
    ordered,
    refuse_unknown,
    refuse_unseen,
    words_of,
    write_labels,
)
from job.tasks.row_rules import Columns
from job.tasks.scorers import Scorer
from job.tasks.token_classification.alignment import token_labels
from job.tasks.token_classification.entities import ENTITY, entities_of
from job.tasks.token_classification.sentences import sentences_of
from job.tasks.token_classification.tags import (
    OUTSIDE,
    fault,
    first_of,
    is_tag,
    read_tags,
    repaired,
    scheme_of,
    tags_for,
    types_of,
)
from job.tasks.tokens import inputs_of
from job.tasks.types import IGNORED, Batch, Features, Floats, Outputs, Scored
from job.tasks.windows import columns_of, lists, stride_of, windows_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


class _Settings(HasData, HasEncode, HasTrain, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class TokenClassification(Task):
    """Tags words by the first token of each.

    The model sees the words joined by single spaces, not one by one, so that a tokenizer for which a
    space is part of the next word gives the tokens that it was trained on, as the pipeline does.
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
    targets = ("tags",)
    predicted = ("prediction", "entities")
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
        """F1 over entities; accuracy where tags mark no entities."""
        return "accuracy" if self.scheme == "none" else "f1"

    # -- rows ------------------------------------------------------------------------------------

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs words and a tag of the scheme for each."""
        return [self._problem(*row) for row in zip(rows["tokens"], rows["tags"], strict=True)]

    def _problem(self, tokens: str | None, tags: str | None) -> str | None:
        for role, value in (("tokens", tokens), ("tags", tags)):
            if not value:
                return f"no {role}"
            if listed(value) is None:
                return f"{role} is not a JSON list of texts: {value[:40]}"
        return fault(listed(tokens) or [], read_tags(tags), self.scheme)

    def texts_of(self, rows: Columns) -> list[str]:
        """The words, joined by single spaces."""
        return [" ".join(listed(words) or []) for words in rows["tokens"]]

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The tags as the rows have them; the first where a word has several."""
        return [[first_of(tag, self.scheme) for tag in read_tags(tags)] for tags in rows["tags"]]

    # -- labels ----------------------------------------------------------------------------------

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types, none where tags mark no entities."""
        return () if self.scheme == "none" else tuple(types_of(self.labels))

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
        """The task with its labels from train alone: every tag that the scheme has for train's entity types."""
        train = counts.get("train", {})
        scheme = self.scheme
        if scheme == "auto":
            scheme = scheme_of(tag for tags in counts.values() for tag in tags)
        if scheme == "none":
            refuse_unseen(train, counts)
            labels: tuple[str, ...] = ordered(train, model_labels)
        else:
            types = types_of(train)
            refuse_unseen(types, {split: types_of(tags) for split, tags in counts.items()})
            labels = tags_for(types, scheme)
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
        """The task with the model's tags, which mark entities if all of them belong to a scheme."""
        labels, scheme = of_model(config), self.scheme
        if scheme == "auto":
            of_entities = all(is_tag(label, scheme) for label in labels)
            scheme = scheme_of(labels) if of_entities else "none"
        labels = tuple(first_of(label, scheme) for label in labels)
        refuse_unknown(labels, counts)
        return replace(self, labels=labels, scheme=scheme)

    def completed(self, rows: Columns) -> Columns:
        """The first tag for every word; a text that is not a list is split into words at white space."""
        sentences = [words_of(text) for text in rows["tokens"]]
        pairs = zip(rows["tokens"], sentences, strict=True)
        tokens = [t if s is None else json.dumps(s, ensure_ascii=False) for t, s in pairs]
        tags = [json.dumps([self.labels[0]] * len(s or [])) for s in sentences]
        return {**rows, "tokens": tokens, "tags": tags}

    def known(self, rows: Columns) -> Columns:
        """O, or where tags mark no entities the first tag, for one that the model does not know."""
        return {**rows, "tags": [json.dumps(self._known(read_tags(t))) for t in rows["tags"]]}

    def _known(self, tags: list[str]) -> list[str]:
        known = set(self.labels)
        whole = repaired(tags, self.scheme)
        pairs = zip(tags, whole, strict=True)
        return [tag if label in known else self._placeholder for tag, label in pairs]

    @property
    def _placeholder(self) -> str:
        return self.labels[0] if self.scheme == "none" else OUTSIDE

    def configure(self, config: Any) -> None:
        """Writes label names, as transformers reads them."""
        write_labels(config, self.labels)

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """The columns of `windows.columns_of`, and labels: IGNORED where nothing is learned."""
        sentences = [listed(words) or [] for words in rows["tokens"]]
        given = [read_tags(tags) for tags in rows["tags"]]
        tags = [repaired(tags, self.scheme) for tags in given]
        stride = stride_of(tokenizer, max_length, self.stride)
        parts = windows_of(tokenizer, self.texts_of(rows), max_length, stride)
        flat = [window for windows in parts for window in windows]
        labels = [
            part
            for row in zip(parts, sentences, tags, strict=True)
            for part in token_labels(*row, self.labels, every_token=self.label_all)
        ]
        columns = {**columns_of(flat, tokenizer), "labels": lists(labels)}
        source = np.repeat(np.arange(len(parts)), [len(windows) for windows in parts])
        pairs = zip(given, tags, strict=True)
        changed = sum(a != b for one, other in pairs for a, b in zip(one, other, strict=True))
        return Features(columns, source, repaired=changed)

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
        """Logits without padding, shape (tokens, labels) per row."""
        outputs = self.forward(model, batch)
        rows = [logits.cpu().numpy() for logits in self.row_logits(outputs, batch)]
        return rows, float(self.loss(outputs, batch))

    def metrics(self, scored: Scored) -> dict[str, float]:
        """See job.tasks.token_classification.metrics."""
        from job.tasks.token_classification.metrics import compute

        sentences = list(sentences_of(scored, self.labels, self.scheme))
        return compute([s.guess for s in sentences], [s.truth for s in sentences], self.types)

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task, and job.tasks.token_classification.scorers."""
        from job.tasks.token_classification.scorers import accuracy_scorer, entity_scorer

        sentences = list(sentences_of(scored, self.labels, self.scheme))
        if metric == "accuracy":
            return accuracy_scorer(sentences)
        return None if self.scheme == "none" else entity_scorer(sentences, metric)

    def written(self, scored: Scored) -> dict[str, Any]:
        """`tags` and `prediction`, one per word, and `entities`, whose offsets are in the words joined
        by single spaces (see job.tasks.token_classification.entities)."""
        sentences = list(sentences_of(scored, self.labels, self.scheme))
        entities = [entities_of(s.text, s.tokens, self.labels, scored.tokenizer) for s in sentences]
        return {
            "tags": [sentence.truth for sentence in sentences],
            "prediction": [sentence.guess for sentence in sentences],
            "entities": pa.array(entities, pa.list_(ENTITY)),
        }
