"""How many tokens a model takes, as its config tells."""

from __future__ import annotations

from typing import Any

COUNTED_FROM_PADDING = frozenset(
    {
        "altclip_text_model",
        "bridgetower_text_model",
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
"""Model types that count positions from the padding token's id on, and have rows for those before it."""


def positions_of(config: Any) -> int | None:
    """How many tokens have a position; None where there is no bound, which XLNet writes as -1."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None) or 0
    if config.model_type in COUNTED_FROM_PADDING:
        positions -= 1 + (config.pad_token_id or 0)
    return positions if positions > 0 else None
