"""What a task cannot use, through the command line: the row or column, and the task that needs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from tests.support.refusals import ROWS, given, refused
from tests.support.samples import tiny_bert, write_csv


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model"), [text for text, _ in ROWS])


@pytest.fixture(scope="module")
def decoder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.eos_token = "[SEP]"
    tokenizer.chat_template = STRICT
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = GPT2Config(vocab_size=600, n_positions=64, n_embd=8, n_layer=1, n_head=1, **ids)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


STRICT = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}{{ m.content }}{% endfor %}"
TAGGED = {"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]}
ASKED = {"question": "where?", "context": "in rome", "answers": {"text": [], "answer_start": []}}
CHAT = [{"role": "user", "content": "hello"}]
ANSWERED: dict[str, Any] = {"messages": [*CHAT, {"role": "assistant", "content": "hi"}]}
BAD_ROWS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "lengths": (
        "token-classification", TAGGED, {"tags": ["O"]},
        "2 tokens and 1 tags; token-classification needs a tag for each",
    ),
    "scheme": (
        "token-classification", TAGGED, {"tags": ["O", "X-LOC"]},
        "the tag 'X-LOC' is not in the scheme: O, B-TYPE, I-TYPE, E-TYPE, S-TYPE; "
        "token-classification needs one of these",
    ),
    "answer": (
        "question-answering", ASKED, {"answers": {"text": ["Rome"], "answer_start": [3]}},
        "the answer 'Rome' is not in its context at character 3; question-answering needs it there",
    ),
    "completion": (
        "text-generation", {"prompt": "a", "completion": "b"}, {"completion": " "},
        "nothing to learn: the completion is empty; text-generation needs one",
    ),
    "chat": (
        "text-generation", ANSWERED, {"messages": CHAT},
        "nothing to learn: the last message is not the assistant's; text-generation needs an answer",
    ),
    "template": (
        "text-generation", ANSWERED,
        {"messages": [{"role": "system", "content": "be kind"}, *ANSWERED["messages"]]},
        "the chat template refuses it: no system messages",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_a_task_cannot_use(case: str, model: Path, decoder: Path, tmp_path: Path) -> None:
    task, good, wrong, said = BAD_ROWS[case]
    model = decoder if task == "text-generation" else model
    data = tmp_path / "rows.jsonl"
    rows = [good, {**good, **wrong}, good]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    roles = ("prompt", "completion", "messages")
    columns = {f"DATA__COLUMNS__{role.upper()}": role for role in roles if role in good}
    nothing = {"DATA__VALIDATION_FRACTION": 0, "DATA__TEST_FRACTION": 0}
    env = given(tmp_path, model, data, TASK=task, **columns, **nothing)
    words = ("1 of 3 train rows", f"rows.jsonl:2: {said}")
    refused(65, *words, command="check", env=env, folder=tmp_path)


def test_a_decoder_for_an_encoders_task(model: Path, tmp_path: Path) -> None:
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "gpt2")
    config = GPT2Config(vocab_size=600, n_positions=32, n_embd=8, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    data = write_csv(tmp_path / "rows.csv", ROWS)
    env = given(tmp_path, tmp_path / "gpt2", data, TASK="fill-mask")
    words = ("fill-mask needs an encoder such as BERT, RoBERTa or ModernBERT", "is a gpt2 model")
    refused(78, *words, command="check", env=env, folder=tmp_path)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("mask_token", "the task fill-mask needs a tokenizer with a mask token"),
        (
            "pad_token",
            "has no padding token and none that could serve as one; every task needs one",
        ),
    ],
)
def test_a_tokenizer_without(token: str, said: str, model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    setattr(tokenizer, token, None)
    if token == "pad_token":
        tokenizer.unk_token = None
        shutil.copytree(model, model := tmp_path / "bert")
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    data = write_csv(tmp_path / "rows.csv", ROWS)
    more = {"TASK": "fill-mask", "MODEL__TOKENIZER": tmp_path / "tokenizer"}
    env = given(tmp_path, model, data, **more)
    refused(78, said, command="check", env=env, folder=tmp_path)


@pytest.mark.slow
def test_a_vocabulary_smaller_than_its_alphabet(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ROWS)
    env = given(tmp_path, "", data, TOKENIZER__KIND="unigram", TOKENIZER__VOCAB_SIZE=20)
    words = ("FINETUNE_TOKENIZER__VOCAB_SIZE=20 is smaller than the alphabet", "raise it")
    refused(78, *words, command="tokenizer", env=env, folder=tmp_path)


@pytest.mark.parametrize("command", ["check", pytest.param("prepare", marks=pytest.mark.slow)])
def test_config_and_tokenizer_that_disagree(command: str, model: Path, tmp_path: Path) -> None:
    """Found by the trial batch, before a GPU is asked for."""
    folder = Path(shutil.copytree(model, tmp_path / "bert"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "padding_side": "left"}))
    data = write_csv(tmp_path / "rows.csv", ROWS)
    words = (
        "padding changes what the model in",
        "alone and",
        "beside longer rows",
        "pads on the left",
    )
    refused(78, *words, command=command, env=given(tmp_path, folder, data), folder=tmp_path)
