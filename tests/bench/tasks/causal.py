"""A small GPT-2 from a config on tinyshakespeare, beside Trainer's for the same budget."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tests.bench.tasks.plain_trainer import fit
from tests.bench.tasks.running import run, say
from tests.bench.tasks.shakespeare import speeches, written

SEEDS, STEPS, BATCH, LENGTH, RATE = (1, 2, 3), 100, 16, 128, 2e-3
CONFIG = {"model_type": "gpt2", "n_embd": 128, "n_layer": 3, "n_head": 4, "n_positions": LENGTH}


def main(scratch: Path) -> None:
    """Perplexity on the held-out speeches, all models scored by `finetune evaluate` or a run."""
    train, test = written(scratch)
    tokenizer = run(
        scratch / "tokenizer", "tokenizer", DATA__TRAIN=train, TOKENIZER__VOCAB_SIZE=2000
    ).folder
    found: dict[str, list[float]] = {"finetune": [], "Trainer": []}
    for seed in SEEDS:
        common: dict[str, Any] = {"TASK": "text-generation", "DATA__TEST": test}
        common["ENCODE__MAX_LENGTH"] = LENGTH
        ours = run(
            scratch / f"ours-{seed}",
            SEED=seed,
            DATA__TRAIN=train,
            DATA__VALIDATION_FRACTION=0,
            MODEL__CONFIG=json.dumps(CONFIG),
            MODEL__TOKENIZER=tokenizer,
            TRAIN__MAX_STEPS=STEPS,
            TRAIN__BATCH_SIZE=BATCH,
            TRAIN__LEARNING_RATE=RATE,
            **common,
        )
        model = trainers(tokenizer, scratch / f"trainer-{seed}", seed)
        theirs = run(scratch / f"scored-{seed}", "evaluate", MODEL__NAME=model, **common)
        for name, left in (("finetune", ours), ("Trainer", theirs)):
            found[name].append(left.results["test_perplexity"])
            say(f"causal {name}", seed=seed, perplexity=found[name][-1])
        say("causal, fresh process", seed=seed, **ours.compared)
    for name, values in found.items():
        say(f"causal {name}", mean=mean(values), deviation=stdev(values))


def trainers(tokenizer_folder: Path, folder: Path, seed: int) -> Path:
    """Blocks as in the Hugging Face course: texts joined with an end between them, cut into blocks."""
    from datasets import Dataset
    from transformers import (
        AutoTokenizer,
        GPT2Config,
        GPT2LMHeadModel,
        default_data_collator,
        set_seed,
    )

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    end = [tokenizer.eos_token_id]
    ids: list[int] = list(
        chain.from_iterable(tokenizer(text)["input_ids"] + end for text in speeches()[0])
    )
    blocks = [ids[i : i + LENGTH] for i in range(0, len(ids) - LENGTH + 1, LENGTH)]
    rows = Dataset.from_dict({"input_ids": blocks, "labels": blocks})
    set_seed(seed)
    own: dict[str, Any] = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    own |= {"bos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = GPT2LMHeadModel(GPT2Config(**{**CONFIG, **own}))
    return fit(
        model,
        tokenizer,
        rows,
        default_data_collator,
        folder,
        seed=seed,
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
    )
