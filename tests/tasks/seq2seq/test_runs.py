"""Summarization and translation through the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.samples import finetune, tiny_bert
from tests.support.seq2seq_samples import BACKWARDS, byte_level_tokenizer, tiny

TEXTS = [text for pair in BACKWARDS for text in pair]


def settings(task: str, folder: Path, **more: str) -> dict[str, str]:
    return {
        "FINETUNE_TASK": task,
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(folder / "store"),
        "FINETUNE_TRAIN__BATCH_SIZE": "16",
        "FINETUNE_TRAIN__LEARNING_RATE": "5e-3",
        "OMP_NUM_THREADS": "1",
        **{f"FINETUNE_{name}": value for name, value in more.items()},
    }


def published(folder: Path) -> Path:
    (found,) = (folder / "store" / "m" / "models").iterdir()
    return found


@pytest.mark.slow
def test_parallel_files_become_a_translator(tmp_path: Path) -> None:
    """A T5 with a prefix and beams, from two compressed files."""
    model = tiny(tmp_path / "t5", TEXTS, "t5")
    for name, side in (("train.fw.gz", 0), ("train.bw.gz", 1)):
        text = "".join(f"{pair[side]}\n" for pair in [*BACKWARDS[:150], ("", "nothing")])
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    env = settings(
        "translation",
        tmp_path,
        MODEL__NAME=str(model),
        DATA__TRAIN=str(tmp_path / "train.fw.gz"),
        DATA__TRAIN_TARGET=str(tmp_path / "train.bw.gz"),
        ENCODE__PREFIX="reverse: ",
        ENCODE__MAX_TARGET_LENGTH="24",
        EVALUATE__GENERATION__NUM_BEAMS="2",
        EVALUATE__GENERATION__LENGTH_PENALTY="0.5",
        EVALUATE__MAX_ROWS="4",
        TRAIN__EPOCHS="1",
        MODEL__LORA='{"target_modules": "all-linear"}',
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"rows_compared": 16' in done.stderr
    folder = published(tmp_path)
    results = json.loads((folder / "eval_results.json").read_text())
    assert {"test_bleu", "test_chrf", "eval_loss"} < set(results)
    assert "version:" in results["bleu_signature"]
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["num_beams"], generation["length_penalty"]) == (2, 0.5)
    assert generation["max_new_tokens"] == 24
    card = (folder / "README.md").read_text()
    for word in ("translates", "2 beams", '"reverse: " + text', "train.bw.gz"):
        assert word in card
    assert results["bleu_signature"] in card
    table = pq.read_table(folder / "predictions.parquet")
    names = ["split", "row", "file", "line", "prediction", "reference", "loss"]
    assert table.column_names == names
    frozen = json.loads(next((tmp_path / "store/m/runs").glob("*/inputs.json")).read_text())
    assert [file["target"] for file in frozen["files"]] == [False, True]


@pytest.mark.slow
def test_rows_become_a_summarizer_from_a_config(tmp_path: Path) -> None:
    """A BART from scratch, under fixed padding."""
    tokenizer = byte_level_tokenizer(TEXTS, "bart")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    lines = (json.dumps({"dialogue": a, "summary": b}) for a, b in BACKWARDS[:150])
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    config = {
        "model_type": "bart", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64,
    }  # fmt: skip
    env = settings(
        "summarization",
        tmp_path,
        MODEL__CONFIG=json.dumps(config),
        MODEL__TOKENIZER=str(tmp_path / "tokenizer"),
        DATA__TRAIN=str(tmp_path / "rows.jsonl"),
        DATA__COLUMNS='{"source": "dialogue", "target": "summary"}',
        ENCODE__PADDING="max_length",
        ENCODE__MAX_LENGTH="32",
        TRAIN__EPOCHS="1",
        TRAIN__LABEL_SMOOTHING="0.1",
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"rows_compared": 16' in done.stderr
    results = json.loads((published(tmp_path) / "eval_results.json").read_text())
    assert {f"test_{name}" for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")} < set(results)
    assert "summarizes" in (published(tmp_path) / "README.md").read_text()
    assert "rouge: `f1" in (published(tmp_path) / "README.md").read_text()


def test_an_encoder_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "bert", TEXTS)
    (tmp_path / "rows.csv").write_text("no,such,columns\n")
    env = settings(
        "translation",
        tmp_path,
        MODEL__NAME=str(model),
        DATA__TRAIN=str(tmp_path / "rows.csv"),
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 78
    assert "needs an encoder-decoder such as T5, BART or mBART" in done.stderr
    assert "is a bert model" in done.stderr


def test_parallel_files_of_different_length_end_with_65(tmp_path: Path) -> None:
    model = tiny(tmp_path / "t5", TEXTS, "t5")
    (tmp_path / "a.de").write_text("a\nb\n")
    (tmp_path / "a.en").write_text("a\n")
    env = settings(
        "translation",
        tmp_path,
        MODEL__NAME=str(model),
        DATA__TRAIN=str(tmp_path / "a.de"),
        DATA__TRAIN_TARGET=str(tmp_path / "a.en"),
    )
    done = finetune("check", env=env, cwd=tmp_path)
    assert done.returncode == 65
    assert "a.de has 2 lines" in done.stderr
    assert "a.en 1" in done.stderr
