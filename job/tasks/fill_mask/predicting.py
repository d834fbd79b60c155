"""fill-mask for texts that come with masks: the likeliest tokens for each mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.tasks.fill_mask import FillMask
from job.tasks.row_rules import Columns
from job.tasks.special_tokens import SpecialTokens
from job.tasks.tokens import inputs_of
from job.tasks.types import Batch, Features, Outputs, Scored

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

CANDIDATES = 5
"""How many tokens are named for each mask."""

CANDIDATE = pa.struct([("token", pa.string()), ("score", pa.float32())])


@dataclass(frozen=True)
class Filling(FillMask):
    """Fills in the tokenizer's mask token wherever a text has it."""

    mask: str = "[MASK]"
    predicted = ("prediction", "candidates")
    verbatim_roles = ("text",)  # cleaning could change the mask

    @classmethod
    def of(cls, task: FillMask) -> Filling:
        """The same task for texts that hold masks."""
        return cls(**{field.name: getattr(task, field.name) for field in fields(task)})

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Filling:
        """The task with the mask as texts write it."""
        fitted = super().fitted(first, counts, model_labels, tokenizer)
        return replace(Filling.of(fitted), mask=str(tokenizer.mask_token))

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs a text with a mask in it."""
        return [
            "no text"
            if text is None
            else None
            if self.mask in text
            else f"no mask token ({self.mask}) in the text: there is nothing to fill in"
            for text in rows["text"]
        ]

    def packer(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
        """None: texts stay as they are."""
        return

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """Token ids with special tokens; what is beyond max_length is cut off, masks included."""
        special = SpecialTokens(tokenizer, but=[self.mask])
        before, after = self.around(tokenizer)
        room = max_length - len(before) - len(after)
        whole = special.ids_of([special.marked(text or "") for text in rows["text"]])
        ids = [before + row[:room] + after for row in whole]
        columns = {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "length": pa.array([len(row) for row in ids], pa.int32()),
        }
        return Features(columns, np.arange(len(ids)), sum(len(row) > room for row in whole))

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids and attention_mask."""
        return inputs_of(table, rows, pad)

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """The ids and probabilities of the best tokens for a row's masks, shape (masks, CANDIDATES, 2)."""
        probabilities = self.forward(model, batch).logits.float().softmax(dim=-1)
        best = probabilities.topk(CANDIDATES, dim=-1)
        masks = batch["input_ids"] == self.mask_id
        pairs = np.stack([best.indices.cpu().numpy(), best.values.cpu().numpy()], axis=-1)
        return [row[mask] for row, mask in zip(pairs, masks.cpu().numpy(), strict=True)], 0.0

    def written(self, scored: Scored) -> dict[str, Any]:
        """`prediction`: the best token for each mask, in order; `candidates`: the best few, with
        their probabilities."""
        decode = scored.tokenizer.decode
        candidates = [
            [
                [{"token": decode([int(i)]).strip(), "score": score} for i, score in mask]
                for mask in row
            ]
            for row in scored.outputs
        ]
        return {
            "prediction": [[mask[0]["token"] for mask in row] for row in candidates],
            "candidates": pa.array(candidates, pa.list_(pa.list_(CANDIDATE))),
        }
