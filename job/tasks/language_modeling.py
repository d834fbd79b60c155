"""What models that predict tokens have in common: losses over tokens, and text from ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching.padding import Padding
from job.tasks.base import Task
from job.tasks.scorers import Float64, Scorer, SumScorer
from job.tasks.types import FIXED, IGNORED, Batch, Outputs, Scored

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


class LanguageModel(Task):
    """A task whose loss is over tokens of the text itself; its rows may be blocks that span texts."""

    default_metric = "loss"
    compared = ("loss",)
    reads_texts_alone = False

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy summed over the predicted tokens."""
        return row_losses(outputs.logits, batch["labels"]).sum()

    def metrics(self, scored: Scored) -> dict[str, float]:
        """Perplexity over the predicted tokens."""
        return perplexity(scored)

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task; where rows are packed, over blocks."""
        return loss_scorer(scored, metric)

    def trials(self, table: MappedTable, rows: MappedTable, count: int) -> list[dict[str, Any]]:
        """The first encoded rows as input ids and labels, as scoring saw them."""
        blocks = []
        for number in range(min(count, len(table))):
            batch = self.collate(table, np.array([number]), Padding(0), FIXED)
            ids, labels = (batch[name][0].tolist() for name in ("input_ids", "labels"))
            blocks.append({"row": number, "input_ids": ids, "labels": labels})
        return blocks

    def written(self, scored: Scored) -> dict[str, Any]:
        """Each encoded row's loss in nats per token, and how many tokens it is over."""
        return loss_columns(scored)


def row_losses(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy in nats summed over each row's labels; shapes (rows, tokens, words) and
    (rows, tokens) give (rows,). `smoothing` is spread evenly over all words."""
    from torch.nn import functional

    flat = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=smoothing,
    )
    return flat.view(labels.shape).sum(dim=-1)


def loss_and_count(losses: torch.Tensor, labels: torch.Tensor) -> Outputs:
    """For each row its summed loss and how many labels it is over, shape (2,)."""
    counts = (labels != IGNORED).sum(dim=-1)
    pairs = np.stack([losses.float().cpu().numpy(), counts.cpu().numpy()], axis=-1)
    return list(pairs.astype(np.float64))


def perplexity(scored: Scored) -> dict[str, float]:
    """The exponential of the mean loss per token, cut off before a float overflows."""
    sums = np.stack([output[:2] for output in scored.outputs]).sum(axis=0)
    return {"perplexity": math.exp(min(700.0, float(_mean_loss(sums[np.newaxis])[0])))}


def loss_scorer(scored: Scored, metric: str) -> SumScorer | None:
    """The `loss` in nats per token, not smoothed, or its `perplexity`, over the encoded rows."""
    from_sums = {"loss": _mean_loss, "perplexity": _perplexity}.get(metric)
    pairs = np.stack([output[:2] for output in scored.outputs]).astype(np.float64)
    return SumScorer(pairs, from_sums) if from_sums else None


def _mean_loss(sums: Float64) -> Float64:
    """From summed losses and numbers of tokens, shape (n, 2)."""
    mean: Float64 = sums[:, 0] / np.maximum(1, sums[:, 1])
    return mean


def _perplexity(sums: Float64) -> Float64:
    return np.exp(np.minimum(700.0, _mean_loss(sums)))


def loss_columns(scored: Scored) -> dict[str, Any]:
    """Each encoded row's `loss` in nats per token, and how many `tokens` it is over."""
    pairs = np.stack([output[:2] for output in scored.outputs])
    return {
        "loss": pairs[:, 0] / np.maximum(1, pairs[:, 1]),
        "tokens": pairs[:, 1].astype(np.int64),
    }


def leading_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The special tokens that the tokenizer puts before a text."""
    ids = tokenizer("a")["input_ids"]
    inside = tokenizer("a", add_special_tokens=False)["input_ids"]
    starts = [i for i in range(len(ids)) if ids[i : i + len(inside)] == inside]
    return list(ids[: starts[0]]) if starts else []


def decoded(tokenizer: PreTrainedTokenizerFast, ids: Sequence[Any]) -> list[str]:
    """Token ids as texts, without special tokens and white space around them."""
    whole = [np.asarray(row).astype(np.int64) for row in ids]
    return [text.strip() for text in tokenizer.batch_decode(whole, skip_special_tokens=True)]


def forget_lengths(generation: Any) -> None:
    """Drop how long a generation config says that texts must be: that was said of what the base learned."""
    for name in ("min_length", "min_new_tokens", "max_time", "exponential_decay_length_penalty"):
        setattr(generation, name, None)


def continued(model: Any, batch: Batch) -> Outputs:
    """The model's greedy continuation of each row's prompt; ids, shape (tokens,), up to the
    end-of-text token or a little beyond the longest completion.

    A prompt ends with the first token that has a label.
    """
    import torch

    asked = (batch["labels"] != IGNORED).int()
    sizes = (asked.argmax(dim=-1) + 1).tolist()
    width, longest = max(sizes), int(asked.sum(dim=-1).max())
    ids = torch.full((len(sizes), width), int(model.config.pad_token_id), device=asked.device)
    mask = torch.zeros_like(ids)
    for row, size in enumerate(sizes):
        # padded on the left, so that every row continues at the same position
        ids[row, width - size :] = batch["input_ids"][row, :size]
        mask[row, width - size :] = 1
    whole = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=longest + 2
    )
    return list(whole[:, width:].cpu().numpy())
