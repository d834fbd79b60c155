"""Language models through the command line: a text file becomes a published model."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from job.demo import tickets
from tests.support.samples import finetune, tiny_bert

TEXTS = [text for text, _ in tickets(300)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)
    return folder


def settings(task: str, folder: Path, **more: str) -> dict[str, str]:
    (folder / "rows.txt").write_text("\n".join(TEXTS))
    return {
        "FINETUNE_TASK": task,
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(folder / "store"),
        "FINETUNE_DATA__TRAIN": str(folder / "rows.txt"),
        "FINETUNE_ENCODE__MAX_LENGTH": "48",
        "FINETUNE_TRAIN__EPOCHS": "4",
        "FINETUNE_TRAIN__BATCH_SIZE": "8",
        "FINETUNE_TRAIN__LEARNING_RATE": "3e-3",
        "OMP_NUM_THREADS": "1",
        **{f"FINETUNE_{name}": value for name, value in more.items()},
    }


def published(folder: Path) -> Path:
    (found,) = (folder / "store" / "m" / "models").iterdir()
    return found


@pytest.mark.slow
def test_fill_mask_learns_and_its_blocks_score_the_same_in_a_fresh_process(
    bert: Path, tmp_path: Path
) -> None:
    env = settings("fill-mask", tmp_path, MODEL__NAME=str(bert))
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"rows_compared": ' in done.stderr
    results = json.loads((published(tmp_path) / "eval_results.json").read_text())
    history = [
        json.loads(line)
        for line in (published(tmp_path) / "metrics.jsonl").read_text().splitlines()
    ]
    first = next(line["eval_perplexity"] for line in history if "eval_perplexity" in line)
    assert results["eval_perplexity"] < first
    predictions = pq.read_table(published(tmp_path) / "predictions.parquet")
    assert predictions.column_names == ["split", "row", "file", "line", "loss", "tokens"]
    assert "fill(" in (published(tmp_path) / "README.md").read_text()


@pytest.mark.slow
def test_text_generation_from_scratch(bert: Path, tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 48}
    env = settings(
        "text-generation", tmp_path, MODEL__CONFIG=json.dumps(config), MODEL__TOKENIZER=str(bert)
    )
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((published(tmp_path) / "eval_results.json").read_text())
    assert results["test_perplexity"] < 300 < len(AutoTokenizer.from_pretrained(bert))
    saved = json.loads((published(tmp_path) / "config.json").read_text())
    assert saved["vocab_size"] == len(AutoTokenizer.from_pretrained(bert))


def test_a_config_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    env = settings("text-generation", tmp_path, MODEL__CONFIG='{"n_layer": 2}', MODEL__NAME="gpt2")
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 78
    for said in ("exclude each other", "needs FINETUNE_MODEL__TOKENIZER", "has no model_type"):
        assert said in done.stderr


CHAT = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 48}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["messages", "prompt"])
def test_text_generation_learns_to_answer(bert: Path, tmp_path: Path, kind: str) -> None:
    """Chats, or prompts with completions, in a JSON lines file; only the answer is learned."""
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]}
        if kind == "messages"
        else {"ask": text, "say": label}
        for text, label in tickets(160)
    ]
    more = {"CLEAN__LOWERCASE": "true"} if kind == "prompt" else {}
    columns = (
        {"MESSAGES": "messages"} if kind == "messages" else {"PROMPT": "ask", "COMPLETION": "say"}
    )
    env = settings(
        "text-generation",
        tmp_path,
        MODEL__CONFIG=json.dumps(GPT2),
        MODEL__TOKENIZER=str(tmp_path / "tokenizer"),
        DATA__TRAIN=str(tmp_path / "rows.jsonl"),
        **{f"DATA__COLUMNS__{role}": column for role, column in columns.items()},
        **more,
    )
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    checked = finetune("check", env=env, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((published(tmp_path) / "eval_results.json").read_text())
    assert results["test_perplexity"] < 20
    found = pq.read_table(published(tmp_path) / "predictions.parquet").to_pydict()
    answers = {answer.replace(" ##", "") for answer in found["reference"]}
    assert answers <= {label for _, label in tickets(160)}
