"""A small run to be killed again and again, and what it must have left in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.demo import tickets
from job.stages.train.history import merged_history
from job.store import Store, open_store
from job.store.commit import fetch, verify
from tests.support.samples import tiny_bert, write_csv

ROWS = tickets(300)


def settings(folder: Path, output: str, name: str, **more: str) -> dict[str, str]:
    """A run of some seconds with many checkpoints, and some evaluations."""
    if not (folder / "bert").exists():
        tiny_bert(folder / "bert", [text for text, _ in ROWS])
        write_csv(folder / "rows.csv", ROWS)
    return {
        "FINETUNE_NAME": name,
        "FINETUNE_OUTPUT": output,
        "FINETUNE_RUN_ID": "r",
        "FINETUNE_DATA__TRAIN": str(folder / "rows.csv"),
        "FINETUNE_MODEL__NAME": str(folder / "bert"),
        "FINETUNE_TRAIN__EPOCHS": "40",
        "FINETUNE_TRAIN__LEARNING_RATE": "1e-3",
        "FINETUNE_CHECKPOINT__EVERY_STEPS": "10",
        "FINETUNE_EVALUATE__EVERY_STEPS": "60",
        "FINETUNE_RUNTIME__MAX_STALLED_ATTEMPTS": "0",
        **{f"FINETUNE_{key}": value for key, value in more.items()},
    }


@dataclass(frozen=True)
class Left:
    """What a run left that must not depend on how often it was killed."""

    losses: dict[int, float]
    """By step."""
    scores: dict[str, float]
    weights: dict[str, Any]
    predictions: Any
    attempts: int


def left(output: str, name: str, scratch: Path, *, some_torn: bool = False) -> Left:
    """Read what the run left, every manifest in it verified.

    Args:
        some_torn: a store that lied may hold what was passed over; the version must be whole all the same.
    """
    import pyarrow.parquet as pq
    from safetensors.torch import load_file

    store: Store = open_store(output)
    manifests = [o.key for o in store.list(f"{name}/") if o.key.endswith("/manifest.json")]
    state = json.loads(store.get(f"{name}/runs/r/state.json"))
    assert state["outcome"] == "done"
    version = str(state["result"]["model"]).removeprefix(f"{store.uri}/")
    if not some_torn:
        for key in manifests:
            verify(store, key.removesuffix("/manifest.json"), deep=True)
        assert [f"{version}/manifest.json"] == [k for k in manifests if k.startswith(f"{name}/models/")]  # fmt: skip
    folder = scratch / f"left-{name}"
    fetch(store, version, folder)
    history = merged_history(store, f"{name}/runs/r")
    steps = [line["step"] for line in history if "loss" in line]
    assert steps == sorted(set(steps)), "a step stands twice in the history"
    results = json.loads((folder / "eval_results.json").read_text())
    return Left(
        {line["step"]: line["loss"] for line in history if "loss" in line},
        {k: v for k, v in results.items() if k.startswith(("eval_", "test_"))},
        load_file(folder / "model.safetensors"),
        pq.read_table(folder / "predictions.parquet"),
        state["attempt"],
    )


def differences(one: Left, other: Left) -> list[str]:
    """Where two runs are not the same to the last bit."""
    import torch

    differing = [
        f"step {s}: {v} and {other.losses.get(s)}"
        for s, v in one.losses.items()
        if other.losses.get(s) != v
    ]
    differing += [f"only {s}" for s in other.losses.keys() - one.losses.keys()]
    differing += [
        name for name, value in one.weights.items() if not torch.equal(value, other.weights[name])
    ]
    differing += [name for name, value in one.scores.items() if other.scores.get(name) != value]
    return differing + ([] if one.predictions.equals(other.predictions) else ["predictions"])
