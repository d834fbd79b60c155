"""Columns derived by templates: their names, their bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.errors import DataError
from tests.support.cleaning import jsonl, labelled, rows_of, run, texts_of

NAMES = ("range", "dict", "lipsum", "cycler", "joiner", "namespace")


def test_a_column_is_itself_whatever_jinja_calls_its_functions(tmp_path: Path) -> None:
    row = {name: f"the {name}" for name in NAMES}
    path = jsonl(tmp_path / "a.jsonl", {**row, "label": "x"})
    template = " ".join(f"{{{{{name}}}}}" for name in NAMES)
    rows = run(tmp_path, {"derive": {"text": template}}, train=path)
    assert texts_of(rows) == [" ".join(row.values())]
    other = jsonl(tmp_path / "b.jsonl", *labelled("a"))
    for name in NAMES:
        with pytest.raises(
            DataError, match=f"no column '{name}'.* the columns are 'text', 'label'"
        ):
            run(tmp_path, {"derive": {"text": f"{{{{ {name} }}}}"}}, train=other)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ text * (n|int) }}", "longer than 1,048,576 characters"),
        ("{{ 'x' * 10**8 }}", "longer than 1,048,576 characters"),
        ("{{ 7 ** 1000000000 }}", "longer than 1,048,576 characters"),
        ("{{ text.ljust(n|int) }}", "longer than 1,048,576 characters"),
        ("{{ '%100000000d' % 1 }}", "longer than 1,048,576 characters"),
        ("{{ text.ljust((n|int) * 1000)|length }}", "it takes too much memory"),
        ("{{ text.ljust(1000000).replace('', text.ljust(1000000)) }}", "it takes too much memory"),
        ("{{ ('a' * 1000)|join(text.ljust(1000000)) }}", "it takes too much memory"),
        ("{% for a in t %}{% for b in t %}{% for c in t %}{% endfor %}{% endfor %}{% endfor %}",
         "more than 100,000 turns of loops and calls"),
        ("{% macro f(k) %}{{ f(k) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
        ("{% macro f(k) %}{% if k %}{{ f(k - 1) }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
         "more than 100,000 turns of loops and calls"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError"),
        ("{{ text.split() }}", "a list is not text"),
        ("{{ text.split }}", "is not text"),
        ("{{ self }}", "is not text"),
    ],
)  # fmt: skip
def test_a_derived_value_has_bounds(template: str, said: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a b", "n": 10**8, "t": "x" * 100, "label": "x"})
    with pytest.raises(DataError, match=rf"a\.jsonl:1: 'text' cannot be derived: .*{said}"):
        run(tmp_path, {"derive": {"text": template}}, train=path, max_row_bytes=1 << 20)


def test_long_derived_values_are_written_in_parts(tmp_path: Path) -> None:
    """More of them than may be in memory at once, in order and with nothing lost between two parts."""
    path = jsonl(tmp_path / "a.jsonl", *({"n": n, "label": "xy"[n % 2]} for n in range(300)))
    settings = {"derive": {"text": "{{ n }} {{ 'a' * 300 }}", "more": "{{ text|length }}"}}
    rows = run(tmp_path, settings, train=path, max_row_bytes=1024)
    found = rows_of(rows)
    assert [(r["text"].split()[0], r["label"], r["__line"]) for r in found] == [
        (str(n), "xy"[n % 2], n + 1) for n in range(300)
    ]


def test_loops_over_what_a_row_holds_are_fine(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"t": "b a", "label": "x"})
    template = (
        "{% for w in t.split()|sort %}{{ loop.index }}{{ w }}{{ '-' if not loop.last }}{% endfor %}"
    )
    assert texts_of(run(tmp_path, {"derive": {"text": template}}, train=path)) == ["1a-2b"]
