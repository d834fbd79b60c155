"""What is generated in a batch, with the settings that are saved with the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, BartConfig, GenerationConfig

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.settings import Generation
from job.tasks.types import FIXED, Scored
from tests.support.samples import cleaned
from tests.tasks.seq2seq.samples import ROWS, made, table_of


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_generates_what_each_row_does_alone(
    folder: Path, tokenizer: Any, tmp_path: Path, beams: int
) -> None:
    generation = Generation(num_beams=beams, max_new_tokens=7, no_repeat_ngram_size=2)
    task = replace(made(), generation=generation)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    task.configure_generation(model.generation_config, model.config)
    model.save_pretrained(tmp_path / "saved")
    alone = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval()
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    rows = MappedTable(cleaned(ROWS, tmp_path / "cleaned.arrow"))
    with torch.inference_mode():
        outputs, loss = task.predict(model, task.collate(table, np.arange(3), Padding(0), FIXED))
        ids = [alone.generate(**tokenizer(s, return_tensors="pt"))[0] for s in ROWS["source"]]
    written = task.written(Scored(outputs, table, rows, tokenizer))
    assert written["prediction"] == [
        tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids
    ]
    assert all(len(row) <= 8 for row in ids)
    assert written["reference"] == ROWS["target"]
    weights = task.row_weights(table, np.arange(3), 0)
    assert float((written["loss"] * weights).sum()) == pytest.approx(loss, rel=1e-5)


def test_how_long_the_bases_texts_were_is_forgotten() -> None:
    """As a base for summaries of articles has it."""
    base: dict[str, Any] = {
        "min_length": 56,
        "max_length": 142,
        "min_new_tokens": 9,
        "max_time": 1.0,
    }
    base |= {"exponential_decay_length_penalty": (9, 2.0)}
    generation = GenerationConfig(**base, no_repeat_ngram_size=3, eos_token_id=2)
    made().configure_generation(generation, BartConfig(max_position_embeddings=64))
    assert {name: getattr(generation, name) for name in base} == dict.fromkeys(base)
    assert (generation.no_repeat_ngram_size, generation.max_new_tokens) == (3, 64)
    wanted = replace(made(), generation=Generation(min_new_tokens=5))
    wanted.configure_generation(generation, BartConfig())
    assert generation.min_new_tokens == 5
