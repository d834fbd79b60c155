"""LoRA adapters published alone: what they score is what they scored in their run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from job.demo import tickets
from job.store import open_store
from job.store.commit import load
from tests.support.samples import finetune, tiny_bert, write_csv

ROWS = tickets(200)


def settings(folder: Path, bucket: str, **more: str) -> dict[str, str]:
    return {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": bucket,
        "FINETUNE_DATA__TRAIN": str(write_csv(folder / "rows.csv", ROWS)),
        "FINETUNE_MODEL__NAME": f"{bucket}/base",
        "FINETUNE_TRAIN__LEARNING_RATE": "2e-2",
        "FINETUNE_ENCODE__MAX_LENGTH": "32",
        "OMP_NUM_THREADS": "1",
        **{f"FINETUNE_{name}": value for name, value in more.items()},
    }


def larger_tokenizer(folder: Path) -> None:
    """Two tokens more than the model has rows for."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<a>", "<b>"])
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text-classification", "text-generation"])
def test_adapters_alone_are_a_version(task: str, bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket)
    base = tiny_bert(tmp_path / "base", [text for text, _ in ROWS])
    if task == "text-generation":
        words = len(AutoTokenizer.from_pretrained(base))
        larger_tokenizer(base)
        config = GPT2Config(vocab_size=words, n_positions=64, n_embd=32, n_layer=2, n_head=2)
        GPT2LMHeadModel(config).save_pretrained(base)
    for path in base.iterdir():
        store.upload(path, f"base/{path.name}")
    env = settings(tmp_path, bucket, TASK=task, PUBLISH__MERGE="false", MODEL__LORA="{}")
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"rows_compared": ' in done.stderr
    (key,) = [o.key for o in store.list("m/models/") if o.key.endswith("/manifest.json")]
    version = key.removesuffix("/manifest.json")
    files = load(store, version).files
    assert {"adapter_model.safetensors", "adapter_config.json", "config.json"} <= files.keys()
    assert "model.safetensors" not in files
    assert b"merge_and_unload" in store.get(f"{version}/README.md")
    named = json.loads(store.get(f"{version}/adapter_config.json"))["base_model_name_or_path"]
    assert named == f"{bucket}/base"

    scored = settings(tmp_path, bucket, TASK=task, MODEL__NAME=f"{bucket}/{version}")
    done = finetune("evaluate", env=scored, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (key,) = [o.key for o in store.list("m/evaluations/") if o.key.endswith("/manifest.json")]
    results = load(store, key.removesuffix("/manifest.json")).meta["results"]
    before = json.loads(store.get(f"{version}/eval_results.json"))
    assert {name: before[name] for name in results} == pytest.approx(results, rel=1e-5)


def test_adapters_need_lora_and_a_model(tmp_path: Path) -> None:
    env = settings(tmp_path, str(tmp_path / "out"), PUBLISH__MERGE="false")
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 78
    assert "FINETUNE_PUBLISH__MERGE=false publishes LoRA adapters" in done.stderr
