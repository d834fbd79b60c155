"""The champion's record: what each move makes of it, and what of it is believed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.errors import Conflict, Forbidden, Torn
from job.registry import champion as registry
from job.registry.champion import Champion, Move, by_hand, judged, rolled_back
from job.store import Store, layout, open_store
from tests.support.servers import Server

KEY = layout.champion("m")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def night(champion: Champion, version: str, *, promoted: bool = True) -> Champion:
    move = Move(version, "promoted" if promoted else "kept", at=1.0, verdict={"n": 3})
    best = version if promoted else champion.best
    part = version if promoted else None
    return judged(champion, move, best, part, champion.spending.looked())


def after(*versions: str) -> Champion:
    champion = Champion()
    for version in versions:
        champion = night(champion, version)
    return champion


def in_use(champion: Champion) -> tuple[str | None, str | None, str | None]:
    return champion.version, champion.previous, champion.best


def test_a_challenger_that_is_kept_changes_what_was_spent_and_nothing_in_use() -> None:
    before = after("v1", "v2")
    kept = night(before, "v3", promoted=False)
    assert in_use(kept) == in_use(before) == ("v2", "v1", "v2")
    assert kept.gate == ["v1", "v2"]
    assert kept.spending.looks == 3
    assert [(m.version, m.action, m.champion) for m in kept.history] == [
        ("v1", "promoted", "v1"),
        ("v2", "promoted", "v2"),
        ("v3", "kept", "v2"),
    ]


def test_a_first_version_that_is_kept_leaves_no_champion() -> None:
    kept = night(Champion(), "v1", promoted=False)
    assert in_use(kept) == (None, None, None)
    assert in_use(night(kept, "v2")) == ("v2", None, "v2")


def test_a_standard_may_be_another_than_the_version_in_use() -> None:
    move = Move("v2", "promoted")
    champion = judged(after("v1"), move, "v1", "v1", after("v1").spending)
    assert in_use(champion) == ("v2", "v1", "v1")
    assert champion.gate == ["v1"], "a part stands in it once"
    by_a_person = by_hand(champion, "v2", "it is better than the test can show")
    assert in_use(by_a_person) == ("v2", "v1", "v2")
    assert by_hand(by_a_person, "v2", "again") is by_a_person


def test_each_way_back_leads_further_back() -> None:
    champion = after("v1", "v2", "v3")
    champion = rolled_back(champion, "v2")
    assert in_use(champion) == ("v2", "v1", "v2")
    assert champion.withdrawn == ["v3"]
    champion = rolled_back(champion, "v1")
    assert in_use(champion) == ("v1", None, "v1")
    assert champion.withdrawn == ["v3", "v2"]
    assert champion.gate == ["v1", "v2", "v3"], "what was held back is held back for ever"
    champion = rolled_back(night(champion, "v4"), "v1")
    assert in_use(champion) == ("v1", None, "v1")
    assert champion.withdrawn == ["v3", "v2", "v4"]
    assert rolled_back(champion, "v2").withdrawn == ["v3", "v4"]


def test_to_go_back_over_several_withdraws_them_all() -> None:
    champion = rolled_back(after("v1", "v2", "v3", "v4"), "v1")
    assert champion.withdrawn == ["v4", "v3", "v2"]
    again = by_hand(champion, "v3", "it was not v3 that was wrong")
    assert (in_use(again), again.withdrawn) == (("v3", "v1", "v3"), ["v4", "v2"])


def test_an_older_version_that_was_tried_again_is_not_withdrawn() -> None:
    """Its rows have judged all along."""
    champion = rolled_back(by_hand(after("v1", "v2", "v3"), "v1", "to see"), "v3")
    assert (in_use(champion), champion.withdrawn) == (("v3", "v2", "v3"), [])


def test_what_was_gone_back_from_is_nothing_to_go_back_to() -> None:
    champion = rolled_back(after("v1", "v2", "v3"), "v2")
    champion = rolled_back(by_hand(champion, "v4", ""), "v2")
    assert in_use(champion) == ("v2", "v1", "v2")


def test_it_is_read_as_it_was_written(store: Store) -> None:
    assert registry.read(store, "m") == (Champion(), None)
    written = registry.write(store, "m", rolled_back(after("v1", "v2"), "v1"), None)
    stored, tag = registry.read(store, "m")
    assert stored == written
    again = registry.write(store, "m", night(stored, "v3"), tag)
    assert again.earlier == [written.nonce]
    assert again.nonce not in ("", written.nonce)


@pytest.mark.parametrize("tag", [None, "stale"])
def test_somebody_elses_move_is_not_overwritten(store: Store, tag: str | None) -> None:
    registry.write(store, "m", after("v1"), None)
    before = store.get(KEY)
    with pytest.raises(Conflict, match=r"m/champion\.json: somebody else has moved the champion"):
        registry.write(store, "m", after("v2"), tag)
    assert store.get(KEY) == before


class Overtaken:
    """A store that loses its answer to a write, and by the time it is asked again somebody else has
    gone on from there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes, **condition: Any) -> str:
        self._store.put(key, data, **condition)
        other, tag = registry.read(self._store, "m")
        registry.write(self._store, "m", night(other, "v9"), tag)
        raise Conflict("not this very data")


