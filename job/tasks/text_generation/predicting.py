"""text-generation for rows without completions: the model continues what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.tasks.language_modeling import decoded, leading_tokens
from job.tasks.positions import positions_of
from job.tasks.row_rules import Columns
from job.tasks.text_generation import TextGeneration
from job.tasks.text_generation.chats import Layout, problem_of_asked
from job.tasks.tokens import tokenize
from job.tasks.types import Batch, Features, Floats, Outputs, Scored

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

NEW_TOKENS = 128
"""The most tokens to generate, unless the settings say otherwise."""


@dataclass(frozen=True)
class Prompting(TextGeneration):
    """Answers prompts and chats that end with a question, or continues plain texts."""

    @classmethod
    def of(cls, task: TextGeneration) -> Prompting:
        """The same task without completions."""
        roles = {role: name for role, name in task.columns.items() if role != "completion"}
        return cls(roles, task.generation)

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs something to continue."""
        (role,) = self.columns
        if role == "messages":
            return [problem_of_asked(chat) for chat in rows[role]]
        return [f"no {role}" if text is None else None for text in rows[role]]

    def _laid_out(self, chat: str | None, layout: Layout) -> object:
        return layout.prompt(chat)

    def packer(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
        """None: prompts stay as they are."""
        return

    @property
    def most(self) -> int:
        """The most tokens to generate."""
        return self.generation.max_new_tokens or NEW_TOKENS

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """input_ids of the prompts' ends, leaving room for what is generated."""
        (role,) = self.columns
        if role == "messages":
            layout = Layout.of(tokenizer)
            whole = layout.special.ids_of([layout.prompt(chat) for chat in rows[role]])
            before: list[int] = []
        else:
            texts = [text or "" for text in rows[role]]
            # what a tokenizer puts after a text would end it
            whole = tokenize(tokenizer, texts, None, None, special=False).input_ids.to_pylist()
            before = leading_tokens(tokenizer)
        room = max(1, max_length - len(before) - min(self.most, max_length // 2))
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        first = [eos if bos is None else bos]
        ids = [before + row[-room:] or first for row in whole]  # nothing at all cannot be continued
        cut = sum(len(row) > room for row in whole)
        columns = {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "length": pa.array([len(row) for row in ids], pa.int32()),
        }
        return Features(columns, np.arange(len(ids)), cut)

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """0: nothing is scored."""
        return np.zeros(len(rows), dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids and attention_mask, padded on the left, so that every row continues at one position."""
        import torch

        left = Padding(pad.token, pad.multiple, side="left")
        ids = table.lists("input_ids", rows)
        return {
            "input_ids": torch.from_numpy(left.fill(ids, pad.token)),
            "attention_mask": torch.from_numpy(left.fill([np.ones_like(i) for i in ids], 0)),
        }

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """The ids of the model's continuation, the same for the same prompt: nothing is sampled."""
        width = batch["input_ids"].shape[1]
        positions = positions_of(model.config) or 10**9
        wanted = self.generation.model_dump(exclude={"max_new_tokens"}, exclude_none=True)
        if self.generation.num_beams == 1:
            wanted.pop("length_penalty", None)
        most = max(1, min(self.most, positions - width))
        whole = model.generate(**batch, do_sample=False, max_new_tokens=most, **wanted)
        return list(whole[:, width:].cpu().numpy()), 0.0

    def written(self, scored: Scored) -> dict[str, Any]:
        """`prediction`: the text after each prompt, without special tokens and white space around it."""
        return {"prediction": decoded(scored.tokenizer, scored.outputs)}
