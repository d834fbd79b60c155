"""Token rows joined and cut into blocks of one length, for language models.

This happens when the data set is encoded, so that the blocks do not depend on the world's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ids = npt.NDArray[np.int32]


class Packer:
    """Joins rows as they come and cuts them into blocks; what is left over waits for the next rows.

    Args:
        block: tokens in a block, including `before` and `after`.
        before: token ids that every block begins with, such as [CLS].
        after: token ids that every block ends with, such as [SEP].
        between: token ids put after each row, such as the end-of-text token.
    """

    def __init__(
        self,
        block: int,
        *,
        before: Sequence[int] = (),
        after: Sequence[int] = (),
        between: Sequence[int] = (),
    ) -> None:
        self.inside = block - len(before) - len(after)
        self.before, self.after = np.array(before, np.int32), np.array(after, np.int32)
        self.between = np.array(between, np.int32)
        self._left: Ids = np.empty(0, np.int32)

    def add(self, rows: pa.ListArray) -> pa.RecordBatch | None:
        """The blocks that these rows fill, None if they fill none."""
        parts: list[Ids] = [self._left]
        offsets, values = rows.offsets.to_numpy(), rows.values.to_numpy()
        for start, end in pairwise(offsets):
            parts += [values[start:end], self.between]
        joined = np.concatenate(parts)
        full = len(joined) // self.inside
        self._left = joined[full * self.inside :]
        return (
            self._blocks(joined[: full * self.inside].reshape(full, self.inside)) if full else None
        )

    def flush(self) -> pa.RecordBatch | None:
        """The last block, which may be shorter than the others; None if nothing is left."""
        left, self._left = self._left, np.empty(0, np.int32)
        return self._blocks(left.reshape(1, -1)) if len(left) else None

    def _blocks(self, inside: Ids) -> pa.RecordBatch:
        count = len(inside)
        before, after = (np.tile(ids, (count, 1)) for ids in (self.before, self.after))
        blocks = np.concatenate([before, inside, after], axis=1)
        width = blocks.shape[1]
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
        ids = pa.ListArray.from_arrays(offsets, pa.array(blocks.reshape(-1)))
        lengths = pa.array(np.full(count, width, np.int32))
        return pa.RecordBatch.from_pydict({"input_ids": ids, "length": lengths})
