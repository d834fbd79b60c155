"""A webhook: a CloudEvent, posted to a web server, signed, and posted again until the server takes it.

The event is CloudEvents 1.0 in structured mode. The signature is that of Standard Webhooks: its id, the
time of this attempt and the body, by HMAC-SHA256 under a key that the receiver has too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from job.errors import NotDelivered
from job.retry import retrying
from job.uris import Uri

if TYPE_CHECKING:
    import httpx

SECONDS = 60.0
"""For all attempts together; one that is under way then comes to its end."""
ATTEMPT_SECONDS = 10.0
"""For the server to accept a connection, and again for it to answer."""
ATTEMPTS = 20


@dataclass(frozen=True)
class CloudEvent:
    """What happened, by CloudEvents' own names."""

    id: str
    """The same whenever the same is told again: a receiver may go by it."""
    source: str
    """A URI reference."""
    type: str
    subject: str
    time: str
    """When it happened, by RFC 3339."""
    data: Mapping[str, Any]

    def json(self) -> bytes:
        """As it is posted."""
        head = {"specversion": "1.0", "datacontenttype": "application/json"}
        return json.dumps({**head, **asdict(self)}, ensure_ascii=False).encode()


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` holds.

    Args:
        message_id: of `webhook-id`.
        timestamp: of `webhook-timestamp`, in seconds since 1970.
    """
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def deliver(event: CloudEvent, to: Uri, key: bytes, seconds: float = SECONDS) -> None:
    """Post an event until it is taken: any 2xx. No redirect is followed, since what it says is for this
    server alone.

    Args:
        key: signs it.
        seconds: after which it is not posted again.

    Raises:
        NotDelivered: it was not taken.
    """
    import httpx

    body = event.json()

    def post(client: httpx.Client) -> None:
        sent = int(time.time())
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "user-agent": "finetune-job",
            "webhook-id": event.id,
            "webhook-timestamp": str(sent),
            "webhook-signature": signature(key, event.id, sent, body),
        }
        try:
            # what it answers besides the status is not read: it may have no end
            with client.stream("POST", to.secret, content=body, headers=headers) as response:
                _refuse(to, response.status_code)
        except httpx.InvalidURL:  # which quotes a part of it
            raise NotDelivered(f"{to.server} is not an address", passing=False) from None
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            passing = isinstance(error, httpx.TransportError)
            raise NotDelivered(f"{to.server} does not answer ({said})", passing=passing) from None

    with httpx.Client(timeout=ATTEMPT_SECONDS) as client:
        retrying(lambda: post(client), _passes, ATTEMPTS, seconds)


def _passes(error: BaseException) -> bool:
    return isinstance(error, NotDelivered) and error.passing


def _refuse(to: Uri, status: int) -> None:
    if status // 100 != 2:
        passing = status in (408, 425, 429) or status >= 500
        raise NotDelivered(f"{to.server} answers HTTP {status}", passing=passing)
