"""Whole runs of a small classifier: their settings, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

from job.store import Store


def settings(output: str, data: str, model: Path, **more: str) -> dict[str, str]:
    return {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": output,
        "FINETUNE_DATA__TRAIN": data,
        "FINETUNE_MODEL__NAME": str(model),
        "FINETUNE_TRAIN__EPOCHS": "8",
        "FINETUNE_TRAIN__LEARNING_RATE": "5e-3",
        "FINETUNE_DATA__MAX_BAD_FRACTION": "0.05",
        **{f"FINETUNE_{name}": value for name, value in more.items()},
    }


def state_of(store: Store, run: str = "") -> dict[str, object]:
    keys = [o.key for o in store.list(f"m/runs/{run}") if o.key.endswith("/state.json")]
    assert len(keys) == 1
    return dict(json.loads(store.get(keys[0])))


def version_of(store: Store) -> str:
    keys = [o.key for o in store.list("m/models/") if o.key.endswith("/manifest.json")]
    assert len(keys) == 1
    return keys[0].removesuffix("/manifest.json")
