"""What makes two runs, data sets, predictions and launches the same: said once."""

from __future__ import annotations

from job import models
from job.data.artifacts import Inputs, fingerprint
from job.models.base import Base
from job.models.trained import TrainedModel
from job.settings import Settings, relevant
from job.stages.encode import ENCODE_VERSION
from job.store import resolve
from job.uris import scheme_of


def default_run_id(settings: Settings, inputs: Inputs) -> str:
    """12 hex digits of the settings that matter and the data's identities."""
    return fingerprint([relevant(settings), inputs.identities()])[:12]


def dataset_fingerprint(settings: Settings, inputs: Inputs, base: Base) -> str:
    """What decides the encoded rows: the data, what is done to it, and the tokenizer.

    Package versions are no part of it: a release must not prepare every data set again.
    """
    values = relevant(settings)
    drawn = settings.clean.sample or any(source.weight % 1 for source in settings.data.train)
    return fingerprint(
        [
            ENCODE_VERSION,
            inputs.identities(),
            [values.get(section) for section in ("task", "data", "clean", "encode")],
            [settings.model.problem_type, base.labels, base.max_length],
            models.tokenizer_sha256(base.tokenizer),
            settings.seed if drawn else None,
        ]
    )


def inference_fingerprint(trained: TrainedModel, inputs: Inputs, *sections: str) -> str:
    """What decides what a trained model makes of these inputs.

    Args:
        sections: the settings that matter besides those of the task and its rows.
    """
    values, base = relevant(trained.settings), trained.base
    return fingerprint(
        [
            inputs.identities(),
            base.place.identity,
            models.tokenizer_sha256(base.tokenizer),
            base.max_length,
            [values.get(section) for section in ("task", "data", "clean", "encode", *sections)],
        ]
    )


def identity(settings: Settings, inputs: Inputs, image: str) -> str:
    """What decides whether anything has changed: settings, data, a model in a bucket, and the image."""
    places = (settings.model.name, settings.model.tokenizer or "")
    files = [
        [item.key, item.identity]
        for place in places
        if place and scheme_of(place) == "s3"
        for _, item in resolve(place.rstrip("/") + "/")
    ]
    return fingerprint([relevant(settings), inputs.identities(), files, image])