def test_a_move_that_was_overtaken_before_it_was_confirmed_was_made(store: Store) -> None:
    """Decided anew, it would stand in the history twice."""
    registry.write(store, "m", after("v1"), None)
    overtaken: Any = Overtaken(store)
    registry.move(overtaken, "m", lambda champion: by_hand(champion, "v2", ""))
    assert [m.version for m in registry.read(store, "m")[0].history] == ["v1", "v2", "v9"]


def damaged(**changes: Any) -> bytes:
    return json.dumps({**asdict(after("v1", "v2")), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (damaged()[:-40], "delimiter|value|Unterminated"),
        (b"", "Expecting value"),
        (b"<html>Session expired.</html>", "Expecting value"),
        (b"[]", "holds a list"),
        (damaged(version=3), "version: "),
        (damaged(version="../v1"), "version: "),
        (damaged(best=""), "best: "),
        (damaged(gate=["v1", "a/b"]), r"gate\.1: "),
        (damaged(withdrawn="v1"), "withdrawn: "),
        (damaged(spending={"rule": "?", "life_alpha": "much"}), r"spending\.life_alpha: "),
        (damaged(history=[{"version": "v1"}]), r"history\.0\.action: "),
        (damaged(history=[{**asdict(Move("v1", "kept")), "at": 1e300}]), r"history\.0\.at: "),
    ],
)
def test_a_damaged_record_is_named_with_its_field_and_never_taken_for_none(
    store: Store, data: bytes, field: str
) -> None:
    store.put(KEY, data)
    with pytest.raises(Torn, match=rf"m/champion\.json is not a record.*{field}") as caught:
        registry.read(store, "m")
    assert "put an earlier version of this object back" in caught.value.hint
    assert caught.value.exit_code == 75


def test_what_another_release_has_added_is_left_out(store: Store) -> None:
    store.put(KEY, damaged(judges=["Ada"]))
    assert in_use(registry.read(store, "m")[0]) == ("v2", "v1", "v2")


def test_forbidden_is_not_none(
    s3_env: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Forbidden):
        registry.read(open_store(bucket), "m")


def test_a_move_says_what_was_found_and_why() -> None:
    kept = Move("b-a1", "kept", reason="f1 is 0.8", verdict={"kind": "too few rows"})
    assert str(kept) == "kept (too few rows): f1 is 0.8"
    assert (
        str(Move("b-a1", "promoted by hand", reason="it is new")) == "promoted by hand: it is new"
    )
    assert str(Move("b-a1", "rolled back")) == "rolled back"


def test_a_record_that_is_gone_is_not_a_new_life(store: Store) -> None:
    assert registry.read(store, "m") == (Champion(), None)
    begun, tag = registry.opened(store, "m")
    assert (begun.version, tag) == (None, registry.read(store, "m")[1])
    assert registry.opened(store, "m")[1] == tag, "it is begun once"
    store.put(f"{layout.gate('m', 'r1-a1')}/manifest.json", b"{}")
    store.delete([KEY])
    for read in (registry.read, registry.opened):
        with pytest.raises(
            Torn, match=r"champion\.json is gone, and .*m/gate/ holds rows"
        ) as caught:
            read(store, "m")
        assert "put an earlier version of this object back" in caught.value.hint
    assert registry.read(store, "another")[1] is None
