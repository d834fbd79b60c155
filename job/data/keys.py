"""Rows known by keys: 64-bit hashes of their text, see `job.stages.clean.splits.key_of`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

_PART = 1_000_000
"""Rows that are looked up at once."""


def among(keys: Keys, wanted: Keys) -> npt.NDArray[np.bool_]:
    """Which keys are among some that are sorted; a part at a time, since places take 8 bytes a key."""
    found = np.zeros(len(keys), np.bool_)
    for start in range(0, len(keys) if len(wanted) else 0, _PART):
        part = slice(start, start + _PART)
        places = np.minimum(np.searchsorted(wanted, keys[part]), len(wanted) - 1)
        found[part] = wanted[places] == keys[part]
    return found
