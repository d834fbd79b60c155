"""The commands: one table of what each does, how it runs, and which mistakes in the settings concern it.

A module here serves one command only. An entry is named, not imported, so that the command line
answers before anything heavy is read from the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from job.errors import SettingsError

TRAINING = (
    *("output", "training_rows", "data", "model", "columns", "verbatim", "seq2seq", "train"),
    *("publish", "webhook"),
)
"""The rules (`job.settings.rules`) of everything that trains a model."""


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    name: str
    help: str
    """A line; empty for what only the job itself runs."""
    entry: str
    """`module:function`. A supervised one takes (Settings, StopSignal) and returns a Result; another
    takes the command line's arguments and returns an exit code."""
    rules: tuple[str, ...] = ()
    """The rules across settings that it must keep; none where it reads whatever is set."""
    supervised: bool = True
    """Whether it runs in worker processes below a supervisor, which forwards signals to them."""
    distributed: bool = False
    """Whether several pods, and several processes in each, take part."""

    def resolve(self) -> Any:
        """The function that `entry` names."""
        module, _, function = self.entry.partition(":")
        return getattr(import_module(module), function)


_TABLE = (
    Command(
        "run",
        "fetch, clean, encode, train, evaluate and publish",
        "job.pipeline:run",
        TRAINING,
        distributed=True,
    ),
    Command("prepare", "fetch, clean and encode only", "job.pipeline:prepare_only", TRAINING),
    Command(
        "evaluate",
        "score a published model, ours or the Hub's, on any rows",
        "job.commands.evaluate:run",
        ("output", "scored_rows", "data", "trained_model"),
    ),
    Command(
        "predict",
        "batch inference: rows in, the same rows with predictions out",
        "job.commands.predict:run",
        ("output", "predict", "data", "trained_model"),
    ),
    Command(
        "tokenizer",
        "train a tokenizer on the texts and publish it",
        "job.commands.tokenizer:run",
        ("output", "training_rows", "data", "tokenizer"),
    ),
    Command(
        "launch",
        "in the cluster: train if the data, the settings or the code have changed, else skip",
        "job.launch.launcher:launch",
        (*TRAINING, "launch"),
    ),
    Command(
        "check",
        "look before running: settings, store, model, first rows, memory; prints a plan",
        "job.commands.check:run",
        TRAINING,
        supervised=False,
    ),
    Command(
        "reproduce",
        "train a version again from what its manifest names, and compare the weights",
        "job.commands.reproduce:run",
        ("output",),
        supervised=False,
    ),
    Command(
        "models",
        "the versions of a model, their scores and verdicts, and which is in use",
        "job.commands.models:run",
        supervised=False,
    ),
    Command(
        "promote",
        "make a version the champion, by hand",
        "job.commands.promote:run",
        supervised=False,
    ),
    Command(
        "rollback",
        "make the champion before this one the champion again",
        "job.commands.rollback:run",
        supervised=False,
    ),
    Command(
        "prune",
        "remove versions, checkpoints and data sets that nobody needs; --dry-run shows them",
        "job.commands.prune:run",
        supervised=False,
    ),
    Command(
        "status",
        "how runs stand, which version is in use, what has changed since",
        "job.commands.status:run",
        supervised=False,
    ),
    Command(
        "config",
        "the effective settings with their origins; --schema, --reference",
        "job.commands.config:run",
        supervised=False,
    ),
    Command("outcome", "", "job.pipeline:outcome", TRAINING),
)
COMMANDS = {command.name: command for command in _TABLE}


def find(name: str) -> Command:
    """The command of that name.

    Raises:
        SettingsError: there is none; with the nearest one that there is.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    near = get_close_matches(name, [c.name for c in _TABLE if c.help], n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise SettingsError(f"there is no command {name!r}{guess}", hint="see --help")


def usage() -> str:
    """What `finetune --help` prints."""
    listed = "".join(f"  {c.name:<10} {c.help}\n" for c in _TABLE if c.help)
    return (
        "usage: finetune COMMAND [--SECTION.NAME VALUE …]\n\n"
        f"{listed}\n"
        "Settings come from flags, FINETUNE_… variables, and the file that FINETUNE_CONFIG names.\n"
    )
