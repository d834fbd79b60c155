"""Mistakes in where a model comes from and where it goes: OUTPUT, MODEL and PUBLISH."""

from __future__ import annotations

import re
from collections.abc import Iterator

from job.errors import SettingsError
from job.settings.rules.evaluate import metric, slices
from job.settings.tree import Settings
from job.uris import Uri


def output(settings: Settings) -> Iterator[str]:
    """The store that everything is written to."""
    if not settings.output:
        yield "FINETUNE_OUTPUT is not set; name an s3://bucket/prefix or a folder"
    elif wrong := list(_uri("FINETUNE_OUTPUT", settings.output)):
        yield from wrong
    elif settings.output.scheme not in ("s3", "file"):
        yield f"FINETUNE_OUTPUT={settings.output} cannot be written to; use s3:// or a folder"


def model(settings: Settings) -> Iterator[str]:
    """The model that is fine-tuned, trained from scratch, scored or used."""
    yield from _origin(settings)
    yield from _adapters(settings)
    yield from _places(settings)
    yield from metric(settings)
    yield from slices(settings)


def trained_model(settings: Settings) -> Iterator[str]:
    """A model that has already been trained."""
    if settings.model.config is not None:
        yield "FINETUNE_MODEL__CONFIG describes a model that has not been trained; set FINETUNE_MODEL__NAME"
    else:
        yield from model(settings)


def _origin(settings: Settings) -> Iterator[str]:
    model = settings.model
    if model.config is not None:
        if model.name:
            yield "FINETUNE_MODEL__NAME and FINETUNE_MODEL__CONFIG exclude each other; unset one"
        if not model.tokenizer:
            yield "FINETUNE_MODEL__CONFIG needs FINETUNE_MODEL__TOKENIZER; name a folder or s3:// prefix"
        if "model_type" not in model.config:
            yield 'FINETUNE_MODEL__CONFIG has no model_type; write {"model_type": "gpt2", …}'
    elif not model.name:
        yield "FINETUNE_MODEL__NAME is not set; name a Hub id, a folder or an s3:// prefix"


def _adapters(settings: Settings) -> Iterator[str]:
    model = settings.model
    if not settings.publish.merge and (model.lora is None or model.config is not None):
        yield (
            "FINETUNE_PUBLISH__MERGE=false publishes LoRA adapters for an existing model; "
            "set FINETUNE_MODEL__LORA and FINETUNE_MODEL__NAME, or leave MERGE true"
        )


def _places(settings: Settings) -> Iterator[str]:
    model = settings.model
    places = {
        "FINETUNE_MODEL__NAME": model.name,
        "FINETUNE_MODEL__TOKENIZER": model.tokenizer or Uri(""),
    }
    if wrong := [line for setting, uri in places.items() for line in _uri(setting, uri)]:
        yield from wrong
    elif model.trust_remote_code:
        if any(uri.scheme == "s3" for uri in places.values()):
            yield "FINETUNE_MODEL__TRUST_REMOTE_CODE is refused for files from a bucket; unset it"
        elif not re.fullmatch(r"[0-9a-f]{40}", model.revision or ""):
            yield (
                "FINETUNE_MODEL__TRUST_REMOTE_CODE needs FINETUNE_MODEL__REVISION to be a full commit "
                "hash (40 hex digits), so that the code that was read is the code that runs"
            )


def _uri(setting: str, uri: Uri) -> Iterator[str]:
    try:
        uri.check()
    except SettingsError as error:
        yield f"{setting}: {error}"
