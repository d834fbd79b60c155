"""What is measured of a night's rows, each beside what the champion knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from job.checks import distances
from job.checks.champion import ScoredChampion
from job.checks.distances import Distance
from job.checks.findings import LEVEL, Finding, finding
from job.checks.night import Night, Share
from job.registry.lineage import KnownRows
from job.settings import Checks
from job.settings.metrics import MINIMIZED
from job.tasks.lengths import word_counts
from job.tasks.scorers import whole


@dataclass(frozen=True)
class Measure:
    """Takes the distances of a night's rows. What cannot be compared gives no finding."""

    checks: Checks
    night: Night

    def repeats(self, share: Share) -> Finding:
        """How many of the night's rows repeat one of the same night."""
        said = f"{share.count} of {share.of} rows repeat the text of another row of the same night"
        return self._share("duplicates", share, said)

    def learned_before(self, share: Share) -> Finding:
        """How many texts of the night's own files the champion knows."""
        said = (
            f"{share.count} of {share.of} texts in files that are new have been learned from before"
        )
        return self._share("known", share, said)

    def labels(self, known: KnownRows) -> Iterator[Finding]:
        """How the labels of the new rows differ from those that the champion was trained on."""
        new, old = self.night.labels, known.labels
        if not new or not old:
            return
        shift = distances.total_variation(new, old)
        said = f"{shift.value:.1%} of the new rows have other labels than rows before would have"
        yield self._of_all("label_shift", shift, said)
        gone = distances.missing(new, old, LEVEL)
        names = ", ".join(sorted(repr(name) for name in gone.labels)[:5])
        said = f"no new row has the labels that {gone.distance.value:.1%} of the rows before have: {names or 'none'}"
        yield self._of_all("missing_labels", gone.distance, said)

    def unseen(self, labels: tuple[str, ...]) -> Iterator[Finding]:
        """How many labels of the new rows the champion does not know."""
        total = sum(self.night.labels.values())
        unseen = {name: n for name, n in self.night.labels.items() if name not in labels}
        if not total or not labels:
            return
        names = ", ".join(repr(name) for name in sorted(unseen)[:5])
        count = sum(unseen.values())
        said = f"{count} of {total} labels of the new rows are none of the champion's: {names or 'none'}"
        yield self._of_all("unseen_labels", Distance(count / total, 0.0), said)

    def lengths(self, role: str, reference: pa.Table) -> Iterator[Finding]:
        """How the numbers of words differ from those of rows that the champion knows."""
        new, old = (word_counts(rows[role].to_pylist()) for rows in (self.night.sample, reference))
        shift = distances.kolmogorov_smirnov(new, old)
        middle = [sorted(counts)[len(counts) // 2] for counts in (new, old) if counts]
        said = f"the new rows are of other lengths: the median is {' words, before '.join(map(str, middle))}"
        yield self._sampled("length_shift", shift, said)

    def score(
        self, champion: ScoredChampion, metric: str | None, reference: pa.Table
    ) -> Iterator[Finding]:
        """How much worse the champion is on the new rows than on rows that it knows."""
        seen = champion.scorers(metric, self.night.sample, reference)
        if seen is None:
            return
        name, (new, known) = seen
        drop = distances.drop(new, known, minimized=name in MINIMIZED)
        scores = [whole(each) for each in (new, known)]
        said = (
            f"the champion's {name} is {scores[0]:.4g} on {new.rows} new rows, and {scores[1]:.4g} on "
            f"{known.rows} rows that it knows"
        )
        yield self._sampled("score_drop", drop, said)

    def unknown_tokens(self, champion: ScoredChampion, reference: pa.Table) -> Iterator[Finding]:
        """How many more tokens of the new rows the champion's tokenizer does not know."""
        new, old = (champion.unknown_tokens(rows) for rows in (self.night.sample, reference))
        if new is None or old is None:
            return
        shares = [counts.sum() / max(1.0, sizes.sum()) for counts, sizes in (new, old)]
        said = f"{shares[0]:.1%} of the new rows' tokens are unknown to the tokenizer, {shares[1]:.1%} before"
        yield self._sampled("unknown_tokens", distances.higher(new, old), said)

    def _share(self, name: str, share: Share, said: str) -> Finding:
        bound = float(getattr(self.checks, name))
        return finding(
            self.checks, name, distances.part(share.count, share.of, bound), share.of, said
        )

    def _of_all(self, name: str, distance: Distance, said: str) -> Finding:
        return finding(self.checks, name, distance, self.night.rows, said)

    def _sampled(self, name: str, distance: Distance, said: str) -> Finding:
        return finding(self.checks, name, distance, len(self.night.sample), said)
