"""Prompts without completions."""

from __future__ import annotations

from typing import Any

import pytest

from job.tasks.text_generation.predicting import Prompting
from tests.tasks.text_generation.samples import made


@pytest.mark.parametrize("prompt", ["a b", "a b c d e f g a b c d e f g"])
def test_a_prompt_is_the_same_in_training_and_in_use(tokenizer: Any, prompt: str) -> None:
    """This tokenizer puts [SEP] after a text; a model that learned it there would miss it in use."""
    task = made(prompt="prompt", completion="completion")
    learned = task.features({"prompt": [prompt], "completion": ["g"]}, tokenizer, 10).columns
    asked = Prompting.of(task).features({"prompt": [prompt]}, tokenizer, 10).columns
    (given,) = asked["input_ids"].to_pylist()
    ids, labels = learned["input_ids"][0].as_py(), learned["labels"][0].as_py()
    answer = [label for label in labels if label != -100]
    assert ids[0] == given[0] == tokenizer.cls_token_id
    assert ids[: -len(answer)][-len(given) + 1 :] == given[1:]
