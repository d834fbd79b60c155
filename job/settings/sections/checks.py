"""CHECKS: the night's new rows against the champion, before anything is trained on them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from job.settings.sections.base import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Checks(Section):
    """The night's new rows, against the champion and what it has learned from. A distance counts where it exceeds its bound and is more than so few rows bring about by chance."""

    incidental = True

    action: Literal["off", "warn", "stop"] = "warn"
    """What becomes of a finding: `warn` says it and trains, `stop` ends with 65 before anything is trained, `off` does not look."""

    score_drop: Annotated[float, Field(ge=0)] = 0.1
    """How much worse the champion may score on the new rows than on held-out rows that it knows, as a part of its score there."""

    label_shift: Share = 0.1
    """The total variation distance between the labels of the new rows and those that the champion was trained on: the part of the rows that would need another label."""

    missing_labels: Share = 0.01
    """The part of the champion's training rows whose labels no new row has."""

    unseen_labels: Share = 0.0
    """The part of the new rows with a label that the champion does not know."""

    length_shift: Share = 0.2
    """The Kolmogorov-Smirnov distance between the numbers of words in the new rows and in held-out rows that the champion knows."""

    unknown_tokens: Share = 0.05
    """By how much the share of tokens that the champion's tokenizer does not know may be higher in the new rows."""

    duplicates: Share = 0.2
    """The part of the night's rows whose text is there already, in an earlier row of the same night."""

    known: Share = 0.5
    """The part of the texts in files that are added to the champion's which the champion has learned from already."""

    max_rows: Annotated[int, Field(ge=1)] = 2000
    """The most new rows that the champion scores, drawn by their text's hash."""
