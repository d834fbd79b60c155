"""Rows without targets, task by task, beside transformers' own pipelines and `generate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    pipeline,
)

from job import tasks
from job.batching.limits import Limits
from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE
from job.demo import tickets
from job.scoring.inference import Inference
from job.settings import Columns, Data, Encode, Evaluate, Generation, Model, Settings
from job.stages.predict import Predictor
from tests.support.samples import tiny_bert
from tests.support.seq2seq_samples import tiny

TEXTS = [text for text, _ in tickets(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS)


def predictor(settings: Settings, model: Any, tokenizer: Any) -> Predictor:
    task = tasks.predicting(tasks.create(settings)).learned(model.config, {}, tokenizer)
    task.configure_tokenizer(tokenizer)
    limits = Limits(256, Padding(int(tokenizer.pad_token_id)))
    return Predictor(Inference(model.eval(), task, tokenizer, limits), 48)


def asked(predictor: Predictor, rows: dict[str, list[str]]) -> dict[str, list[Any]]:
    count = len(next(iter(rows.values())))
    origin = {FILE: pa.array([0] * count, pa.int32()), LINE: pa.array(range(count), pa.int64())}
    task = predictor.inference.task
    assert task.problems(task.completed(rows)) == [None] * count
    table = predictor.predict(MappedTable.of(pa.table({**rows, **origin})))
    assert set(table.column_names) == {*task.predicted}
    return dict(table.to_pydict())


def saved(model: Any, folder: Path, into: Path) -> Any:
    model.save_pretrained(into)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(into)
    return tokenizer


def test_words_get_the_pipelines_entities(folder: Path, tmp_path: Path) -> None:
    config = BertConfig.from_pretrained(folder, num_labels=3)
    config.id2label = {0: "B-a", 1: "O", 2: "I-a"}
    torch.manual_seed(1)
    model = BertForTokenClassification(config)
    tokenizer = saved(model, folder, tmp_path)
    columns = asked(
        predictor(Settings(task="token-classification"), model, tokenizer), {"tokens": TEXTS[:9]}
    )
    assert "tags" not in columns
    classify = pipeline(
        "token-classification", model=str(tmp_path), aggregation_strategy="first", device="cpu"
    )
    for text, entities in zip(TEXTS, columns["entities"], strict=False):
        assert [(e["entity_group"], e["start"], e["end"]) for e in entities] == [
            (e["entity_group"], e["start"], e["end"]) for e in classify(text)
        ]


def test_masks_get_the_pipelines_tokens(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = BertForMaskedLM(BertConfig.from_pretrained(folder))
    tokenizer = saved(model, folder, tmp_path)
    rows = [f"[MASK] {text}" for text in TEXTS[:9]] + ["my [MASK] is [MASK]"]
    made = predictor(Settings(task="fill-mask"), model, tokenizer)
    columns = asked(made, {"text": rows})
    fill = pipeline("fill-mask", model=str(tmp_path), device="cpu")
    for text, best, candidates in zip(
        rows[:9], columns["prediction"], columns["candidates"], strict=False
    ):
        found = fill(text)
        assert best == [found[0]["token_str"]]
        assert [c["score"] for c in candidates[0]] == pytest.approx(
            [f["score"] for f in found], rel=1e-4
        )
    assert len(columns["prediction"][9]) == 2
    assert "no mask token" in str(made.inference.task.problems({"text": ["nothing"]}))


def test_prompts_are_gone_on_with(folder: Path) -> None:
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = "[SEP]"
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, eos_token_id=3, pad_token_id=0
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    settings = Settings(
        task="text-generation", evaluate=Evaluate(generation=Generation(max_new_tokens=6))
    )
    columns = asked(predictor(settings, model, tokenizer), {"text": TEXTS[:9]})
    for text, answer in zip(TEXTS, columns["prediction"], strict=False):
        ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :-1]  # without [SEP], the end
        whole = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(whole, skip_special_tokens=True).strip() == answer
    chat = Settings(task="text-generation", data=Data(columns=Columns(messages="m")))
    task = tasks.predicting(tasks.create(chat))
    asks = json.dumps([{"role": "user", "content": "a"}])
    told = json.dumps([{"role": "assistant", "content": "a"}])
    assert task.problems({"messages": [asks]}) == [None]
    assert "nothing is asked" in str(task.problems({"messages": [told]}))


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_sources_get_what_generate_gives(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    folder = tiny(tmp_path, TEXTS, kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    encode = Encode(prefix="say: ")
    settings = Settings(
        task="summarization",
        encode=encode,
        evaluate=Evaluate(generation=Generation(max_new_tokens=8)),
    )
    made = predictor(settings, model, tokenizer)
    made.inference.task.configure_generation(model.generation_config, model.config)
    columns = asked(made, {"source": TEXTS[:5]})
    assert list(columns) == ["prediction"]
    for text, answer in zip(TEXTS, columns["prediction"], strict=False):
        inputs = tokenizer("say: " + text, return_tensors="pt", truncation=True, max_length=48)
        ids = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == answer


def test_questions_get_answers_with_probabilities(folder: Path) -> None:
    torch.manual_seed(1)
    model = BertForQuestionAnswering(BertConfig.from_pretrained(folder))
    settings = Settings(task="question-answering", model=Model(name="m"))
    rows = {"question": ["what is it"] * 3, "context": TEXTS[:3]}
    columns = asked(predictor(settings, model, AutoTokenizer.from_pretrained(folder)), rows)
    assert all(
        answer and answer in text
        for answer, text in zip(columns["prediction"], TEXTS, strict=False)
    )
    assert all(0 < score <= 1 for score in columns["score"])
