"""What ranks tell each other of a model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from job.scoring.inference import InferenceOutput


def test_outputs_are_the_same_after_they_were_sent() -> None:
    arrays: list[Any] = [
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.float32(0.1),
        np.array([True]),
    ]
    nothing: Any = None
    shares = [
        InferenceOutput([arrays[0], nothing, arrays[2]], {0: 0.1}),
        InferenceOutput([nothing, arrays[1], nothing], {1: 1e-30}),
        InferenceOutput([nothing] * 3, {}),
    ]
    sent = InferenceOutput.merged([InferenceOutput.decode(share.encode()) for share in shares])
    assert sent.losses == {0: 0.1, 1: 1e-30}
    for output, expected in zip(sent.outputs, arrays, strict=True):
        assert output.dtype == expected.dtype
        assert output.shape == expected.shape
        assert (output == expected).all()
