"""transformers' own Trainer with the job's hyperparameters, for what a model learns beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def fit(
    model: Any, tokenizer: Any, rows: Any, collate: Any, folder: Path, *, seed: int, **named: Any
) -> Path:
    """Train on encoded rows and save; the defaults that differ from the job's are set to its own.

    Args:
        rows: a datasets.Dataset with the model's inputs and labels.
        named: TrainingArguments, such as the batch size and the number of steps.

    Returns:
        The folder of the model and its tokenizer.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "trainer"),
        warmup_steps=0.1,
        weight_decay=0.01,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=seed,
        **named,
    )
    loop = transformers.Trainer(model, arguments, collate, rows)
    loop.train()
    loop.save_model(str(folder / "model"))
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"
