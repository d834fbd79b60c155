"""text-generation: plain text, prompts and chats; the loss beside transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.errors import SettingsError
from job.settings import Columns, Data
from job.tasks.text_generation import TextGeneration
from job.tasks.text_generation.predicting import Prompting
from job.tasks.tokens import tokenize
from job.tasks.values import FIXED, Scored
from tests.support.samples import encoded, settings_of, tiny_bert

CHAT = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts = ["ask what is it user assistant a b c d e f g"] * 9
    made = AutoTokenizer.from_pretrained(tiny_bert(tmp_path_factory.mktemp("bert"), texts))
    made.eos_token = "[SEP]"
    made.chat_template = CHAT
    return made


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3, pad_token_id=0
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def made(**columns: str) -> TextGeneration:
    return TextGeneration.create(settings_of(data=Data(columns=Columns(**columns))))


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


@pytest.mark.parametrize("prompt", ["a b", "a b c d e f g a b c d e f g"])
def test_a_prompt_is_the_same_in_training_and_in_use(tokenizer: Any, prompt: str) -> None:
    """This tokenizer puts [SEP] behind a text; a model that learned it there would miss it in use."""
    task = made(prompt="prompt", completion="completion")
    learned = task.features({"prompt": [prompt], "completion": ["g"]}, tokenizer, 10).columns
    asked = Prompting.of(task).features({"prompt": [prompt]}, tokenizer, 10).columns
    (given,) = asked["input_ids"].to_pylist()
    ids, labels = learned["input_ids"][0].as_py(), learned["labels"][0].as_py()
    answer = [label for label in labels if label != -100]
    assert ids[0] == given[0] == tokenizer.cls_token_id
    assert ids[: -len(answer)][-len(given) + 1 :] == given[1:]


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


EMPTY = "nothing to learn: the completion is empty; text-generation needs one"


def test_rows_with_nothing_to_learn_are_problems() -> None:
    task = made(prompt="prompt", completion="completion")
    found = task.problems({"prompt": [None, "a", "a"], "completion": ["b", " ", "c"]})
    assert found == ["no prompt", EMPTY, None]
    chats = [
        '[{"role": "user", "content": "a"}]',
        "no list",
        '[{"role": "assistant", "content": "a"}]',
    ]
    found = made(messages="messages").problems({"messages": chats})
    assert str(found[0]).startswith("nothing to learn: the last message is not the assistant's")
    assert found[1] is not None
    assert found[2] is None


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


def test_a_tokenizer_is_not_left_cutting(tokenizer: Any) -> None:
    tokenize(tokenizer, ["a b c d e f g"], None, 4)
    assert tokenizer.backend_tokenizer.truncation is None
