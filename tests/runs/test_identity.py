"""What makes two results the same: pinned, since a release that changed it would retrain the world."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from job.data.artifacts import Input, Inputs
from job.models import Place
from job.models.base import Base
from job.runs import identity
from job.settings import Clean, Data, Encode, Evaluate, Model, Runtime, Settings, Train
from tests.support.samples import settings_of

INPUTS = Inputs(
    (
        Input("train", "s3://raw/a.csv", 100, '"etag":100'),
        Input("test", "s3://raw/b.csv", 10, '"other":10', target=True),
    )
)
TOKENIZER = SimpleNamespace(backend_tokenizer=SimpleNamespace(to_str=lambda: '{"model": "words"}'))
BASE = Base(
    Place("base", Path("base"), "sha256:ab"),
    Place("base", Path("base"), "sha256:ab"),
    config=cast("Any", None),
    tokenizer=cast("Any", TOKENIZER),
    max_length=128,
    labels=("ham", "spam"),
)

USES = {"run", "launch", "evaluation", "predictions", "predictor"}
"""What every setting that decides what is learned or scored is a part of."""


def settings(**sections: Any) -> Settings:
    given: dict[str, Any] = {
        "name": "spam",
        "output": "s3://models",
        "data": Data(train="s3://raw/a.csv"),
        "clean": Clean(lowercase=True),
        "encode": Encode(max_length=128),
        "model": Model(name="base"),
    }
    return settings_of(**{**given, **sections})


def all_of(chosen: Settings, inputs: Inputs = INPUTS) -> dict[str, str]:
    return {
        "run": identity.run_id(chosen, inputs),
        "dataset": identity.dataset(chosen, inputs, BASE),
        "tokenizer": identity.tokenizer(chosen, inputs, "base"),
        "evaluation": identity.evaluation(chosen, inputs, BASE),
        "predictions": identity.predictions(chosen, inputs, BASE),
        "predictor": identity.predictor(chosen, BASE),
        "launch": identity.launch(chosen, inputs, "image:1"),
    }


def test_pinned() -> None:
    assert all_of(settings()) == {
        "run": "1e8bfb8cc897",
        "dataset": "e7c1849aab38203e",
        "tokenizer": "4c404ba29163c64a",
        "evaluation": "137d21f29b4e8328",
        "predictions": "137d21f29b4e8328",
        "predictor": "40d97908f46d4599",
        "launch": "73a8cfa1051afc53",
    }


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"output": "s3://elsewhere", "runtime": Runtime(nodes=2)}, set()),
        ({"train": Train(class_weights={"spam": 2})}, USES),
        ({"evaluate": Evaluate(n_best=5)}, USES),
        (
            {"clean": Clean(lowercase=True, deduplicate=True)},
            {"run", "dataset", "tokenizer", "evaluation", "predictions", "predictor", "launch"},
        ),
        ({"clean": Clean(derive={"text": "{{title}}"})}, {*USES, "dataset", "tokenizer"}),
        ({"seed": 7}, USES),
    ],
)
def test_each_is_over_what_decides_it_and_nothing_else(
    change: dict[str, Any], changed: set[str]
) -> None:
    before, after = all_of(settings()), all_of(settings(**change))
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_seed_decides_rows_that_are_drawn() -> None:
    drawn = {"clean": Clean(sample=0.5)}
    one, other = settings(**drawn), settings(**drawn, seed=7)
    assert identity.dataset(one, INPUTS, BASE) != identity.dataset(other, INPUTS, BASE)
    assert identity.tokenizer(one, INPUTS, None) != identity.tokenizer(other, INPUTS, None)


def test_a_data_set_is_what_the_gate_holds_back_too() -> None:
    def of(**gate: str) -> str:
        return identity.dataset(settings(), INPUTS, BASE, gate)

    alone = of()
    assert alone == identity.dataset(settings(), INPUTS, BASE) == of(first=alone)
    held = of(first="another")
    assert len({alone, held, of(second="another"), of(first="")}) == 3
    # the part that came from the data set with the parts before it changes nothing; a later one does
    assert of(first="another", second=held) == held
    assert of(first="another", second=alone) not in (alone, held)
    assert of(first=alone, second="another") == of(second="another") != held


def test_columns_of_slices_are_a_part_of_the_data_set() -> None:
    plain, named = (settings(evaluate=Evaluate(slices=s)) for s in (("label", "length"), ("lang",)))
    whole = identity.dataset(settings(), INPUTS, BASE)
    assert identity.dataset(plain, INPUTS, BASE) == whole != identity.dataset(named, INPUTS, BASE)


def test_a_tokenizer_is_its_base_too() -> None:
    found = {identity.tokenizer(settings(), INPUTS, base) for base in (None, "one", "other")}
    assert len(found) == 3


def test_other_data_is_another_everything_but_the_predictor() -> None:
    before, after = all_of(settings()), all_of(settings(), Inputs(INPUTS.files[:1]))
    assert {name for name in before if before[name] == after[name]} == {"predictor"}


def test_what_is_left_out_for_a_champion_makes_another_data_set() -> None:
    def of(**origin: object) -> str:
        return identity.dataset(settings(), INPUTS, BASE, None, origin)

    champion: dict[str, object] = {"champion": "a-a1", "replay": 0.2, "known": True}
    others: list[dict[str, object]] = [{"champion": "b-a1"}, {"replay": 0.3}, {"known": False}]
    made = [of(**{**champion, **each}) for each in ({}, *others)]
    assert len({*made, identity.dataset(settings(), INPUTS, BASE)}) == len(made) + 1
