"""What makes two runs, data sets, evaluations, predictions, tokenizers and launches the same.

Each is a fingerprint over everything that decides the result, and over nothing else. Package versions
are left out, since a release must not prepare, train and score everything again; for the same reason
a setting counts only where it differs from its default (`relevant`). What is hashed, and in which
order, is therefore a contract with every store that holds earlier results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job import models
from job.data.artifacts import Inputs, fingerprint
from job.models.base import Base
from job.settings import Settings, relevant
from job.stages.encode import ENCODE_VERSION
from job.store import resolve
from job.uris import Uri

ROWS = ("task", "data", "clean", "encode")
"""The settings that decide which rows there are, and what they are as tokens."""


def run_id(settings: Settings, inputs: Inputs) -> str:
    """The id of a run that was given none: 12 hex digits."""
    return fingerprint([relevant(settings), inputs.identities()])[:12]


def dataset(
    settings: Settings,
    inputs: Inputs,
    base: Base,
    gate: Mapping[str, str] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> str:
    """Encoded rows: the data, what is done to it, the tokenizer, and what the gate holds back; 16 hex
    digits.

    Args:
        gate: each part that is held back, the oldest first, and the data set that holds its rows out
            already. To that one the part changes nothing: so the same data and settings find their data
            set again after its test rows have become a part of the gate.
        origin: the version that training goes on from, and what of its rows is left out for that.
    """
    what = [
        ENCODE_VERSION,
        inputs.identities(),
        _sections(settings, *ROWS),
        [settings.model.problem_type, base.labels, base.max_length],
        models.tokenizer_sha256(base.tokenizer),
        _draw(settings),
    ]
    if slices := settings.evaluate.slice_columns:
        what.append({"slices": slices})
    if origin is not None:
        what.append(dict(origin))
    made, held = fingerprint(what), list[str]()
    for part, brought_by in (gate or {}).items():
        if brought_by != made:
            held.append(part)
            made = fingerprint([*what, {"gate": held}])
    return made


def tokenizer(settings: Settings, inputs: Inputs, base: str | None) -> str:
    """A tokenizer that is trained on the inputs' texts; 16 hex digits.

    Args:
        base: what identifies the tokenizer that is trained anew, or that the report compares with.
    """
    sections = _sections(settings, "data", "clean", "tokenizer")
    return fingerprint([inputs.identities(), *sections, base, _draw(settings)])


def evaluation(settings: Settings, inputs: Inputs, base: Base) -> str:
    """The scores of a trained model on the inputs; 16 hex digits."""
    return _use(settings, inputs, base)


def predictions(settings: Settings, inputs: Inputs, base: Base) -> str:
    """What a trained model predicts for the inputs; 16 hex digits.

    The settings of PREDICT are left out: those that change the files are compared one by one.
    """
    return _use(settings, inputs, base)


def predictor(settings: Settings, base: Base) -> str:
    """What makes a prediction, whatever the rows: the model and how rows are put to it; 16 hex digits."""
    return _use(settings, Inputs(()), base)


def launch(settings: Settings, inputs: Inputs, image: str) -> str:
    """Whether there is reason to train again: settings, data, a model in a bucket, and the image."""
    files = [list(item) for item in model_files(settings)]
    return fingerprint([relevant(settings), inputs.identities(), files, image])


def model_files(settings: Settings) -> list[tuple[str, str]]:
    """The files of a base model and of a tokenizer that lie in a bucket: their keys and identities.

    Another model's champion counts by its version. This model's own does not count: each promotion
    would be a reason to train.
    """
    places = (settings.model.name, settings.model.tokenizer or Uri(""))
    return [
        (item.key, item.identity)
        for place in places
        if place.scheme == "s3" and place.of_champion != settings.output / settings.name
        for _, item in resolve(models.version_in_use(place).folder)
    ]


def _use(settings: Settings, inputs: Inputs, base: Base) -> str:
    """Over every setting: a task reads some of TRAIN and the seed to score as well, such as weights of
    classes and masks, and to score once too often is cheaper than to take another's scores."""
    return fingerprint(
        [
            ENCODE_VERSION,
            inputs.identities(),
            base.place.identity,
            models.tokenizer_sha256(base.tokenizer),
            base.max_length,
            relevant(settings),
        ]
    )


def _draw(settings: Settings) -> int | None:
    """The seed, where it decides which rows there are."""
    drawn = settings.clean.sample or any(source.weight % 1 for source in settings.data.train)
    return settings.seed if drawn else None


def _sections(settings: Settings, *names: str) -> list[object]:
    """The values that are not left at their defaults, a mapping each; None where all are."""
    values = relevant(settings)
    return [values.get(name) for name in names]
