"""The tree in the store is a contract: with runs that were begun by other releases, and with people."""

from __future__ import annotations

import pytest

from job.store import layout

RUN = layout.run("spam", "3f2a")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (layout.dataset("spam", "ab12"), "spam/datasets/ab12"),
        (layout.runs("spam"), "spam/runs"),
        (f"{RUN}/{layout.SETTINGS}", "spam/runs/3f2a/settings.json"),
        (f"{RUN}/{layout.INPUTS}", "spam/runs/3f2a/inputs.json"),
        (f"{RUN}/{layout.STATE}", "spam/runs/3f2a/state.json"),
        (f"{RUN}/{layout.PROGRESS}", "spam/runs/3f2a/progress.json"),
        (f"{RUN}/{layout.QUARANTINE}", "spam/runs/3f2a/quarantine.jsonl"),
        (layout.metrics(RUN, 7), "spam/runs/3f2a/metrics-0007.jsonl"),
        (layout.token_limit(RUN, 4096), "spam/runs/3f2a/limits/tokens-000000004096"),
        (
            layout.checkpoint(layout.checkpoints(RUN), 120),
            "spam/runs/3f2a/checkpoints/step-00000120",
        ),
        (layout.version("spam", "3f2a-a2"), "spam/models/3f2a-a2"),
        (layout.champion("spam"), "spam/champion.json"),
        (layout.gate("spam", "3f2a-a2"), "spam/gate/3f2a-a2"),
        (layout.evaluation("spam", "cd34"), "spam/evaluations/cd34"),
        (layout.predictions("spam", "p1"), "spam/predictions/p1"),
        (layout.tokenizer("spam", "ef56"), "spam/tokenizers/ef56"),
        (layout.launch("spam", "team", "demo"), "spam/launches/team.demo.json"),
    ],
)
def test_every_key_is_where_it_always_was(key: str, expected: str) -> None:
    assert key == expected


def test_what_a_key_says_is_read_back() -> None:
    manifest = f"{layout.checkpoint(layout.checkpoints(RUN), 120)}/manifest.json"
    assert layout.step_of(manifest) == 120
    assert layout.step_of(f"{RUN}/checkpoints/step-00000120/a0001/rank-00000.safetensors") is None
    assert layout.tokens_of(layout.token_limit(RUN, 4096)) == 4096
    assert layout.token_limit(RUN, 4096).startswith(layout.token_limits(RUN))
    assert layout.run_id_of("spam", f"{RUN}/state.json") == "3f2a"
    assert layout.is_metrics(layout.metrics(RUN, 7))
    assert not layout.is_metrics(f"{RUN}/metrics.jsonl")
