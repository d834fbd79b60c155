"""A webhook is told by a real request: signed, again until it is taken, and nobody else hears of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Iterator

import pytest

from job import webhook
from job.errors import NotDelivered
from job.uris import Uri
from job.webhook import CloudEvent, deliver, signature
from tests.support.receiver import Receiver, receiver

KEY = b"24 bytes, and some more of it"
EVENT = CloudEvent("id-1", "s3://b/m", "a.type", "v2", "2026-11-26T02:00:00+00:00", {"größer": 1})


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as it:
        yield it


def test_a_cloud_event_is_posted_and_its_signature_holds(server: Receiver) -> None:
    deliver(EVENT, Uri(f"{server.url}/hooks/x"), KEY)
    (request,) = server.requests
    assert request.path == "/hooks/x"
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert request.event == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "s3://b/m",
        "type": "a.type",
        "subject": "v2",
        "time": "2026-11-26T02:00:00+00:00",
        "datacontenttype": "application/json",
        "data": {"größer": 1},
    }
    stamp = request.headers["webhook-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    assert request.headers["webhook-id"] == "id-1"
    signed = b".".join([b"id-1", stamp.encode(), request.body])
    digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # the example of the specification's own libraries
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_is_posted_again_while_that_may_help(server: Receiver) -> None:
    server.answers = [500, 429, 200]
    deliver(EVENT, Uri(server.url), KEY)
    assert [request.event["id"] for request in server.requests] == ["id-1"] * 3


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 410])
def test_a_refusal_is_final_and_no_redirect_is_followed(server: Receiver, status: int) -> None:
    server.answers = [status]
    with pytest.raises(NotDelivered, match=f"answers HTTP {status}; check FINETUNE_PUBLISH__WEBH"):
        deliver(EVENT, Uri(f"{server.url}/secret-path"), KEY)
    assert [request.path for request in server.requests] == ["/secret-path"]


def test_a_slow_answer_is_not_waited_for(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "ATTEMPT_SECONDS", 0.2)
    server.delays = [1.0]
    deliver(EVENT, Uri(server.url), KEY)
    assert len(server.requests) == 2


def test_it_ends_in_time_and_shows_the_server_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = f"http://me:a-password@127.0.0.1:{port}/T0/a-secret-path?token=a-secret-query"
    with pytest.raises(NotDelivered) as caught:
        deliver(EVENT, Uri(where), KEY, seconds=1.0)
    assert str(caught.value).startswith(f"http://127.0.0.1:{port}/*** does not answer (")
    assert "a-" not in str(caught.value).split(";")[0]
