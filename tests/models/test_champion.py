"""`champion` as a name: the version that is in use, by whoever asks; and whoever has begun stays with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from job.commands import predict
from job.data.artifacts import Inputs
from job.errors import Forbidden, InputMissing, SettingsError, Torn
from job.models import find, version_in_use
from job.models.base import find_base
from job.models.trained import find_trained
from job.runs import attempt, identity
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Data, Model, Predict, Settings, load
from job.store import Store, layout, open_store
from job.store.commit import verify
from job.uris import Uri
from tests.support.registry import classifier, judge, promote, publish
from tests.support.samples import settings_of, write_csv


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("classifiers")
    return {name: classifier(folder / name, seed) for seed, name in enumerate(("v1", "v2"))}


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Where models are."""
    return str(tmp_path / "models")


def in_use(root: str) -> str:
    return str(version_in_use(Uri(f"{root}/spam/champion")))


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_it_names_the_version_in_use(
    place: str,
    classifiers: dict[str, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    root = str(tmp_path)
    if place == "bucket":
        root = f"{request.getfixturevalue('bucket')}/team"
    store = open_store(root)
    for name, folder in classifiers.items():
        publish(store, "spam", name, folder)
        promote(store, "spam", name)
        assert in_use(root) == f"{root}/spam/models/{name}"
    found = find(f"{root}/spam/champion/", None, tmp_path)
    assert found.name == f"{root}/spam/models/v2"
    assert found == find(f"{root}/spam/models/v2", None, tmp_path)


def test_nothing_in_use_is_said(root: str) -> None:
    store = open_store(root)
    publish(store, "spam", "v1")
    judge(store, "spam", "v1", promoted=False)
    with pytest.raises(
        InputMissing, match=f"no version of {root}/spam is in use; `finetune models`"
    ):
        in_use(root)


def test_a_damaged_or_forbidden_record_is_not_none(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    store.put(layout.champion("spam"), b"{")
    store.put("spam/champion/config.json", b"{}")
    with pytest.raises(Torn, match=r"spam/champion\.json is not a record"):
        in_use(bucket)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Forbidden):
        in_use(bucket)


def test_without_a_record_it_is_a_name_like_any_other(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("org/champion", f"{tmp_path}/champion", "s3://champion", "hf://org/m/champion"):
        assert version_in_use(Uri(name)) == Uri(name)
    with pytest.raises(InputMissing, match=f"no version of {bucket}/spam is in use"):
        in_use(bucket)
    open_store(bucket).put("spam/champion/config.json", b"{}")
    assert in_use(bucket) == f"{bucket}/spam/champion"
    promote(open_store(str(tmp_path)), "spam", "v1")
    monkeypatch.chdir(tmp_path / "spam")
    assert str(version_in_use(Uri("champion"))) == f"{tmp_path}/spam/models/v1"


def settings(root: str, **sections: Any) -> Settings:
    given = {"name": "spam", "output": Uri(root), "model": Model(name=f"{root}/spam/champion")}
    return settings_of(**{**given, **sections})


def test_it_is_scored_and_tokenized_by_its_version(
    root: str, classifiers: dict[str, Path], tmp_path: Path
) -> None:
    store = open_store(root)
    publish(store, "spam", "v1", classifiers["v1"])
    promote(store, "spam", "v1")
    by_name = settings(root, model=Model(name=f"{root}/spam/models/v1"))
    one, other = (find_trained(s, tmp_path) for s in (settings(root), by_name))
    scored = [identity.evaluation(t.settings, Inputs(()), t.base) for t in (one, other)]
    assert scored[0] == scored[1], "it is not scored again under another name"
    named = Model(config={"model_type": "bert"}, tokenizer=f"{root}/spam/champion")
    base = find_base(settings(root, model=named), tmp_path)
    assert base.tokenizer_place.name == f"{root}/spam/models/v1"


def test_a_run_goes_on_from_the_version_that_it_began_with(
    root: str, classifiers: dict[str, Path], tmp_path: Path
) -> None:
    store = open_store(root)
    for name, folder in classifiers.items():
        publish(store, "spam", name, folder)
    promote(store, "spam", "v1")
    data = Data(train=str(write_csv(tmp_path / "rows.csv", [("refund", "billing")])))
    own = settings(root, data=data)
    apart = Model(name=f"{root}/spam/champion", tokenizer=f"{root}/spam/champion")
    for run_id, chosen in {"r": own, "apart": own.model_copy(update={"model": apart})}.items():
        run = Run.open(store, "spam", run_id, chosen)
        before, _ = attempt._frozen(chosen, run, None, tmp_path)
        promote(store, "spam", "v2")
        again = Run.open(store, "spam", run_id, chosen)
        base, _ = attempt._frozen(chosen, again, None, tmp_path)
        assert base.place == before.place
        assert base.tokenizer_place == before.tokenizer_place
        assert base.place.name.endswith("models/v1")
        promote(store, "spam", "v1")


def test_another_models_champion_is_a_reason_to_train_and_ones_own_is_not(bucket: str) -> None:
    store = open_store(bucket)
    found: dict[str, list[str]] = {"spam": [], "other": []}
    for version in ("v1", "v2"):
        for model, launches in found.items():
            store.put(f"{model}/models/{version}/config.json", version.encode())
            promote(store, model, version)
            chosen = settings(bucket, model=Model(name=f"{bucket}/{model}/champion"))
            launches.append(identity.launch(chosen, Inputs(()), "image:1"))
    assert found["spam"][0] == found["spam"][1]
    assert found["other"][0] != found["other"][1]


# -- predictions -----------------------------------------------------------------------------------

ROWS = [(f"my order {n} refund parcel app"[: 5 + n],) for n in range(40)]


def predicting(root: str, tmp_path: Path, **more: Any) -> Settings:
    rows = write_csv(tmp_path / "new.csv", ROWS, ("text",))
    given = {"input": ({"uri": str(rows)},), "shard_rows": 10, "pods": 2, **more}
    return settings(root, run_id="p1", predict=Predict.model_validate(given))


def at_version(chosen: Settings, version: str) -> Settings:
    model = Model(name=f"{chosen.output}/spam/models/{version}")
    return chosen.model_copy(update={"model": model})


def predicted(store: Store, key: str) -> list[Any]:
    parts = sorted(n for n in verify(store, key, deep=True).files if n.startswith("part-"))
    lines = [line for n in parts for line in store.get(f"{key}/{n}").splitlines()]
    return [json.loads(line)["probabilities"] for line in lines]


@pytest.fixture
def store(bucket: str, classifiers: dict[str, Path]) -> Store:
    store = open_store(bucket)
    for name, folder in classifiers.items():
        publish(store, "spam", name, folder)
    promote(store, "spam", "v1")
    return store


def test_a_promotion_between_two_pods_changes_no_row(
    bucket: str, store: Store, tmp_path: Path
) -> None:
    stop = StopSignal(1)
    for pod in (0, 1):
        predict.run(predicting(bucket, tmp_path, pod=pod), stop)
        promote(store, "spam", "v2")
    alone = at_version(predicting(bucket, tmp_path, pods=1), "v1")
    predict.run(alone.model_copy(update={"run_id": "v1"}), stop)
    by_champion, by_version = (
        predicted(store, layout.predictions("spam", run_id)) for run_id in ("p1", "v1")
    )
    assert len(by_champion) == len(ROWS)
    assert by_champion == by_version


def test_of_two_pods_that_begin_at_once_the_later_takes_the_version_of_the_first(
    bucket: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other pod begins, and a promotion is made, after this one has looked for both."""
    chosen, look = predicting(bucket, tmp_path, pod=1), predict._frozen

    def overtaken(*given: Any) -> Any:
        frozen = look(*given)
        monkeypatch.setattr(predict, "_frozen", look)
        predict.run(predicting(bucket, tmp_path, pod=0), StopSignal(1))
        promote(store, "spam", "v2")
        return frozen

    monkeypatch.setattr(predict, "_frozen", overtaken)
    assert predict.run(chosen, StopSignal(1)).facts["files"] == "4"
    frozen = json.loads(store.get("spam/predictions/p1/inputs.json"))
    assert frozen["model"]["name"] == f"{bucket}/spam/models/v1"
    other = at_version(chosen, "v2")
    with pytest.raises(SettingsError, match=r"started with other settings \(model, identity\)"):
        predict.run(other, StopSignal(1))


def test_pods_that_share_a_champion_need_an_id(bucket: str) -> None:
    given = {
        "FINETUNE_OUTPUT": bucket,
        "FINETUNE_PREDICT__INPUT": "s3://raw/rows.csv",
        "FINETUNE_PREDICT__PODS": "2",
        "FINETUNE_MODEL__NAME": "s3://models/spam/champion",
    }
    with pytest.raises(SettingsError, match="FINETUNE_PREDICT__PODS=2 needs FINETUNE_RUN_ID"):
        load(given, rules=("predict",))
    for more in ({"FINETUNE_RUN_ID": "p"}, {"FINETUNE_MODEL__NAME": "s3://models/spam/models/v1"}):
        load({**given, **more}, rules=("predict",))
