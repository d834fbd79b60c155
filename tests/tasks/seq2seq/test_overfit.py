"""Small T5s and BARTs learn real pairs by heart: with a wrong shift, mask or end of text they could not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from accelerate.state import AcceleratorState
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from job.scoring.inference import Inference
from job.settings import Checkpoint, Encode, Model, Runtime, Train
from job.settings.tree import Log
from job.stages.evaluate import evaluate
from job.stages.train import train
from job.tasks.seq2seq import Seq2Seq, Summarization, Translation
from tests.support.samples import SHARED, cleaned, encoded, settings_of
from tests.support.seq2seq_samples import dialogsum, multi30k, tiny
from tests.support.training import context_of

TRAIN = Train(max_steps=600, batch_size=16, learning_rate=2e-3, tokens_per_device=100_000)
MAX_LENGTH = 512


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize(
    ("task_class", "pairs_of", "metric"),
    [(Translation, multi30k, "test_bleu"), (Summarization, dialogsum, "test_rougeL")],
)
def test_32_real_pairs_are_learned_by_heart(
    task_class: type[Seq2Seq], pairs_of: Any, metric: str, kind: str, tmp_path: Path
) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    pairs = pairs_of(32)
    rows = {"source": [a for a, _ in pairs], "target": [b for _, b in pairs]}
    model = tiny(tmp_path / kind, [t for p in pairs for t in p], kind, width=128, words=1000)
    _turn_off_dropout(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = Encode(max_length=MAX_LENGTH, max_target_length=200)
    task = task_class.create(settings_of(encode=lengths, train=TRAIN))
    for split in ("train", "test"):
        encoded(task.features(rows, tokenizer, MAX_LENGTH), tmp_path / f"{split}.arrow")
    cleaned(rows, tmp_path / "test.rows.arrow")
    settings = settings_of(
        train=TRAIN,
        model=Model(name=str(model)),
        checkpoint=Checkpoint(every_seconds=1e9),
        runtime=Runtime(device="cpu"),
        log=Log(level="error"),
        seed=1,
    )
    context = context_of(settings, task, model, tmp_path, tmp_path)
    trained = train(context)
    inference = Inference.load(settings, trained.place, task, tokenizer, context.limits)
    scores = evaluate(inference, context.dataset, settings, tmp_path)
    print(task.name, kind, scores.results)
    assert scores.results[metric] >= 95

    alone = AutoModelForSeq2SeqLM.from_pretrained(trained.folder).eval()
    for n, prediction in enumerate(pq.read_table(scores.predictions)["prediction"].to_pylist()[:5]):
        inputs = tokenizer(pairs[n][0], truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        ids = alone.generate(**inputs)[0]
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == prediction


def _turn_off_dropout(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config |= {name: 0.0 for name in config if name.endswith(("dropout", "dropout_rate"))}
    (model / "config.json").write_text(json.dumps(config))
