"""text-generation: causal language modeling on plain text, prompts with completions, or chats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.errors import SettingsError
from job.settings import Generation
from job.settings.protocols import HasData, HasEvaluate
from job.tasks.language_modeling import (
    LanguageModel,
    continued,
    decoded,
    forget_lengths,
    leading_tokens,
    loss_and_count,
    row_losses,
)
from job.tasks.packing import Packer
from job.tasks.row_rules import Columns
from job.tasks.scorers import Scorer, share_of
from job.tasks.text_generation.chats import Layout, Refused, messages_of, problem_of_answered
from job.tasks.tokens import inputs_of, tokenize
from job.tasks.types import IGNORED, Batch, Features, Floats, Outputs, Scored

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


Ids = list[list[int]]


class _Settings(HasData, HasEvaluate, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class TextGeneration(LanguageModel):
    """Predicts each token from those before it; in prompts and chats, only the completion's."""

    columns: Mapping[str, str]
    generation: Generation = field(default_factory=Generation)
    """For prompts without completions; see job.tasks.text_generation.predicting."""

    name = "text-generation"
    auto_class = "AutoModelForCausalLM"
    peft_type = "CAUSAL_LM"

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """The task with the roles whose columns are set: messages, or prompt and completion, or text."""
        columns = settings.data.columns
        if columns.messages:
            roles = {"messages": columns.messages}
        elif columns.prompt:
            roles = {"prompt": columns.prompt, "completion": columns.completion or "completion"}
        else:
            roles = {"text": columns.text}
        return cls(roles, settings.evaluate.generation)

    @property
    def text_roles(self) -> tuple[str, ...]:
        """`text`, or `prompt` and `completion`, or `messages`."""
        return tuple(self.columns)

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """Messages, which are JSON, are left as they are."""
        return ("messages",) if "messages" in self.columns else ()

    @property
    def plain(self) -> bool:
        """Whether rows are plain text, which is packed into blocks."""
        return "text" in self.columns

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs something to learn: a text, a completion, or an answer of the assistant's."""
        if self.plain:
            return ["no text" if text is None else None for text in rows["text"]]
        if "messages" in self.columns:
            return [problem_of_answered(chat) for chat in rows["messages"]]
        pairs = zip(rows["prompt"], rows["completion"], strict=True)
        return [
            "no prompt"
            if prompt is None
            else None
            if completion and completion.strip()
            else "nothing to learn: the completion is empty; text-generation needs one"
            for prompt, completion in pairs
        ]

    def unreadable(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> list[str | None]:
        """A chat that the tokenizer's template refuses, with the template's own words."""
        if "messages" not in self.columns:
            return [None] * len(next(iter(rows.values())))
        layout = Layout.of(tokenizer)
        return [self._refusal(chat, layout) for chat in rows["messages"]]

    def _refusal(self, chat: str | None, layout: Layout) -> str | None:
        try:
            self._laid_out(chat, layout)
        except Refused as error:
            return f"the chat template refuses it: {error}"
        return None

    def _laid_out(self, chat: str | None, layout: Layout) -> object:
        return layout.halves(chat)

    def texts_of(self, rows: Columns) -> list[str]:
        """The contents of a chat's messages, joined, or the text roles."""
        if "messages" not in self.columns:
            return super().texts_of(rows)
        chats = [messages_of(chat) for chat in rows["messages"]]
        return [" ".join(message.get("content") or "" for message in chat) for chat in chats]

    # -- features --------------------------------------------------------------------------------

    def configure_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Checks that the tokenizer can end a text, and can lay out a chat where there are chats.

        Raises:
            SettingsError: it cannot.
        """
        if tokenizer.eos_token_id is None:
            raise SettingsError(
                "the task text-generation needs a tokenizer with an end-of-text token (eos_token)",
                hint="take a causal language model such as GPT-2, or add eos_token to its "
                "tokenizer_config.json",
            )
        if "messages" in self.columns and not tokenizer.chat_template:
            raise SettingsError(
                "the column of messages needs a tokenizer with a chat template, and this one has none",
                hint="take a chat model's tokenizer, or use FINETUNE_DATA__COLUMNS__PROMPT and __COMPLETION",
            )

    def configure_generation(self, generation: Any, config: Any) -> None:
        """Lets texts be as short as the model makes them; how it samples stays its own."""
        forget_lengths(generation)

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """Plain text: input_ids, for `packer`. Otherwise also labels, IGNORED for the prompt."""
        if self.plain:
            tokens = tokenize(tokenizer, [t or "" for t in rows["text"]], None, None, special=False)
            return Features({"input_ids": tokens.input_ids}, np.arange(len(rows["text"])))
        asked, answers = self._halves(rows, tokenizer)
        # a chat template writes its special tokens itself; one more after the prompt would end it
        before = [] if "messages" in self.columns else leading_tokens(tokenizer)
        end = [] if "messages" in self.columns else [tokenizer.eos_token_id]
        cut, ids, labels = 0, [], []
        for prompt, answer in zip(asked, answers, strict=True):
            cut += len(before) + len(prompt) + len(answer) + len(end) > max_length
            # an answer is worth more than the beginning of a long prompt
            learned = (answer + end)[: max(1, max_length - 1)]
            room = max_length - len(learned)
            rest = prompt[max(0, len(prompt) - max(0, room - len(before))) :]
            given = (before + rest)[-room:]
            ids.append(given + learned)
            labels.append([IGNORED] * len(given) + learned)
        columns = {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "labels": pa.array(labels, pa.list_(pa.int32())),
            "length": pa.array([len(i) for i in ids], pa.int32()),
        }
        return Features(columns, np.arange(len(ids)), cut)

    def _halves(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> tuple[Ids, Ids]:
        """The token ids of what is given, and of what is to be learned."""
        if "prompt" in self.columns:
            sides = [[text or "" for text in rows[role]] for role in ("prompt", "completion")]
            tokens = [tokenize(tokenizer, side, None, None, special=False) for side in sides]
            return tokens[0].input_ids.to_pylist(), tokens[1].input_ids.to_pylist()
        layout = Layout.of(tokenizer)
        halves = [layout.halves(chat) for chat in rows["messages"]]
        prompts, completions = zip(*halves, strict=True) if halves else ((), ())
        return layout.special.ids_of(prompts), layout.special.ids_of(completions)

    def packer(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Packer | None:
        """Blocks of plain texts, with the end-of-text token between texts."""
        return Packer(max_length, between=[tokenizer.eos_token_id]) if self.plain else None

    # -- loss ------------------------------------------------------------------------------------

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The number of predicted tokens; the first one never is."""
        if "labels" not in table.names:
            return (table.column("length")[rows] - 1).astype(np.float32)
        labels = table.lists("labels", rows)
        return np.array([(label[1:] != IGNORED).sum() for label in labels], dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, and labels, already moved one token to the left."""
        import torch

        # on the right, whatever the tokenizer's side: each token sees those before it alone
        pad = replace(pad, side="right")
        batch = inputs_of(table, rows, pad)
        batch.pop("token_type_ids", None)
        labels = table.lists("labels" if "labels" in table.names else "input_ids", rows)
        moved = [np.append(label[1:], IGNORED) for label in labels]
        filled = pad.fill(moved, IGNORED)
        batch["labels"] = torch.from_numpy(filled)
        return batch

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Each row's loss and number of predicted tokens, followed, for prompts, by the ids of the
        model's greedy continuation."""
        losses = row_losses(self.forward(model, batch).logits, batch["labels"])
        outputs = loss_and_count(losses, batch["labels"])
        if not self.plain:
            answers = continued(model, batch)
            outputs = [np.append(o, a) for o, a in zip(outputs, answers, strict=True)]
        return outputs, float(losses.sum())

    def metrics(self, scored: Scored) -> dict[str, float]:
        """Perplexity over the predicted tokens; for prompts also the fraction answered to the letter."""
        if self.plain:
            return super().metrics(scored)
        return {**super().metrics(scored), "exact_match": float(np.mean(self._exact(scored)))}

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task; where rows are packed, over blocks."""
        if metric == "exact_match" and not self.plain:
            return share_of(self._exact(scored))
        return super().scorer(scored, metric)

    def written(self, scored: Scored) -> dict[str, Any]:
        """Each row's loss and how many tokens it is over; for prompts also the answer and the reference."""
        if self.plain:
            return super().written(scored)
        texts = {"prediction": self._answers(scored), "reference": self._wanted(scored)}
        return {**super().written(scored), **texts}

    def _exact(self, scored: Scored) -> list[bool]:
        pairs = zip(self._answers(scored), self._wanted(scored), strict=True)
        return [answer == wanted for answer, wanted in pairs]

    def counts_tokens(self, metric: str) -> bool:
        """Always: what an answer is compared with is the completion as the tokenizer gives it back."""
        return True

    def _answers(self, scored: Scored) -> list[str]:
        return decoded(scored.tokenizer, [output[2:] for output in scored.outputs])

    def _wanted(self, scored: Scored) -> list[str]:
        labels = scored.table.lists("labels", np.arange(len(scored.table)))
        return decoded(scored.tokenizer, [label[label != IGNORED] for label in labels])
