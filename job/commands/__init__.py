"""The commands: one table of what each does, how it runs, and which mistakes in the settings concern it.

A module here serves one command only. An entry is named, not imported, so that the command line
answers before anything heavy is read from the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    word: str = ""
    """What it takes before the flags: `VERSION`, or `[VERSION]` where it need not be given."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Those of its own, with what they do: `--json`, or with a value `--keep N`."""

    def resolve(self) -> Any:
        """The function that `entry` names."""
        module, _, function = self.entry.partition(":")
        return getattr(import_module(module), function)

    @property
    def synopsis(self) -> str:
        """How it is called, but for settings."""
        flags = (f"[{flag}]" for flag in self.flags)
        return " ".join(filter(None, ("finetune", self.name, self.word, *flags)))

    @property
    def usage(self) -> str:
        """What `finetune COMMAND --help` prints."""
        width = max(map(len, self.flags), default=0)
        listed = "".join(f"  {flag:<{width}}  {does}\n" for flag, does in self.flags.items())
        flags = f"{listed}\n" if listed else ""
        return f"usage: {self.synopsis} {_SETTINGS}\n\n{self.help}\n\n{flags}{_SOURCES}"


_SETTINGS = "[--SECTION.NAME VALUE …]"
_SOURCES = (
    "Settings come from flags, FINETUNE_… variables, and the file that FINETUNE_CONFIG names.\n"
    "`finetune config --reference` explains them all.\n"
)
_JSON = {"--json": "print JSON on a terminal too"}
_REASON = {"--reason TEXT": "why, for the history in champion.json"}

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
        word="VERSION",
        flags={"--json": "print the comparison as JSON"},
    ),
    Command(
        "models",
        "the versions of a model, their scores and verdicts, and which is in use",
        "job.commands.models:run",
        supervised=False,
        flags=_JSON,
    ),
    Command(
        "promote",
        "make a version the champion, by hand",
        "job.commands.promote:run",
        supervised=False,
        word="VERSION",
        flags=_REASON,
    ),
    Command(
        "rollback",
        "make the champion before this one the champion again",
        "job.commands.rollback:run",
        supervised=False,
        word="[VERSION]",
        flags=_REASON,
    ),
    Command(
        "prune",
        "remove versions, checkpoints and data sets that nobody needs; --dry-run shows them",
        "job.commands.prune:run",
        supervised=False,
        flags={
            "--dry-run": "show what would be removed, with sizes, and remove nothing",
            "--keep N": "keep the N newest versions; by default 5",
            "--orphans": "remove torn versions too, and files that no manifest names",
            **_JSON,
        },
    ),
    Command(
        "status",
        "how runs stand, which version is in use, what has changed since",
        "job.commands.status:run",
        supervised=False,
        flags={"--json": "print one JSON object with all of it"},
    ),
    Command(
        "config",
        "the effective settings with their origins; --schema, --reference",
        "job.commands.config:run",
        supervised=False,
        flags={
            "--reference": "explain every setting, as a Markdown table",
            "--schema": "print the JSON Schema of the settings",
        },
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
        f"usage: finetune COMMAND {_SETTINGS}\n\n"
        f"{listed}\n"
        "`finetune COMMAND --help` shows the flags of a command.\n"
        f"{_SOURCES}"
    )
