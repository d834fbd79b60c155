"""text-generation: plain text, prompts and chats; the loss beside transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.errors import SettingsError
from job.tasks.text_generation import TextGeneration
from job.tasks.types import FIXED, Scored
from tests.support.samples import encoded
from tests.tasks.text_generation.samples import made

PAIRS = {"prompt": ["ask what", "a"], "completion": ["b c d", "e"]}


def table_of(
    task: TextGeneration, rows: dict[str, list[str]], tokenizer: Any, path: Path
) -> MappedTable:
    return MappedTable(encoded(task.features(rows, tokenizer, 16), path))


def test_the_loss_is_over_the_completion_and_transformers_own(
    tokenizer: Any, model: GPT2LMHeadModel, tmp_path: Path
) -> None:
    task = made(prompt="prompt", completion="completion").fitted({}, {}, (), tokenizer)
    table = table_of(task, PAIRS, tokenizer, tmp_path / "rows.arrow")
    assert tokenizer.batch_decode(
        [label[label != -100] for label in table.lists("labels", np.arange(2))]
    ) == ["b c d [SEP]", "e [SEP]"]
    batch = task.collate(table, np.arange(2), Padding(0), FIXED)
    labels = Padding(0).fill(table.lists("labels", np.arange(2)), -100)
    with torch.no_grad():
        inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
        expected = float(model(**inputs, labels=torch.from_numpy(labels)).loss)
        loss = task.predict(model, batch)[1]
    weights = task.row_weights(table, np.arange(2), FIXED)
    assert weights.tolist() == [4, 2]
    assert loss / weights.sum() == pytest.approx(expected, rel=1e-5)


def test_plain_text_is_packed_with_the_end_of_text_between(
    tokenizer: Any, model: GPT2LMHeadModel, tmp_path: Path
) -> None:
    task = made().fitted({}, {}, (), tokenizer)
    packer = task.packer(tokenizer, 6)
    assert packer is not None
    blocks = packer.add(
        task.features({"text": ["a b c", "d e f g"]}, tokenizer, 6).columns["input_ids"]
    )
    assert blocks is not None
    assert tokenizer.batch_decode(blocks.column("input_ids").to_pylist()) == ["a b c [SEP] d e"]
    assert made(prompt="p", completion="c").packer(tokenizer, 6) is None


def test_a_long_prompt_loses_its_beginning_and_is_counted(tokenizer: Any) -> None:
    task = made(prompt="prompt", completion="completion")
    features = task.features({"prompt": ["a b c d e f"], "completion": ["g"]}, tokenizer, 5)
    assert tokenizer.decode(features.columns["input_ids"][0].as_py()) == "[CLS] e f g [SEP]"
    assert features.truncated == 1


def test_the_last_answer_of_a_chat_is_learned(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "ask what"}, {"role": "assistant", "content": "a b"}]
    task = made(messages="messages").fitted({}, {}, (), tokenizer)
    labels = (
        task.features({"messages": [json.dumps(chat)]}, tokenizer, 32).columns["labels"][0].as_py()
    )
    assert tokenizer.decode([label for label in labels if label != -100]) == "a b"


def test_answers_are_generated_and_compared(
    tokenizer: Any, model: GPT2LMHeadModel, tmp_path: Path
) -> None:
    """Row by row, `generate` of transformers gives what the batch with padded prompts gave."""
    task = made(prompt="prompt", completion="completion").fitted({}, {}, (), tokenizer)
    table = table_of(task, PAIRS, tokenizer, tmp_path / "rows.arrow")
    with torch.no_grad():
        outputs, _ = task.predict(model, task.collate(table, np.arange(2), Padding(0), FIXED))
    written = task.written(Scored(outputs, table, table, tokenizer))
    assert written["reference"] == ["b c d", "e"]
    for prompt, prediction in zip(PAIRS["prompt"], written["prediction"], strict=True):
        ids = tokenizer(prompt, return_tensors="pt").input_ids[:, :-1]  # without [SEP]
        alone = model.generate(
            ids, do_sample=False, max_new_tokens=6, attention_mask=torch.ones_like(ids)
        )
        assert (
            tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True).strip()
            == prediction
        )
    assert task.metrics(Scored(outputs, table, table, tokenizer))["exact_match"] == 0


def test_a_tokenizer_that_cannot_do_it_is_refused(tokenizer: Any) -> None:
    other = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    with pytest.raises(SettingsError, match="eos_token"):
        made().configure_tokenizer(other)
    other.eos_token = "[SEP]"
    with pytest.raises(SettingsError, match="chat template"):
        made(messages="messages").configure_tokenizer(other)


def test_messages_are_the_text_and_stay_as_they_are() -> None:
    task = made(messages="chat")
    assert (task.text_roles, task.verbatim_roles) == (("messages",), ("messages",))
    assert made().verbatim_roles == made(prompt="p", completion="c").verbatim_roles == ()


def test_rows_with_nothing_to_learn_are_problems() -> None:
    task = made(prompt="prompt", completion="completion")
    problems = task.problems({"prompt": [None, "a", "a"], "completion": ["b", " ", "c"]})
    empty = "nothing to learn: the completion is empty; text-generation needs one"
    assert problems == ["no prompt", empty, None]
