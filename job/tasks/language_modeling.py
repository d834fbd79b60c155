"""What masked and causal language models have in common: token losses and perplexity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from job.tasks.base import Outputs, Scored

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of a position that is not learned; torch's own cross-entropy skips it."""


def row_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats summed over each row's labels; shapes (rows, tokens, words) and
    (rows, tokens) give (rows,)."""
    from torch.nn import functional

    flat = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=IGNORED,
        reduction="none",
    )
    return flat.view(labels.shape).sum(dim=-1)


def loss_and_count(losses: torch.Tensor, labels: torch.Tensor) -> Outputs:
    """For each row its summed loss and how many labels it is over, shape (2,)."""
    counts = (labels != IGNORED).sum(dim=-1)
    pairs = np.stack([losses.float().cpu().numpy(), counts.cpu().numpy()], axis=-1)
    return list(pairs.astype(np.float64))


def perplexity(scored: Scored) -> dict[str, float]:
    """The exponential of the mean loss a token; a number too large for a float is the largest."""
    sums = np.stack(scored.outputs).sum(axis=0)
    return {"perplexity": math.exp(min(700.0, float(sums[0] / max(1, sums[1]))))}


def written(scored: Scored) -> dict[str, Any]:
    """Each block's loss in nats a token, and its tokens."""
    pairs = np.stack(scored.outputs)
    return {
        "loss": pairs[:, 0] / np.maximum(1, pairs[:, 1]),
        "tokens": pairs[:, 1].astype(np.int64),
    }
