"""What differs between a run and now, of what is known of both."""

from __future__ import annotations

from typing import Any

import pytest

from job.data.artifacts import Input
from job.runs.change import Basis, Changes
from job.settings import Data, Settings, Train, recorded

SETTINGS = recorded(Settings(data=Data.model_validate({"train": "s3://raw/*.csv"})))


def rows(name: str, etag: str = "e", **more: Any) -> Input:
    return Input("train", f"s3://raw/{name}", 10, etag, **more)


THEN = Basis(SETTINGS, (rows("a"), rows("b"), rows("c")), (("base/model", "1"),), "job:1")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (THEN, ""),
        (Basis(SETTINGS), ""),
        (Basis(SETTINGS, (rows("c"), rows("b"), rows("a"))), ""),
        (Basis(SETTINGS, tuple(rows(name, weight=2.0) for name in "abc")), ""),
        (Basis(SETTINGS, (rows("a"), rows("b", "f"))), "1 object is no longer the same (s3://raw/b); 1 object is gone (s3://raw/c)"),
        (Basis(SETTINGS, tuple(rows(name) for name in "abcdefghi")), "6 objects are new (s3://raw/d, s3://raw/e, s3://raw/f and 3 more)"),
        (Basis(SETTINGS, model=(("base/model", "2"),)), "the base model has changed (base/model)"),
        (Basis(SETTINGS, image="job:2"), "the image was job:1 and is job:2"),
        (Basis(recorded(Settings(data=Data.model_validate({"train": "s3://raw/*.csv"}), train=Train(epochs=5), seed=7))), "FINETUNE_SEED was 42 and is 7, FINETUNE_TRAIN__EPOCHS was 3.0 and is 5.0"),
    ],
)  # fmt: skip
def test_what_differs(now: Basis, said: str) -> None:
    changes = Changes.between(THEN, now)
    assert str(changes) == said
    assert bool(changes) is bool(said)


def test_a_setting_that_an_earlier_release_did_not_know_was_at_its_default() -> None:
    train = {name: value for name, value in SETTINGS["train"].items() if name != "epochs"}
    then = Basis({**SETTINGS, "train": train, "of_another_release": 1})
    assert not Changes.between(then, Basis(SETTINGS))
    changes = Changes.between(then, Basis({**SETTINGS, "train": {**train, "epochs": 5}}))
    assert changes.settings == {"FINETUNE_TRAIN__EPOCHS": (3.0, 5)}


def test_a_signed_address_shows_no_secret() -> None:
    def basis(uri: str) -> Basis:
        return Basis(recorded(Settings(data=Data.model_validate({"train": uri}))))

    said = str(Changes.between(basis("https://h/a?token=first-secret"), basis("https://me:pw@h/b")))
    assert "FINETUNE_DATA__TRAIN was" in said
    assert "first-secret" not in said
    assert "pw" not in said
