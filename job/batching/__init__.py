"""Which rows make up a step and a micro-batch, and how they are padded: pure functions, no torch."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
"""Numbers of rows of a table, shape (rows,)."""

Lengths = npt.NDArray[np.int64]
"""The number of tokens of each row, shape (rows,)."""
