"""The fewest settings that `finetune run` accepts, and what it says to those that it refuses."""

from __future__ import annotations

import pytest

from job.commands import TRAINING
from job.errors import SettingsError
from job.settings import Settings, load

COMPLETE = {
    "FINETUNE_OUTPUT": "s3://bucket/models",
    "FINETUNE_DATA__TRAIN": "s3://bucket/train.csv",
    "FINETUNE_MODEL__NAME": "org/model",
}


def loaded(**given: str) -> Settings:
    """COMPLETE with these settings, named without FINETUNE_, and checked as `finetune run` does."""
    named = {f"FINETUNE_{name}": value for name, value in given.items()}
    return load({**COMPLETE, **named}, rules=TRAINING).settings


def refused(match: str, **given: str) -> None:
    """The same for settings that are wrong, with words for what is wrong."""
    with pytest.raises(SettingsError, match=match) as caught:
        loaded(**given)
    assert caught.value.exit_code == 78
