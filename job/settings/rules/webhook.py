"""Mistakes in whom a new champion is told to."""

from __future__ import annotations

from collections.abc import Iterator

from job.errors import SettingsError
from job.settings.sections.training import Publish
from job.settings.tree import Settings

VARIABLE = "FINETUNE_PUBLISH__WEBHOOK_SECRET"
KEY_BYTES = 24
"""The shortest key, as Standard Webhooks has it."""


def webhook(settings: Settings) -> Iterator[str]:
    """An address that nobody can be told at, or a secret that is missing or not one."""
    yield from unusable(settings.publish)


def unusable(publish: Publish) -> Iterator[str]:
    """Why a webhook cannot be told; nothing where it can, or where there is none."""
    if not publish.webhook:
        return
    try:
        publish.webhook.check()
        scheme = publish.webhook.scheme
    except SettingsError as error:
        yield f"FINETUNE_PUBLISH__WEBHOOK: {error}"
        return
    if scheme not in ("http", "https"):
        shown = publish.webhook.server
        yield f"FINETUNE_PUBLISH__WEBHOOK={shown} is not a web address; write https://…"
    if not publish.webhook_secret.get_secret_value():
        yield (
            f"{VARIABLE} is not set, so that whoever is told could not know by whom; set it to what the "
            "receiver knows too, such as the output of `openssl rand -hex 32`"
        )
        return
    try:
        length = len(publish.signing_key)
    except ValueError:
        yield f"{VARIABLE} begins with whsec_ and goes on with what is not base64; copy it anew"
        return
    if length < KEY_BYTES:
        yield f"{VARIABLE} holds {length} bytes; a key has at least {KEY_BYTES}"
