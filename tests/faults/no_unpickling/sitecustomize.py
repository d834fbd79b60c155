"""On the path of the tests' pods: whatever unpickles there, as torch would what other ranks send, ends the process."""

from __future__ import annotations

import os
import pickle
from typing import Any


class _Refusing(pickle.Unpickler):
    def load(self) -> Any:
        os.write(2, b"something was unpickled\n")
        os._exit(70)


pickle.Unpickler = _Refusing  # type: ignore[misc] # in place of the library's own
