"""Whom a new champion is told to, and by what they know that it is us."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from job.settings import Publish, load, recorded
from job.settings.rules import mistakes
from job.settings.show import effective
from tests.support.samples import settings_of

LONG = "0123456789abcdef01234567"


def key(length: int) -> str:
    return f"whsec_{base64.b64encode(b'k' * length).decode()}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, None),
        ({"webhook_secret": LONG}, None),
        ({"webhook": "https://h/x", "webhook_secret": LONG}, None),
        ({"webhook": "http://h:8080", "webhook_secret": key(24)}, None),
        ({"webhook": "https://h/x"}, "WEBHOOK_SECRET is not set"),
        ({"webhook": "s3://b/x", "webhook_secret": LONG}, "=s3://b/*** is not a web address"),
        ({"webhook": "h/x", "webhook_secret": LONG}, "=h/x is not a web address"),
        ({"webhook": "ftp://h", "webhook_secret": LONG}, "the scheme ftp:// is not known"),
        ({"webhook": "https://h", "webhook_secret": key(18)}, "holds 18 bytes"),
        ({"webhook": "https://h", "webhook_secret": "whsec_" + "*" * 32}, "is not base64"),
    ],
)
def test_what_is_refused(given: dict[str, Any], said: str | None) -> None:
    found = mistakes(settings_of(publish=Publish.model_validate(given)), ["webhook"])
    assert len(found) == (said is not None)
    assert (said or "") in "".join(found)


def test_neither_the_secret_nor_the_path_of_the_address_is_shown() -> None:
    loaded = load(
        {
            "FINETUNE_PUBLISH__WEBHOOK": "https://me:password@hooks.example.com:8443/T0/a-path?q=1",
            "FINETUNE_PUBLISH__WEBHOOK_SECRET": LONG,
        }
    )
    shown = effective(loaded) + loaded.settings.model_dump_json()
    assert '"https://hooks.example.com:8443/***"' in effective(loaded)
    for hidden in (LONG, "a-path", "password"):
        assert hidden not in shown
    assert "publish" not in recorded(loaded.settings)
