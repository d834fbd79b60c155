"""What tonight's gate can show, said before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from job import tasks
from job.gate.outlook import outlook
from job.registry import champion
from job.registry.champion import Champion
from job.registry.spending import Spending
from job.settings import Publish, Settings
from tests.gate.nights import Nights
from tests.gate.test_judge import TEST, TRAIN


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def said(nights: Nights, settings: Settings, **publish: object) -> tuple[str, str | None]:
    policy = Publish.model_validate(publish)
    settings = settings.model_copy(update={"publish": policy})
    return outlook(settings, tasks.create(settings), nights.store, nights.folder / "outlook")


def test_what_the_gate_can_show(nights: Nights) -> None:
    night = nights.night(TRAIN, TRAIN[:4], TEST)
    assert said(nights, night.settings)[1] is None, "there is no champion yet"
    record = Champion("a-a1", best="a-a1", gate=nights.champion.gate)
    champion.move(nights.store, "m", lambda _: record)
    words, hopeless = said(nights, night.settings)
    assert "60 rows judge, against a-a1, at alpha 0.025" in words
    assert hopeless
    assert "show no less than 8.87% of the scale, and the margin is 1.00%" in hopeless
    for policy in ({"margin": 0.1}, {"gate": "better"}, {"gate": "always"}):
        assert said(nights, night.settings, **policy)[1] is None


def test_later_nights_ask_for_more(nights: Nights) -> None:
    night = nights.night(TRAIN, TRAIN[:4], TEST)
    record = Champion("a-a1", best="a-a1", gate=nights.champion.gate, spending=Spending(looks=99))
    champion.move(nights.store, "m", lambda _: record)
    assert said(nights, night.settings, margin=0.1)[1]


def test_a_gate_without_rows_promotes_nothing(nights: Nights) -> None:
    night = nights.night(TRAIN, TRAIN[:4], TEST, promoted=False)
    champion.write(nights.store, "m", Champion("a-a1", best="a-a1"), None)
    assert "none of the gate's rows can judge" in str(said(nights, night.settings)[1])
