"""How two pods prove to each other that they know the run's token, which itself is never sent.

Each end draws a number, and shows an HMAC of both numbers under the token. The role is in it too, so
that neither end can be answered with its own words.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

FIRST_POD = "pod 0"
OTHER_POD = "another pod"


def nonce() -> str:
    """A number that nobody has used before."""
    return secrets.token_hex(16)


def of(token: str, role: str, challenge: str, answer: str, node: int | None) -> str:
    """The proof of one end.

    Args:
        role: FIRST_POD or OTHER_POD, whichever shows it.
        challenge: pod 0's number.
        answer: the other pod's number.
        node: the number of the other pod in its world.
    """
    said = json.dumps([role, challenge, answer, node]).encode()
    return hmac.new(token.encode(), said, hashlib.sha256).hexdigest()


def holds(shown: str, token: str, role: str, challenge: str, answer: str, node: int | None) -> bool:
    """Whether what the other end has shown is its proof."""
    expected = of(token, role, challenge, answer, node)
    return hmac.compare_digest(shown.encode(), expected.encode())
