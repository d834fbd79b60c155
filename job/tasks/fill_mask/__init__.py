"""fill-mask: masked language modeling (Devlin et al. 2018, arXiv 1810.04805, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from job.batching import Rows
from job.batching.padding import Padding
from job.errors import SettingsError
from job.settings.protocols import HasData, HasSeed, HasTrain
from job.tasks.language_modeling import LanguageModel, loss_and_count, row_losses
from job.tasks.packing import Packer
from job.tasks.row_rules import Columns
from job.tasks.special_tokens import obeyed
from job.tasks.tokens import tokenize
from job.tasks.types import IGNORED, Batch, Features, Floats, Outputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

Ids = npt.NDArray[np.int64]

MASKED, RANDOM = 0.8, 0.1
"""The fractions of the chosen tokens that become the mask token and a random token; the rest stay as
they are."""


class _Settings(HasData, HasTrain, HasSeed, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class FillMask(LanguageModel):
    """Predicts hidden tokens; which ones are hidden is drawn afresh each epoch."""

    columns: Mapping[str, str]
    probability: float = 0.15
    whole_words: bool = False
    seed: int = 0
    mask_id: int = -1
    special_ids: tuple[int, ...] = ()
    continuation_ids: tuple[int, ...] = ()
    """Tokens that continue a word."""
    vocabulary: int = 0

    name = "fill-mask"
    auto_class = "AutoModelForMaskedLM"
    peft_type = "FEATURE_EXTRACTION"
    text_roles = ("text",)

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        train = settings.train
        roles = {"text": settings.data.columns.text}
        return cls(roles, train.mask_probability, train.whole_word_mask, settings.seed)

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs a text."""
        return ["no text" if text is None else None for text in rows["text"]]

    # -- fitting ---------------------------------------------------------------------------------

    def configure_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Checks that there is a mask token.

        Raises:
            SettingsError: the tokenizer has none.
        """
        if tokenizer.mask_token_id is None:
            raise SettingsError(
                "the task fill-mask needs a tokenizer with a mask token, and this one has none",
                hint="take a masked language model such as BERT or RoBERTa, or FINETUNE_TASK=text-generation",
            )

    @property
    def facts(self) -> dict[str, Any]:
        """The token ids that masking needs."""
        return {
            "mask_id": self.mask_id,
            "special_ids": list(self.special_ids),
            "continuation_ids": list(self.continuation_ids),
            "vocabulary": self.vocabulary,
        }

    def restored(self, facts: Mapping[str, Any]) -> FillMask:
        """The task with the token ids that the data set was encoded with."""
        return replace(
            self,
            mask_id=facts["mask_id"],
            special_ids=tuple(facts["special_ids"]),
            continuation_ids=tuple(facts["continuation_ids"]),
            vocabulary=facts["vocabulary"],
        )

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast,
    ) -> FillMask:
        """The task with the tokenizer's mask token."""
        return replace(
            self,
            mask_id=int(tokenizer.mask_token_id),
            special_ids=tuple(sorted(tokenizer.all_special_ids)),
            continuation_ids=_continuations(tokenizer),
            vocabulary=len(tokenizer),
        )

    # -- features --------------------------------------------------------------------------------

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """Token ids without special tokens, which `packer` adds to the blocks."""
        tokens = tokenize(tokenizer, [t or "" for t in rows["text"]], None, None, special=False)
        return Features({"input_ids": tokens.input_ids}, np.arange(len(rows["text"])))

    def packer(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Packer | None:
        """Blocks laid out as the tokenizer lays out a sentence, with a separator between texts."""
        before, after = self.around(tokenizer)
        between = [tokenizer.sep_token_id] if tokenizer.sep_token_id is not None else []
        return Packer(max_length, before=before, after=after, between=between)

    def around(self, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
        """The ids of the special tokens that the tokenizer puts before a text and after it."""
        with obeyed(tokenizer):
            ids = tokenizer.encode(str(tokenizer.mask_token))
        at = ids.index(self.mask_id)
        return ids[:at], ids[at + 1 :]

    # -- masking ---------------------------------------------------------------------------------

    def chosen(self, ids: Ids, row: int, epoch: int) -> npt.NDArray[np.bool_]:
        """Which of a row's tokens are to be predicted in an epoch, shape (tokens,)."""
        can = ~np.isin(ids, self.special_ids)
        draws = np.random.default_rng([self.seed, epoch + 1, row, 0]).random(len(ids))
        if self.whole_words:
            # the draw of a word's first token decides for all of the word
            first = can & ~np.isin(ids, self.continuation_ids)
            starts = np.maximum.accumulate(np.where(first, np.arange(len(ids)), 0))
            draws = draws[starts]
        chosen: npt.NDArray[np.bool_] = can & (draws < self.probability)
        if not chosen.any() and can.any():
            chosen = can & (draws == draws[can].min())
        return chosen

    def masked(self, ids: Ids, row: int, epoch: int) -> tuple[Ids, Ids]:
        """A row's input ids with tokens hidden, and its labels, IGNORED where nothing is hidden."""
        chosen = self.chosen(ids, row, epoch)
        random = np.random.default_rng([self.seed, epoch + 1, row, 1])
        action, words = random.random(len(ids)), random.integers(0, self.vocabulary, len(ids))
        hidden = np.where(
            action < MASKED, self.mask_id, np.where(action < MASKED + RANDOM, words, ids)
        )
        return np.where(chosen, hidden, ids), np.where(chosen, ids, IGNORED)

    # -- loss ------------------------------------------------------------------------------------

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The number of chosen tokens."""
        ids = zip(table.lists("input_ids", rows), rows.tolist(), strict=True)
        counts = [self.chosen(np.asarray(i, np.int64), row, epoch).sum() for i, row in ids]
        return np.array(counts, dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids with masks, attention_mask, labels."""
        import torch

        ids = table.lists("input_ids", rows)
        pairs = [
            self.masked(i.astype(np.int64), int(r), epoch) for i, r in zip(ids, rows, strict=True)
        ]
        labels = pad.fill([label for _, label in pairs], IGNORED)
        return {
            "input_ids": torch.from_numpy(pad.fill([i for i, _ in pairs], pad.token)),
            "attention_mask": torch.from_numpy(pad.fill([np.ones_like(i) for i, _ in pairs], 0)),
            "labels": torch.from_numpy(labels),
        }

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Each block's loss and number of chosen tokens."""
        losses = row_losses(self.forward(model, batch).logits, batch["labels"])
        return loss_and_count(losses, batch["labels"]), float(losses.sum())


def _continuations(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """Tokens that continue a word: WordPiece marks these, other models mark where words begin."""
    words = tokenizer.get_vocab()
    if any(word.startswith("##") for word in words):
        return tuple(sorted(i for word, i in words.items() if word.startswith("##")))
    return tuple(sorted(i for word, i in words.items() if not word.startswith(("Ġ", "▁"))))
