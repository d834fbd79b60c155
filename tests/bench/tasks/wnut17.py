"""Entities of WNUT 2017 with MiniLM, beside Trainer's for the same budget over three seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, stdev
from typing import Any

from job.demo import model_folder
from tests.bench.tasks.plain_trainer import fit
from tests.bench.tasks.running import run, say
from tests.support.samples import SHARED

SEEDS, EPOCHS, BATCH, LENGTH, RATE = (1, 2, 3), 1, 16, 128, 3e-4
FILES = SHARED / "wnut17"


def main(scratch: Path) -> None:
    """F1 over the test set's entities; Trainer's models are scored by `finetune evaluate`."""
    found: dict[str, list[float]] = {"finetune": [], "Trainer": []}
    common: dict[str, Any] = {
        "TASK": "token-classification",
        "DATA__TEST": FILES / "test.conll",
        "ENCODE__MAX_LENGTH": LENGTH,
    }
    for seed in SEEDS:
        ours = run(
            scratch / f"ours-{seed}",
            SEED=seed,
            DATA__TRAIN=FILES / "train.conll",
            DATA__VALIDATION_FRACTION=0,
            MODEL__NAME=model_folder(),
            TRAIN__EPOCHS=EPOCHS,
            TRAIN__BATCH_SIZE=BATCH,
            TRAIN__LEARNING_RATE=RATE,
            **common,
        )
        model = trainers(scratch / f"trainer-{seed}", seed)
        theirs = run(scratch / f"scored-{seed}", "evaluate", MODEL__NAME=model, **common)
        for name, left in (("finetune", ours), ("Trainer", theirs)):
            found[name].append(left.results["test_f1"])
            figures = {k: left.results[f"test_{k}"] for k in ("f1", "precision", "recall")}
            say(f"wnut17 {name}", seed=seed, **figures)
        say("wnut17, fresh process", seed=seed, **ours.compared)
    for name, values in found.items():
        if len(values) > 1:
            say(f"wnut17 {name}", mean=mean(values), deviation=stdev(values))


def sentences() -> tuple[list[list[str]], list[list[str]]]:
    """Words and tags of the training sentences; of several tags for a word the first counts."""
    text = (FILES / "train.conll").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.replace("\t\n", "\n").split("\n\n")]
    pairs = [[line.split("\t") for line in block if "\t" in line] for block in blocks]
    kept = [pair for pair in pairs if pair]
    words = [[word for word, _ in pair] for pair in kept]
    return words, [[tag.split(",")[0].strip() for _, tag in pair] for pair in kept]


def trainers(folder: Path, seed: int) -> Path:
    """As in the Hugging Face course: labels on each word's first token."""
    from datasets import Dataset
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        set_seed,
    )

    words, tags = sentences()
    names = ["O", *sorted({tag for row in tags for tag in row} - {"O"})]
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=LENGTH)
    labels = [
        [
            -100 if word is None or word == before else names.index(row[word])
            for before, word in zip([None, *ids], ids, strict=False)
        ]
        for ids, row in zip(map(encoded.word_ids, range(len(words))), tags, strict=True)
    ]
    rows: Any = Dataset.from_dict({**encoded, "labels": labels})
    set_seed(seed)
    model = AutoModelForTokenClassification.from_pretrained(
        model_folder(),
        id2label=dict(enumerate(names)),
        label2id={n: i for i, n in enumerate(names)},
    )
    return fit(
        model,
        tokenizer,
        rows,
        DataCollatorForTokenClassification(tokenizer),
        folder,
        seed=seed,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        train_sampling_strategy="group_by_length",
    )
