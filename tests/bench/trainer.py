"""`make bench`: the train stage's rows a second beside transformers.Trainer's, alternating.

Every arm trains the same model on the same encoded rows with the same batch size, epochs and
learning rate, in a process of its own; the arms take turns, so that a noisy machine disturbs all
alike. Without the shared sms-spam file the demo's made-up tickets are used.

`python -m tests.bench.trainer [--rounds 3] [--epochs 1] [--rows N]`
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.demo import model_folder, tickets
from tests.support.samples import SHARED, encoded, settings_of

if TYPE_CHECKING:
    from job.settings import Checkpoint, Train
    from job.stages.train import TrainContext

ARMS = ("finetune", "random", "group_by_length")
MAX_LENGTH, BATCH, RATE = 128, 32, 5e-5


def rows_of(limit: int | None) -> list[tuple[str, str]]:
    """(text, label) of sms-spam, or of the demo."""
    path = SHARED / "sms-spam" / "sms.tsv"
    if not path.exists():
        return tickets(limit or 4000)
    lines = path.read_text(encoding="utf-8").splitlines()[:limit]
    return [(text, label) for label, _, text in (line.partition("\t") for line in lines)]


def finetune(rows: list[tuple[str, str]], epochs: float, folder: Path) -> dict[str, float]:
    """The train stage of the job, without evaluations."""
    from job.settings import Checkpoint, Train
    from job.stages.train import train

    settings = Train(epochs=epochs, batch_size=BATCH, learning_rate=RATE, warmup=0, weight_decay=0)
    checkpoint = Checkpoint(every_seconds=1e9)
    context = context_for(rows, settings, checkpoint, folder, str(folder / "store"))
    cpu = time.process_time()
    state = train(context).state
    return {"wall": state.seconds, "cpu": time.process_time() - cpu, "rows": state.rows}


def context_for(
    rows: list[tuple[str, str]], train: Train, checkpoint: Checkpoint, folder: Path, output: str
) -> TrainContext:
    """What the train stage is given for these rows."""
    from transformers import AutoTokenizer

    from job.settings import Model, Runtime
    from job.settings.tree import Log
    from job.tasks.text_classification import TextClassification
    from tests.support.training import context_of

    labels = [label for _, label in rows]
    task = TextClassification.create(settings_of(train=train))
    counts = {label: labels.count(label) for label in set(labels)}
    fitted = task.fitted({"label": labels[:9]}, {"train": counts}, ())
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    columns = {"text": [text for text, _ in rows], "label": labels}
    encoded(fitted.features(columns, tokenizer, MAX_LENGTH), folder / "train.arrow")
    settings = settings_of(
        train=train,
        model=Model(name=str(model_folder())),
        checkpoint=checkpoint,
        runtime=Runtime(device="cpu"),
        log=Log(level="error"),
        seed=42,
    )
    return context_of(
        settings, fitted, model_folder(), folder, folder, run=folder.name, output=output
    )


def trainer(
    rows: list[tuple[str, str]], epochs: float, folder: Path, strategy: str
) -> dict[str, float]:
    """transformers.Trainer with its defaults, on tokens made beforehand."""
    import transformers
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    transformers.logging.set_verbosity_error()
    names = sorted({label for _, label in rows})
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    data = Dataset.from_dict(
        {
            **tokenizer([text for text, _ in rows], truncation=True, max_length=MAX_LENGTH),
            "labels": [names.index(label) for _, label in rows],
        }
    )
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder(), num_labels=len(names)
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        train_sampling_strategy=strategy,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        seed=42,
    )
    loop = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), data)
    cpu = time.process_time()
    metrics: dict[str, Any] = loop.train().metrics
    return {
        "wall": metrics["train_runtime"],
        "cpu": time.process_time() - cpu,
        "rows": len(rows) * epochs,
    }


def arm(name: str, epochs: float, limit: int | None) -> dict[str, float]:
    """One arm in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.trainer", "--arm", name, "--epochs", str(epochs)]
    command += ["--rows", str(limit)] if limit else []
    env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(figures: dict[str, list[dict[str, float]]]) -> None:
    """Medians, and the ratios of each round."""
    for name, runs in figures.items():
        rate = statistics.median(r["rows"] / r["wall"] for r in runs)
        cpu = statistics.median(r["cpu"] for r in runs)
        print(f"{name:16} {rate:8.1f} rows/s   {cpu:7.1f} CPU s   (medians of {len(runs)})")
    for other in ARMS[1:]:
        ratios = [
            (ours["rows"] / ours["wall"]) / (theirs["rows"] / theirs["wall"])
            for ours, theirs in zip(figures["finetune"], figures[other], strict=True)
        ]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"finetune / Trainer {other}: {statistics.median(ratios):.2f} (rounds: {shown})")


def main() -> None:
    """Run the arms in turn, or one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--arm", choices=ARMS)
    given = parser.parse_args()
    if given.arm:
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(given.rows)
            if given.arm == "finetune":
                figures = finetune(rows, given.epochs, Path(folder))
            else:
                figures = trainer(rows, given.epochs, Path(folder), given.arm)
        print(json.dumps(figures))
        return
    collected: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    for number in range(given.rounds):
        for name in ARMS:
            collected[name].append(arm(name, given.epochs, given.rows))
            rate = collected[name][-1]["rows"] / collected[name][-1]["wall"]
            print(f"round {number + 1}: {name} {rate:.1f} rows/s", flush=True)
    report(collected)


if __name__ == "__main__":
    main()
