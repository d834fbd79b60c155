"""Before training: what the night's rows are measured against, and what the run does with what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from job.checks.champion import ScoredChampion
from job.checks.findings import Finding, Findings, bounds_of
from job.checks.measure import Measure
from job.checks.night import Before, Night, learned_before, repeated
from job.data.artifacts import CleanRows
from job.errors import Absent, InputMissing, JobError, Torn
from job.registry.lineage import Lineage, lineage_of
from job.runs.attempt import Attempt
from job.settings import Settings
from job.store import layout
from job.store.records import read_record
from job.tasks.row_rules import RowRules

FEWEST = 30
"""Known rows that are worth comparing with."""
