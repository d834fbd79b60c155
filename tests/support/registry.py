"""Models with versions and a champion, small enough to be made in a test."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from job.registry import champion as registry
from job.registry.champion import Champion, Move, by_hand, judged
from job.store import Store, layout
from job.store.commit import commit
from tests.support.samples import tiny_bert

LABELS = ("billing", "delivery", "technical")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "refund", "parcel", "app", "order", "my")


def classifier(
    folder: Path, seed: int = 0, *, labels: Sequence[str] = LABELS, always: str | None = None
) -> Path:
    """A classifier with random weights, and a tokenizer of WORDS.

    Args:
        always: the label that it gives to every text.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tiny_bert(folder, (), seed=seed, words=WORDS)
    config = BertConfig.from_pretrained(folder, num_labels=len(labels))
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    torch.manual_seed(seed)
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=5.0)
    if always is not None:
        torch.nn.init.zeros_(model.classifier.weight)
        model.classifier.bias.data = torch.tensor([10.0 * (label == always) for label in labels])
    model.save_pretrained(folder)
    return folder


def publish(
    store: Store, model: str, version: str, folder: Path | None = None, **meta: Any
) -> None:
    """Commit a folder's files as a version; without one, a file that is enough to be listed."""
    key = layout.version(model, version)
    files = {path.name: path for path in folder.iterdir()} if folder else {"README.md": __file__}
    run_id = version.rpartition("-a")[0] or version
    paths: Mapping[str, Path] = {name: Path(path) for name, path in files.items()}
    commit(store, key, paths, attempt=None, meta={"run_id": run_id, **meta})


def promote(store: Store, model: str, version: str) -> Champion:
    """Make a version the champion, by hand."""
    return registry.move(store, model, lambda champion: by_hand(champion, version, ""))


def judge(store: Store, model: str, version: str, *, promoted: bool) -> Champion:
    """A night's verdict on a version."""

    def decide(champion: Champion) -> Champion:
        move = Move(version, "promoted" if promoted else "kept", at=time.time())
        best = version if promoted else champion.best
        part = version if promoted else None
        return judged(champion, move, best, part, champion.spending.looked())

    return registry.move(store, model, decide)
