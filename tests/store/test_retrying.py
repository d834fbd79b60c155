"""A reader that is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from job.errors import Absent, Forbidden, StoreError, Unreachable
from job.store import Object, open_reader
from job.store.factory import HUB_ATTEMPTS, WEB_ATTEMPTS
from job.store.retrying import RetryingReader
from job.uris import Uri


class Faulty:
    """A reader with one object, which fails so many times before it answers."""

    uri = Uri("s3://bucket")

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.asked = error, times, 0

    def _ask(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise self.error

    def list(self, prefix: str = "") -> Iterator[Object]:
        yield Object("a", 1, "i")
        self._ask()
        yield Object("b", 1, "i")

    def stat(self, key: str) -> Object:
        self._ask()
        return Object(key, 1, "i")

    def get(self, key: str) -> bytes:
        self._ask()
        return b"1"

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        self._ask()
        path.write_text(f"{key} {identity}")


ACTIONS: list[Callable[[RetryingReader, Path], object]] = [
    lambda reader, folder: [item.key for item in reader.list()] == ["a", "b"],
    lambda reader, folder: reader.stat("a").key == "a",
    lambda reader, folder: reader.get("a") == b"1",
    lambda reader, folder: reader.download("a", folder / "a", identity="i"),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    return waited


@pytest.mark.parametrize("action", ACTIONS)
def test_asks_again_where_there_was_no_answer(
    tmp_path: Path, impatient: list[float], action: Callable[[RetryingReader, Path], object]
) -> None:
    faulty = Faulty(Unreachable("no answer"), 2)
    assert action(RetryingReader(faulty, 3), tmp_path) in (True, None)
    assert faulty.asked == 3
    assert len(impatient) == 2 and max(impatient) <= 1
    assert [path.read_text() for path in tmp_path.iterdir()] in ([], ["a i"])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (Unreachable("no answer"), 3),
        (Unreachable("no address", passing=False), 1),
        (Absent("gone"), 1),
        (Forbidden("no"), 1),
        (StoreError("odd"), 1),
        (ValueError("a bug"), 1),
    ],
)
def test_an_error_that_stays_is_raised_as_it_is(
    tmp_path: Path,
    error: Exception,
    asked: int,
    action: Callable[[RetryingReader, Path], object],
) -> None:
    faulty = Faulty(error, 9)
    with pytest.raises(type(error)) as caught:
        action(RetryingReader(faulty, 3), tmp_path)
    assert caught.value is error
    assert faulty.asked == asked


def test_what_is_only_read_is_asked_again() -> None:
    for uri, attempts in (
        ("https://host/a.csv", WEB_ATTEMPTS),
        ("hf://datasets/org/name/a.csv", HUB_ATTEMPTS),
    ):
        reader, _ = open_reader(uri)
        assert isinstance(reader, RetryingReader)
        assert reader._attempts == attempts
