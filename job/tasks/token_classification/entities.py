"""Tokens' probabilities to entities in text, as transformers' token-classification pipeline does it.

The same as `pipeline("token-classification", aggregation_strategy="first")`: the tokens of a word,
as the pipeline sees words (a WordPiece token that does not begin with `##` begins one, and so does
punctuation), take the label of the first of them; neighbouring words of one label are an entity, and
B- begins one. The pipeline does not know BIOES: what E- and S- mark is an entity of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.tasks.token_classification.sentences import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


ENTITY = pa.struct(
    [
        ("entity_group", pa.string()),
        ("score", pa.float32()),
        ("word", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
    ]
)


@dataclass(frozen=True)
class _Word:
    label: str
    score: float
    text: str
    start: int
    end: int


def entities_of(
    text: str, tokens: Tokens, labels: Sequence[str], tokenizer: PreTrainedTokenizerFast
) -> list[dict[str, Any]]:
    """The entities of a text: entity_group, score (a probability), word, start and end in characters."""
    groups: list[list[_Word]] = []
    for word in _words(text, tokens, labels, tokenizer):
        letter, name = _split(word.label)
        if groups and letter != "B" and name == _split(groups[-1][-1].label)[1]:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        {
            "entity_group": group[0].label.split("-", 1)[-1],
            "score": float(np.mean([word.score for word in group])),
            "word": tokenizer.convert_tokens_to_string([word.text for word in group]),
            "start": group[0].start,
            "end": group[-1].end,
        }
        for group in groups
        if group[0].label.split("-", 1)[-1] != "O"
    ]


def _split(label: str) -> tuple[str, str]:
    """The letter and the type; what begins with neither B- nor I- continues its like."""
    return (label[0], label[2:]) if label.startswith(("B-", "I-")) else ("I", label)


def _words(
    text: str, tokens: Tokens, labels: Sequence[str], tokenizer: PreTrainedTokenizerFast
) -> Iterator[_Word]:
    pieces, continues = _pieces(text, tokens, tokenizer)
    begins = [i for i, later in enumerate(continues) if not later or i == 0]
    for start, end in zip(begins, [*begins[1:], len(pieces)], strict=True):
        scores = tokens.probabilities[start]
        best = int(scores.argmax())
        yield _Word(
            labels[best],
            float(scores[best]),
            tokenizer.convert_tokens_to_string(pieces[start:end]),
            int(tokens.starts[start]),
            int(tokens.ends[end - 1]),
        )


def _pieces(
    text: str, tokens: Tokens, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[str], list[bool]]:
    """The tokens' own names, and whether each continues a word."""
    model = tokenizer.backend_tokenizer.model
    marked = bool(getattr(model, "continuing_subword_prefix", None))
    pieces: list[str] = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
    continues = []
    bounds = zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)
    for i, (start, end) in enumerate(bounds):
        if tokens.ids[i] == tokenizer.unk_token_id:
            pieces[i] = text[start:end]
            continues.append(False)
        elif marked:
            continues.append(len(pieces[i]) != end - start)
        else:
            continues.append(start > 0 and " " not in text[start - 1 : start + 1])
    return pieces, continues
