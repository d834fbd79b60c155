"""Tokenizers of five kinds from multi30k's English side, loaded with AutoTokenizer in a fresh process."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

from tests.bench.tasks.running import run, say
from tests.support.samples import SHARED

KINDS = ("wordpiece", "bpe", "unigram", "wordlevel", "char")
FRESH = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
texts = json.load(sys.stdin)
same = [tokenizer.decode(tokenizer.encode(t), skip_special_tokens=True) == t for t in texts]
unknown = sum(tokenizer(t)["input_ids"].count(tokenizer.unk_token_id) for t in texts)
print(json.dumps([type(tokenizer).__name__, tokenizer.is_fast, sum(same) / len(same), unknown]))
"""


def main(scratch: Path) -> None:
    """Train on `train`, read `val` in a fresh process."""
    with gzip.open(SHARED / "multi30k" / "val.en.gz", "rt", encoding="utf-8") as file:
        texts = json.dumps(file.read().splitlines())
    for kind in KINDS:
        left = run(
            scratch / kind,
            "tokenizer",
            DATA__TRAIN=SHARED / "multi30k" / "train.en.gz",
            DATA__FORMAT="text",
            TOKENIZER__KIND=kind,
            TOKENIZER__VOCAB_SIZE=8000,
        )
        fresh = [sys.executable, "-c", FRESH, str(left.folder)]
        done = subprocess.run(fresh, input=texts, capture_output=True, text=True, check=True)
        name, fast, same, unknown = json.loads(done.stdout.splitlines()[-1])
        usage = json.loads((left.folder / "tokenizer_report.json").read_text())["tokenizer"]
        say(
            f"tokenizer {kind}",
            **usage,
            fresh=f"{name}, fast: {fast}",
            val_given_back=same,
            val_unknown_tokens=unknown,
        )
