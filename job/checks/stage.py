"""Before training: what a night's rows are measured against, and what the run does with what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from job.checks.champion import ScoredChampion
from job.checks.findings import Finding, Findings, bounds_of
from job.checks.measure import Measure
from job.checks.night import Before, Night, Sample, learned_before, repeated
from job.data.arrow import stream
from job.data.artifacts import KEY, KEYS, CleanRows, Dataset
from job.errors import Absent, DataError, InputMissing, SettingsError, Torn
from job.gate.rows import judging
from job.registry import champion as registry
from job.runs.attempt import Attempt
from job.runs.predecessor import Predecessor
from job.store import layout
from job.store.records import read_record
from job.tasks.base import Task
from job.telemetry import warn

FEWEST = 30
"""Known rows that are worth comparing with."""


def check(
    attempt: Attempt, task: Task, rows: Callable[[], CleanRows], found: Dataset | None = None
) -> None:
    """Check the night's rows, as FINETUNE_CHECKS__ACTION says; what is found stays with the run, which
    is not checked twice.

    Args:
        task: not fitted yet.
        rows: gives the rows as they are before they are encoded.
        found: the data set, where it was in the store already and the rows are to be read again.

    Raises:
        DataError: something exceeds its bound, and the run is to stop then.
        InputMissing: the rows are gone, and the run is to stop where something is found.
    """
    action = attempt.settings.checks.action
    if action == "off":
        return
    findings = _recorded(attempt)
    try:
        if findings is None:
            findings = _nothing_new(attempt, found) or _measured(attempt, task, rows())
            findings.tell()
            attempt.run.store.put(attempt.run.key(layout.CHECKS), findings.json())
    except InputMissing as error:
        if found is None or action == "stop":
            raise
        warn("the night's rows could not be checked", reason=error.message)
    if findings is not None and action == "stop":
        findings.refuse()


def doubts(attempt: Attempt) -> list[Finding]:
    """What was found of the run's rows beyond its bounds; nothing where they were not checked."""
    findings = _found(attempt)
    return findings.exceeding if findings else []


def _found(attempt: Attempt) -> Findings | None:
    key = attempt.run.key(layout.CHECKS)
    try:
        return read_record(attempt.run.store, key, Findings)[0]
    except Absent:
        return None
    except Torn as error:
        warn("what the checks found is damaged", reason=error.message)
        return None


def _recorded(attempt: Attempt) -> Findings | None:
    """What was found before by the same bounds."""
    findings = _found(attempt)
    same = findings is not None and findings.bounds == bounds_of(attempt.settings.checks)
    return findings if same else None


def _nothing_new(attempt: Attempt, found: Dataset | None) -> Findings | None:
    """What to say of a data set all of whose rows the champion knows; None of any other."""
    champion = attempt.champion
    if found is None or champion is None or champion.lineage.rows is None:
        return None
    known = champion.lineage.rows
    for batch in stream(found.folder / KEYS):
        if not known.know(batch.column(KEY).to_numpy()).all():
            return None
    bounds = bounds_of(attempt.settings.checks)
    return Findings(bounds, champion.version, left_out={"all": "no row is new to the champion"})


def _measured(attempt: Attempt, task: Task, rows: CleanRows) -> Findings:
    checks, champion = attempt.settings.checks, attempt.champion
    before = Before.of(rows.files, champion.lineage if champion else None)
    night = Night.of(rows, before, task, checks.max_rows)
    checking = _Checking(attempt, task, before, night, {})
    findings = [*checking.of_repeats(rows), *(checking.of_champion(champion) if champion else ())]
    version = champion.version if champion else None
    return Findings(bounds_of(checks), version, night.rows, findings, checking.left_out)


@dataclass(frozen=True)
class _Checking:
    """The checks of one night, and why some could not be made."""

    attempt: Attempt
    task: Task
    before: Before
    night: Night
    left_out: dict[str, str]

    @property
    def measure(self) -> Measure:
        return Measure(self.attempt.settings.checks, self.night)

    def of_repeats(self, rows: CleanRows) -> Iterator[Finding]:
        """What needs no model."""
        if rows.read is None:
            return
        yield self.measure.repeats(repeated(rows.read, self.before))
        if self.before.known is None:
            return
        if self.before.added is None:
            self.left_out["known"] = "no file of the champion's run is left"
        else:
            share = learned_before(rows.read, self.before, self.before.known)
            yield self.measure.learned_before(share)

    def of_champion(self, champion: Predecessor) -> Iterator[Finding]:
        """What is measured against the champion, and rows that it knows."""
        if self.before.known is None:
            said = "the data set that the champion was trained on is gone, or of an older release"
            self.left_out["labels"] = said
            if self.before.added is None:
                self.left_out["all"] = f"{said}, and so is what its run read"
                return
        else:
            yield from self.measure.labels(self.before.known)
        if not self.night.rows:
            self.left_out["all"] = "no row is new to the champion"
            return
        try:
            yield from self._of_model(champion)
        except (InputMissing, DataError, SettingsError) as error:
            self.left_out["score"] = f"the champion cannot be put to the rows: {error.message}"

    def _of_model(self, champion: Predecessor) -> Iterator[Finding]:
        """What the champion makes of the rows, beside rows that it knows.

        Raises:
            InputMissing, DataError, SettingsError: it is gone, damaged, or of another task.
        """
        scored = ScoredChampion.of(champion.trained, self.attempt.scratch / "checks")
        yield from self.measure.unseen(scored.labels)
        reference = self._reference()
        if len(reference) < FEWEST:
            said = f"only {len(reference)} held-out rows are known to the champion"
            self.left_out["score"] = said
            return
        yield from self.measure.lengths(self.task.text_roles[0], reference)
        yield from self.measure.unknown_tokens(scored, reference)
        metric = self.attempt.settings.evaluate.metric
        yield from self.measure.score(scored, metric, reference)

    def _reference(self) -> pa.Table:
        """Held-out rows that the champion knows: the gate's, and the night's validation rows that it was
        validated with. Where test rows are given, which may be of another kind, the latter come first."""
        attempt, gate = self.attempt, Sample(self.task, self.attempt.settings.checks.max_rows)
        store, settings = attempt.run.store, attempt.settings
        record = replace(registry.read(store, settings.name)[0], gate=attempt.frozen.gate)
        judges = judging(store, settings.name, record, settings, attempt.scratch / "checks")
        if judges is not None and "test" in judges.cleaned.tables:
            for batch in stream(judges.cleaned.tables["test"]):
                gate.add(batch)
        tables = [gate.table(), self.night.validated]
        if settings.data.test:
            tables.reverse()
        return next((table for table in tables if len(table) >= FEWEST), max(tables, key=len))
