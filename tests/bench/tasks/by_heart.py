"""Small GPT-2-, T5- and BART-shaped models from a config learn 32 real pairs to the letter.

What is learned is scored by `finetune evaluate` through generation: a run itself takes rows out of
training that are also scored. Other pairs, scored in the run, are for the fresh process to compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.tasks.running import run, say, write_rows
from tests.support.seq2seq_samples import dialogsum, multi30k

PAIRS, OTHERS, LENGTH = 32, 8, 512
WIDTH: dict[str, Any] = {"d_model": 128}
BART_SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {"layers": 2, "attention_heads": 2, "ffn_dim": 256}.items()
}
MODELS: dict[str, dict[str, Any]] = {
    "t5": {**WIDTH, "d_kv": 64, "d_ff": 256, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0},
    "bart": {**WIDTH, **BART_SIDES, "max_position_embeddings": LENGTH, "dropout": 0.0},
    "gpt2": {
        "n_embd": 128,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": LENGTH,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
}
TASKS: dict[str, Callable[[int], list[tuple[str, str]]]] = {
    "translation": multi30k,
    "summarization": dialogsum,
}
STEPS = 600


def main(scratch: Path) -> None:
    """Each task with each model."""
    for task, pairs_of in TASKS.items():
        pairs = pairs_of(PAIRS + OTHERS)
        tokenizer = run(
            scratch / task / "tokenizer",
            "tokenizer",
            DATA__TRAIN=write_rows(
                scratch / task / "texts.jsonl", ({"text": text} for pair in pairs for text in pair)
            ),
            TOKENIZER__VOCAB_SIZE=1000,
            TOKENIZER__POST_PROCESSOR="end",
        ).folder
        for kind in MODELS:
            by_heart(task, kind, pairs, tokenizer, scratch / task / kind)


def by_heart(
    task: str, kind: str, pairs: list[tuple[str, str]], tokenizer: Path, scratch: Path
) -> None:
    """One model; of a decoder's answers the same scores are made as of an encoder-decoder's."""
    names = ("prompt", "completion") if kind == "gpt2" else ("source", "target")
    mark = " =>" if kind == "gpt2" else ""
    rows = [dict(zip(names, (a + mark, b), strict=True)) for a, b in pairs]
    learned = write_rows(scratch / "learned.jsonl", rows[:PAIRS])
    common: dict[str, Any] = {
        "TASK": "text-generation" if kind == "gpt2" else task,
        "ENCODE__MAX_LENGTH": LENGTH,
        **{f"DATA__COLUMNS__{name.upper()}": name for name in names},
        **({} if kind == "gpt2" else {"ENCODE__MAX_TARGET_LENGTH": 200}),
    }
    left = run(
        scratch / "run",
        DATA__TRAIN=learned,
        DATA__TEST=write_rows(scratch / "others.jsonl", rows[PAIRS:]),
        DATA__VALIDATION_FRACTION=0,
        MODEL__CONFIG=json.dumps({"model_type": kind, **MODELS[kind]}),
        MODEL__TOKENIZER=tokenizer,
        TRAIN__MAX_STEPS=STEPS,
        TRAIN__EPOCHS=STEPS,
        TRAIN__BATCH_SIZE=16,
        TRAIN__LEARNING_RATE=2e-3,
        **common,
    )
    found = run(
        scratch / "scored", "evaluate", DATA__TEST=learned, MODEL__NAME=left.folder, **common
    )
    texts = found.predictions["prediction"], found.predictions["reference"]
    say(f"by heart: {task} {kind}", **scores(task, *texts), **left.compared)


def scores(task: str, predictions: list[str], references: list[str]) -> dict[str, float]:
    """BLEU by sacrebleu or ROUGE-L by rouge_score themselves, in percent."""
    if task == "translation":
        import sacrebleu

        return {"bleu": float(sacrebleu.corpus_bleu(predictions, [references]).score)}
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    pairs = zip(references, predictions, strict=True)
    found = [scorer.score(*pair)["rougeL"].fmeasure for pair in pairs]
    return {"rougeL": 100 * sum(found) / len(found)}
