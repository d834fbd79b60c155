"""What LoRA trains beside its adapters: whatever the base does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from job import models, tasks
from job.models import Place
from job.settings import load
from job.stages.train import StartingPoint
from job.stages.train.export import write
from job.stages.train.model import initial_model
from tests.support.architectures import ARCHITECTURES

CLASSES = ["ham", "spam"]
HEADS = {
    ("bart", "text-classification"): ("classification_head.dense.weight", "classification_head.out_proj.bias"),
    ("electra", "text-classification"): ("classifier.dense.weight", "classifier.out_proj.bias"),
    ("bert", "text-classification"): ("classifier.weight", "classifier.bias"),
    ("bert", "fill-mask"): ("cls.predictions.transform.dense.weight", "cls.predictions.bias"),
    ("xlnet", "text-classification"): ("sequence_summary.summary.weight", "logits_proj.bias"),
}  # fmt: skip


def started(kind: str, task: str, folder: Path, *, merge: bool = True, more: int = 0) -> Any:
    """A model with adapters on all linear layers, and `more` tokens than it has rows for."""
    ARCHITECTURES[kind].build(folder, kind)
    given = {"TASK": task, "MODEL__NAME": str(folder), "PUBLISH__MERGE": str(merge).lower()}
    given["MODEL__LORA"] = '{"target_modules": "all-linear"}'
    settings = load({f"FINETUNE_{name}": value for name, value in given.items()}).settings
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<{number}>" for number in range(more)])
    counts = {"train": dict.fromkeys(CLASSES, 1)}
    fitted = tasks.create(settings).fitted({"label": CLASSES}, counts, (), tokenizer)
    return StartingPoint(settings, fitted, Place(str(folder), folder, ""), tokenizer)


def moved(model: Any) -> set[str]:
    """Move everything that is trained; returns its names in the base model."""
    names = set()
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
                names.add(
                    name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
                )
    return names


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(("kind", "task"), HEADS)
def test_a_head_that_the_base_lacks_is_trained_and_saved(
    kind: str, task: str, merge: bool, tmp_path: Path
) -> None:
    start = started(kind, task, tmp_path / "base", merge=merge)
    model = initial_model(start).eval()
    assert set(HEADS[kind, task]) <= moved(model)
    ids = torch.tensor([[5, 6, 7, 2]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        place = write(start, model, tmp_path / "saved")
        again = models.load(place, start.task, start.settings.model, trained=True).eval()
        torch.testing.assert_close(again(input_ids=ids).logits, before)


def test_a_model_with_adapters_takes_every_input(tmp_path: Path) -> None:
    """Which of two texts a token belongs to is lost on the way in peft's class for questions."""
    model = initial_model(started("bert", "question-answering", tmp_path / "base")).eval()
    given = {"input_ids": torch.tensor([[2, 5, 3, 6, 7, 3]])}
    types = {"token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1]])}
    with torch.no_grad():
        logits = model(**given, **types).start_logits
        assert torch.equal(logits, model.get_base_model()(**given, **types).start_logits)
        assert not torch.allclose(logits, model(**given).start_logits)


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("kind", ["gpt2", "bart", "t5"])
def test_rows_of_new_tokens_are_trained_and_saved(kind: str, merge: bool, tmp_path: Path) -> None:
    task = "text-generation" if kind == "gpt2" else "translation"
    start = started(kind, task, tmp_path / "base", merge=merge, more=2)
    model = initial_model(start).eval()
    assert any("trainable_tokens" in name for name in moved(model))
    new = len(start.tokenizer) - 1
    given: dict[str, Any] = {"input_ids": torch.tensor([[5, 6, 2, new]])}
    if kind != "gpt2":
        given["decoder_input_ids"] = torch.tensor([[0, new]])
    with torch.no_grad():
        before = model(**given).logits
        place = write(start, model, tmp_path / "saved")
        again = models.load(place, start.task, start.settings.model, trained=True).eval()
        torch.testing.assert_close(again(**given).logits, before)
