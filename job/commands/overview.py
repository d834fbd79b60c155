"""What a store says of a model as a whole: the champion, what has changed since it was trained, what launchers
decided last. `status` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from job.errors import JobError, Torn
from job.launch.decision import Launched
from job.registry import champion
from job.registry.champion import Champion, Move
from job.registry.versions import Version
from job.runs.change import Basis, Changes, trained_on
from job.runs.listing import state_of
from job.settings import Settings, recorded
from job.stages.fetch import resolve_inputs
from job.store import Store, layout
from job.store.records import read_record
from job.text import moment

LABEL = 10
"""Characters of the column of labels."""


@dataclass(frozen=True)
class Overview:
    """A model, seen from outside."""

    model: str
    uri: str
    champion: Champion
    trained: float | None
    """When the champion's run ended, in seconds since 1970, where that is known."""
    changes: Changes | None
    """What has changed since that run; None where there was nothing to compare."""
    unseen: str
    """What of it could not be looked at, and why."""
    launches: Mapping[str, Launched]
    """By namespace and release."""

    @property
    def verdict(self) -> Move | None:
        """The gate's last one."""
        judged = (m for m in reversed(self.champion.history) if m.action in ("promoted", "kept"))
        return next(judged, None)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.champion.history or self.launches)

    def json(self) -> dict[str, Any]:
        """For machines."""
        current, made = self.champion, champion.changes(self.champion)
        return {
            "model": self.model,
            "uri": self.uri,
            "champion": {
                "version": current.version,
                "previous": current.previous,
                "best": current.best,
                "since": made[-1].move.at if made else None,
                "trained": self.trained,
            },
            "verdict": asdict(self.verdict) if self.verdict else None,
            "changes": self.changes.json() if self.changes is not None else None,
            "unseen": self.unseen or None,
            "launches": {name: asdict(last) for name, last in self.launches.items()},
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield _line("model", f"{self.model} in {self.uri}")
        yield from _of_champion(self.champion)
        if self.verdict:
            judged = self.verdict
            yield _line("verdict", f"{moment(judged.at)} {judged.version} {judged}")
        if self.trained:
            yield _line("trained", moment(self.trained))
        yield from _block("changed", [*self._changed(), *([self.unseen] if self.unseen else [])])
        decided = [
            f"{name} at {moment(last.decision.at)} {last.decision}"
            for name, last in self.launches.items()
            if last.decision
        ]
        yield from _block("launcher", decided)

    def _changed(self) -> Sequence[str]:
        if self.changes is None:
            return ()
        return [*self.changes.clauses()] or ["nothing else" if self.unseen else "nothing"]


def overview(settings: Settings, store: Store) -> Overview:
    """Read it; of the sources no more than what identifies their objects is looked at.

    Raises:
        Torn: the champion's record, or a launcher's, is damaged.
    """
    model = settings.name
    current, _ = champion.read(store, model)
    launches = _launches(store, model)
    trained, changes, unseen = None, None, ""
    if current.version:
        run_id = Version.named(model, current.version).run_id
        state = state_of(store, model, run_id)
        trained = state.ended if state and state.outcome else None
        changes, unseen = _changes_since(settings, store, run_id, _image(launches.values()))
    uri = str(store.uri / model)
    return Overview(model, uri, current, trained, changes, unseen, launches)


def _changes_since(
    settings: Settings, store: Store, run_id: str, image: str
) -> tuple[Changes | None, str]:
    """What differs from what a run was trained on, and why not all of it is known."""
    if not settings.data.train:
        return None, "not compared: FINETUNE_DATA__TRAIN is not set here"
    try:
        then = trained_on(store, settings.name, run_id)
    except Torn as error:
        return None, f"not known: {error.message}"
    if then is None:
        return None, f"not known: the record of run {run_id} is gone"
    try:
        now, unseen = Basis.found(settings, resolve_inputs(settings.data), image), ""
    except JobError as error:
        now = Basis(recorded(settings), image=image)
        unseen = f"the sources could not be looked at ({error.message})"
    return Changes.between(then, now), unseen


def _launches(store: Store, model: str) -> dict[str, Launched]:
    """What each release has launched last."""
    prefix = layout.launches(model)
    names = [item.key.removeprefix(prefix).removesuffix(".json") for item in store.list(prefix)]
    return {n: read_record(store, f"{prefix}{n}.json", Launched)[0] for n in names}


def _image(launches: Iterable[Launched]) -> str:
    """The image with which a launcher would have trained last."""
    decisions = [last.decision for last in launches if last.decision]
    return max(decisions, key=lambda decision: decision.at).image if decisions else ""


def _of_champion(current: Champion) -> Iterator[str]:
    made = champion.changes(current)
    if not made:
        yield _line("champion", "none yet")
        return
    move = made[-1].move
    yield _line("champion", f"{current.version}, in use since {moment(move.at)}, {move}")
    if current.previous:
        yield _line("", f"before it {current.previous}, to which `finetune rollback` goes back")


def _block(label: str, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield _line("" if number else label, line)


def _line(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{text}"
