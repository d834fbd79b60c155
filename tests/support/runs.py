"""The variables of a run in a folder: a small BERT on the files that lie there."""

from __future__ import annotations

from pathlib import Path


def variables(folder: Path, name: str, **more: str) -> dict[str, str]:
    """What a run is told.

    Args:
        folder: holds `data/*.csv` and the model `bert`; the store is made in it.
        name: the run's id.
        more: by their names without FINETUNE_.
    """
    given = {
        "NAME": "m",
        "OUTPUT": str(folder / "store"),
        "RUN_ID": name,
        "DATA__TRAIN": str(folder / "data" / "*.csv"),
        "MODEL__NAME": str(folder / "bert"),
        "TRAIN__EPOCHS": "4",
        **more,
    }
    return {f"FINETUNE_{key}": value for key, value in given.items()}
