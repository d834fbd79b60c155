"""Fill-mask on tinyshakespeare with MiniLM, whose head for it begins at random, and the perplexity of
unigrams on the same text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from job.demo import model_folder
from tests.bench.tasks.running import run, say
from tests.bench.tasks.shakespeare import speeches, written

STEPS, BATCH, LENGTH, RATE = 100, 8, 128, 5e-4


def main(scratch: Path) -> None:
    """The model's perplexity is over the masked tokens of the held-out speeches, the unigrams' over
    all of their tokens."""
    train, test = written(scratch)
    left = run(
        scratch / "run",
        TASK="fill-mask",
        DATA__TRAIN=train,
        DATA__TEST=test,
        DATA__VALIDATION_FRACTION=0,
        MODEL__NAME=model_folder(),
        ENCODE__MAX_LENGTH=LENGTH,
        TRAIN__MAX_STEPS=STEPS,
        TRAIN__BATCH_SIZE=BATCH,
        TRAIN__LEARNING_RATE=RATE,
    )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    learned, scored = (
        [i for text in texts for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
        for texts in speeches()
    )
    say(
        "fill-mask",
        perplexity=left.results["test_perplexity"],
        unigrams_of_the_training_text=unigram(learned, scored, len(tokenizer)),
        unigrams_of_the_scored_text_itself=unigram(scored, scored, 0),
        **left.compared,
    )


def unigram(learned: list[int], scored: Iterable[int], words: int) -> float:
    """The perplexity of a text under token frequencies, with one more of each of `words` tokens."""
    counts, total = Counter(learned), len(learned) + words
    losses = [-math.log((counts[i] + bool(words)) / total) for i in scored]
    return math.exp(sum(losses) / len(losses))
