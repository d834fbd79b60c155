"""summarization and translation: features, losses, generation, languages; beside transformers' own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, MBartTokenizer, NllbTokenizer
from transformers.trainer_pt_utils import LabelSmoother

from job.batching.padding import Padding
from job.batching.steps import evaluation_batches
from job.data.arrow import MappedTable
from job.errors import SettingsError
from job.settings import Encode, Generation, Train
from job.tasks.seq2seq import Seq2Seq, Summarization, Translation
from job.tasks.values import FIXED, Batch, Scored
from tests.support.samples import cleaned, encoded, settings_of
from tests.support.seq2seq_samples import BACKWARDS, tiny
from tests.support.trainer_parity import losses_of_both

ROWS = {
    "source": ["the dog sleeps", "a", "the big red dog runs under the tree"],
    "target": ["sleeps dog the", "the cat sees a small blue house", "a"],
}


@pytest.fixture(scope="module", params=["t5", "bart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for pair in BACKWARDS for text in pair]
    return tiny(tmp_path_factory.mktemp(request.param), texts, request.param)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def made(kind: type[Seq2Seq] = Translation, smoothing: float = 0.0, **encode: Any) -> Seq2Seq:
    train = Train(label_smoothing=smoothing)
    return kind.create(settings_of(encode=Encode(**encode), train=train))


def table_of(task: Seq2Seq, tokenizer: Any, path: Path) -> MappedTable:
    return MappedTable(encoded(task.features(ROWS, tokenizer, 64), path))


def test_features_are_source_and_target_with_their_special_tokens(tokenizer: Any) -> None:
    task = made(prefix="reverse: ", max_target_length=6)
    features = task.features(ROWS, tokenizer, 64)
    assert features.columns["input_ids"].to_pylist() == [
        tokenizer("reverse: " + source)["input_ids"] for source in ROWS["source"]
    ]
    wanted = tokenizer(text_target=ROWS["target"], truncation=True, max_length=6)["input_ids"]
    assert features.columns["labels"].to_pylist() == wanted
    assert features.truncated == 1
    assert task.features(ROWS, tokenizer, 5).truncated == 3, "a row that is cut twice counts once"


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=30))
def test_no_micro_batch_holds_more_than_its_limit(sizes: list[tuple[int, int]]) -> None:
    multiple, limit = 4, 200
    lengths = np.array([2 * (-(-max(size) // multiple) * multiple) for size in sizes])
    for rows in evaluation_batches(lengths, tokens=limit, multiple=multiple):
        widths = [
            -(-max(sizes[row][side] for row in rows) // multiple) * multiple for side in (0, 1)
        ]
        assert len(rows) * sum(widths) <= limit


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_transformers_own(
    folder: Path, tokenizer: Any, tmp_path: Path, smoothing: float
) -> None:
    task = made(smoothing=smoothing)
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = np.arange(3)
    batch = task.collate(table, rows, Padding(0), FIXED)
    theirs = tokenizer(ROWS["source"], padding=True, return_tensors="pt")
    labels = tokenizer(text_target=ROWS["target"], padding=True, return_tensors="pt")
    theirs["labels"] = labels.input_ids.masked_fill(labels.attention_mask == 0, -100)
    with torch.no_grad():
        outputs = model(**theirs)
        expected = (
            LabelSmoother(smoothing)(outputs, theirs["labels"]) if smoothing else outputs.loss
        )
        loss = float(task.loss(task.forward(model, batch), batch))
    assert loss / task.row_weights(table, rows, 0).sum() == pytest.approx(float(expected), rel=1e-5)
    nothing = task.collate(table, rows[:0], Padding(0), 0)
    assert task.loss(task.forward(model, nothing), nothing).item() == 0


def test_wrapped_models_and_those_that_move_the_labels_themselves(
    folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from peft import LoraConfig, TaskType, get_peft_model

    task = made()
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    batch = task.collate(table, np.arange(3), Padding(0), FIXED)

    class Parallel(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Any) -> Any:
            return self.module(**inputs)

    class Silent(torch.nn.Module):
        def forward(self, **inputs: Any) -> Any:
            return model(**inputs)

    with torch.no_grad():
        expected = task.forward(model, batch).logits
        for wrapped in (Parallel(model), Silent()):
            assert torch.allclose(task.forward(wrapped, batch).logits, expected)
        adapted = get_peft_model(
            AutoModelForSeq2SeqLM.from_pretrained(folder),
            LoraConfig(task_type=TaskType(task.peft_type), target_modules="all-linear"),
        ).eval()
        assert torch.allclose(task.forward(adapted, batch).logits, expected, atol=1e-6)
        assert len(task.predict(adapted, batch)[0]) == 3


def test_fixed_padding_gives_each_side_its_own_width(tokenizer: Any, tmp_path: Path) -> None:
    task = made(padding="max_length", max_target_length=24)
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    batch = task.collate(table, np.arange(3), Padding(0, fixed=64), FIXED)
    assert (batch["input_ids"].shape, batch["labels"].shape) == ((3, 64), (3, 24))
    assert table.column("length").tolist() == [88] * 3


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


def test_the_metrics_are_those_of_the_task(tokenizer: Any, tmp_path: Path) -> None:
    rows = MappedTable(cleaned(ROWS, tmp_path / "cleaned.arrow"))
    right = [np.array([0, 1, *tokenizer(t)["input_ids"], 0]) for t in ROWS["target"]]
    for kind, names in (
        (Summarization, {"rouge1", "rouge2", "rougeL", "rougeLsum"}),
        (Translation, {"bleu", "chrf"}),
    ):
        task = made(kind)
        scores = task.metrics(Scored(right, rows, rows, tokenizer))
        assert set(scores) == names
        assert task.default_metric in names
        assert scores[task.default_metric] == pytest.approx(100) or kind is Summarization
        assert all(task.signatures.values())


def test_rows_without_a_side_are_problems() -> None:
    found = made().problems({"source": [None, "a", "a"], "target": ["b", None, ""]})
    assert found == ["no source", "no target", None]


def nllb() -> Any:
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4, "a": 5, "▁a": 6}
    return NllbTokenizer(vocab=vocabulary, merges=[("▁", "a")])


def test_a_tokenizer_of_several_languages_is_told_them(tmp_path: Path) -> None:
    tokenizer = nllb()
    task = made(source_language="deu_Latn", target_language="fra_Latn")
    task.configure_tokenizer(tokenizer)
    columns = task.features({"source": ["a"], "target": ["a"]}, tokenizer, 8).columns
    code = tokenizer.convert_tokens_to_ids
    assert columns["input_ids"][0].as_py() == [code("deu_Latn"), 6, 2]
    assert columns["labels"][0].as_py() == [code("fra_Latn"), 6, 2]
    fitted = task.fitted({}, {}, (), tokenizer)
    assert fitted.facts == {"forced_bos_token_id": code("fra_Latn"), "decoder_start_token_id": None}
    assert task.restored(fitted.facts) == fitted
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("a", text_target="a")["labels"] == columns["labels"][0].as_py()


def test_mbart_begins_with_the_language_that_its_targets_end_with() -> None:
    tokenizer = MBartTokenizer()
    task = made(source_language="en_XX", target_language="ro_RO")
    task.configure_tokenizer(tokenizer)
    facts = task.fitted({}, {}, (), tokenizer).facts
    assert facts["decoder_start_token_id"] == tokenizer.convert_tokens_to_ids("ro_RO")
    assert facts["forced_bos_token_id"] is None


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        ({}, "FINETUNE_ENCODE__TARGET_LANGUAGE"),
        ({"target_language": "fra_Latin"}, "fra_Latn"),
    ],
)
def test_missing_and_unknown_languages_are_refused(encode: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        made(**encode).configure_tokenizer(nllb())


def test_tokenizers_that_cannot_do_it_are_refused(tokenizer: Any) -> None:
    made().configure_tokenizer(tokenizer)
    with pytest.raises(SettingsError, match="knows no languages"):
        made(target_language="fr").configure_tokenizer(tokenizer)
    other = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    other.eos_token = None
    with pytest.raises(SettingsError, match="end-of-text token"):
        made().configure_tokenizer(other)


@pytest.mark.parametrize("kind", [Translation, Summarization])
def test_20_steps_have_the_losses_of_trainer(
    folder: Path, tokenizer: Any, tmp_path: Path, kind: type[Seq2Seq]
) -> None:
    task = made(kind)
    rows = {"source": [a for a, _ in BACKWARDS[:120]], "target": [b for _, b in BACKWARDS[:120]]}
    encoded(task.features(rows, tokenizer, 64), tmp_path / "train.arrow")

    def as_theirs(batch: Batch) -> Batch:
        return {k: v for k, v in batch.items() if k != "weights"}

    ours, theirs = losses_of_both(task, tmp_path, folder, tmp_path / "run", as_theirs=as_theirs)
    assert len(ours) == 20
    assert ours == pytest.approx(theirs, rel=1e-5)
