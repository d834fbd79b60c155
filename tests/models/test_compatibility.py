"""Which architecture can learn which task, found out before anything is downloaded but its config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transformers

from job.errors import SettingsError
from job.models import Place, check_fits
from job.settings import Settings
from job.tasks import create

ENCODERS = ["bert", "roberta", "distilbert", "modernbert"]
DECODERS = ["gpt2", "llama"]
BOTH = ["t5", "bart", "marian", "mbart", "m2m_100"]
GOOD = {
    "text-classification": ENCODERS + DECODERS,
    "token-classification": ENCODERS,
    "question-answering": ENCODERS,
    "fill-mask": ENCODERS,
    "text-generation": DECODERS,
    "summarization": BOTH,
    "translation": BOTH,
}
BAD = {
    "fill-mask": ["gpt2", "llama", "t5"],
    "text-generation": [*ENCODERS, "t5", "vit"],
    "summarization": [*ENCODERS, *DECODERS],
    "translation": [*ENCODERS, *DECODERS],
    "token-classification": ["vit", "marian"],
    "question-answering": ["vit", "marian"],
    "text-classification": ["vit", "marian"],
}
CASES = [(task, kind, good) for good, table in ((True, GOOD), (False, BAD)) for task in table for kind in table[task]]  # fmt: skip


@pytest.mark.parametrize(("task", "kind", "good"), CASES)
def test_what_fits(task: Any, kind: str, good: bool) -> None:
    config = transformers.AutoConfig.for_model(kind)
    place = Place("some/model", Path(), "")
    chosen = create(Settings.model_construct(task=task))
    if good:
        check_fits(config, chosen, place)
        return
    with pytest.raises(
        SettingsError, match=f"the task {task} needs an? .* such as .* {kind} model"
    ):
        check_fits(config, chosen, place)


def test_an_encoder_that_is_told_to_be_a_decoder_is_one() -> None:
    config = transformers.BertConfig(is_decoder=True)
    check_fits(config, create(Settings.model_construct(task="text-generation")), Place("m", Path(), ""))  # fmt: skip


def test_a_model_with_code_of_its_own_is_left_to_it() -> None:
    @dataclass
    class Own:
        model_type: str = "own"
        auto_map: tuple[str, ...] = ("AutoModelForMaskedLM",)

    check_fits(Own(), create(Settings.model_construct(task="fill-mask")), Place("m", Path(), ""))
