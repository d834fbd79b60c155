"""Sentences read back from the windows that a model saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from job.tasks.token_classification.sentences import sentences_of
from tests.tasks.token_classification.samples import fitted, rows_of, scored_of, sentences


def test_words_are_read_where_they_have_most_context(bert: Path, tmp_path: Path) -> None:
    """With room for the whole sentence, windows are one; with less, the middles of windows win."""
    rows = rows_of(sentences(3, words=40))
    task = fitted(rows, stride=6)
    scored = scored_of(task, rows, bert, tmp_path, 20)
    for i, sentence in enumerate(sentences_of(scored, task.labels, task.scheme)):
        numbers = np.flatnonzero(scored.table.column("__row") == i)
        assert len(numbers) > 2
        best: dict[tuple[int, int], tuple[int, int]] = {}
        for number in numbers.tolist():
            starts, ends = (
                scored.table.lists(n, np.array([number]))[0] for n in ("starts", "ends")
            )
            inside = np.flatnonzero(np.asarray(starts, np.int64) >= 0)
            for place, token in enumerate(inside.tolist()):
                context = min(place, len(inside) - 1 - place)
                key = (int(starts[token]), int(ends[token]))
                label = int(scored.outputs[number][token].argmax())
                if key not in best or context > best[key][0]:
                    best[key] = (context, label)
        at, expected = 0, []
        for word in sentence.words:
            expected.append(next(task.labels[v[1]] for k, v in sorted(best.items()) if k[0] == at))
            at += len(word) + 1
        assert sentence.guess == expected
