"""Text to token ids with a fast tokenizer, straight into Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.data.arrow import list_column
from job.tasks.special_tokens import SpecialTokens, backend_of
from job.tasks.types import Batch, Ints

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from job.data.arrow import MappedTable


@dataclass(frozen=True)
class Tokens:
    """A batch of token rows."""

    input_ids: pa.ListArray
    """list<int32>, one list per row."""
    token_type_ids: pa.ListArray | None
    """list<int8>, where the model reads them."""
    lengths: pa.Array
    """int32, tokens of each row, special ones included."""
    cut: npt.NDArray[np.bool_]
    """Whether each row was cut, shape (rows,)."""

    @property
    def truncated(self) -> int:
        """Rows that were cut."""
        return int(self.cut.sum())


def tokenize(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int | None,
    *,
    special: bool = True,
) -> Tokens:
    """Texts, or pairs of texts, with the tokenizer's special tokens around them or without.

    Without `max_length` nothing is cut. Of a pair that is too long, the longer text is cut first, on
    the tokenizer's own side.
    The backend is called directly, because transformers' own call computes character offsets too,
    which nobody here reads.
    """
    backend, readable = backend_of(tokenizer), SpecialTokens(tokenizer).readable
    if max_length is None:
        backend.no_truncation()
    else:
        side = tokenizer.truncation_side
        backend.enable_truncation(max_length, strategy="longest_first", direction=side)
    backend.no_padding()
    firsts = readable(texts)
    encodings = backend.encode_batch_fast(
        firsts if pairs is None else list(zip(firsts, readable(pairs), strict=True)),
        add_special_tokens=special,
    )
    backend.no_truncation()  # a tokenizer is saved with what is set
    lengths = np.fromiter((len(e) for e in encodings), dtype=np.int32, count=len(encodings))
    types = "token_type_ids" in tokenizer.model_input_names
    return Tokens(
        input_ids=_column(encodings, "ids", lengths, np.int32),
        token_type_ids=_column(encodings, "type_ids", lengths, np.int8) if types else None,
        lengths=pa.array(lengths),
        cut=np.array([bool(e.overflowing) for e in encodings], bool),
    )


def _column(
    encodings: Sequence[Any], name: str, lengths: Ints, dtype: type[np.generic]
) -> pa.ListArray:
    """One attribute of every encoding, a list per row."""
    every = chain.from_iterable(getattr(encoding, name) for encoding in encodings)
    return list_column(np.fromiter(every, dtype, count=int(lengths.sum())), lengths)


def inputs_of(table: MappedTable, rows: Rows, pad: Padding) -> Batch:
    """input_ids, attention_mask and token_type_ids of encoded rows, padded, as int64 tensors."""
    import torch

    ids = table.lists("input_ids", rows)
    batch = {
        "input_ids": torch.from_numpy(pad.fill(ids, pad.token)),
        "attention_mask": torch.from_numpy(pad.fill([np.ones_like(i) for i in ids], 0)),
    }
    if "token_type_ids" in table.names:
        types = table.lists("token_type_ids", rows)
        batch["token_type_ids"] = torch.from_numpy(pad.fill(types, 0))
    return batch
