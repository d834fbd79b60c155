"""Small real things for tests: a BERT with its tokenizer, and rows to learn from."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from job.data.arrow import Writer
from job.data.artifacts import FILE, LINE, ROW
from job.demo import tickets
from job.settings import Settings
from job.tasks.types import Features

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


def tiny_bert(
    folder: Path, texts: Iterable[str], *, seed: int = 0, words: Iterable[str] = ()
) -> Path:
    """A BERT of two narrow layers with random weights, and a WordPiece tokenizer of these texts.

    Args:
        words: the vocabulary, where it must be the same each time: training one breaks ties by chance.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    if vocabulary := {word: number for number, word in enumerate(words)}:
        backend.model = models.WordPiece(vocabulary, unk_token="[UNK]")
        backend.add_special_tokens(special)
    else:
        backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_csv(
    path: Path, rows: Iterable[tuple[object, ...]], header: tuple[str, ...] = ("text", "label")
) -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_tickets(path: Path, rows: int = 300) -> Path:
    """The demo's tickets."""
    return write_csv(path, tickets(rows))


def settings_of(**sections: Any) -> Settings:
    """Settings with these sections, the others at their defaults, and nothing of the environment."""
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    return Settings.model_construct(**{**defaults, **sections})


def finetune(
    *arguments: str, env: Mapping[str, str], cwd: Path, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own, with no FINETUNE_ variables but these."""
    return subprocess.run(
        [sys.executable, "-m", "job", *arguments],
        env={**_without_settings(), "PYTHONPATH": str(ROOT), **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def checked(*, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """`finetune check` as `finetune` runs it, but in this process, which has imported torch long ago."""
    from job.__main__ import main

    root, out, err = logging.getLogger(), io.StringIO(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    try:
        with (
            patch.dict(os.environ, {**_without_settings(), **env}, clear=True),
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(["check"])
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return subprocess.CompletedProcess(["check"], code, out.getvalue(), err.getvalue())


def _without_settings() -> dict[str, str]:
    """This process's variables but for the job's own."""
    return {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}


def encoded(features: Features, path: Path) -> Path:
    """Features as the encode stage writes them, with the number of the row each came from."""
    with Writer(path) as writer:
        writer.write(
            pa.RecordBatch.from_pydict({**features.columns, ROW: pa.array(features.source)})
        )
    return path


def cleaned(rows: Mapping[str, list[str]], path: Path) -> Path:
    """Rows by role as the clean stage writes them."""
    count = len(next(iter(rows.values())))
    origin = {
        FILE: pa.array([0] * count, pa.int32()),
        LINE: pa.array(range(1, count + 1), pa.int64()),
    }
    with Writer(path) as writer:
        writer.write(pa.RecordBatch.from_pydict({**rows, **origin}))
    return path
