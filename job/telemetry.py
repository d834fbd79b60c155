"""What the job says while it runs: text with a progress bar for a person, JSON lines for a machine."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from job.redaction import redact, redact_all
from job.settings.tree import Log

log = logging.getLogger("finetune")


class _Json(logging.Formatter):
    """One JSON object a record; fields given as `extra={"fields": …}` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(redact_all(line), ensure_ascii=False)


class _Text(logging.Formatter):
    """`message  key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{k}={_short(v)}" for k, v in getattr(record, "fields", {}).items())
        line = record.getMessage() + (f"  {fields}" if fields else "")
        if record.levelno >= logging.WARNING:
            line = f"{record.levelname.lower()}: {line}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def on_terminal(settings: Log) -> bool:
    """Whether a person is watching."""
    return settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())


def set_up(settings: Log) -> None:
    """Send the job's records to stderr, and keep the libraries' own bars and advice out of it."""
    handler: logging.Handler
    if on_terminal(settings) and sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        handler = RichHandler(
            console=Console(stderr=True),
            show_path=False,
            show_level=False,
            markup=False,
            highlighter=None,
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if on_terminal(settings) else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log.setLevel(settings.level.upper())


def event(message: str, **fields: Any) -> None:
    """Log what happened, with its figures as fields."""
    log.info(message, extra={"fields": fields})


class Watcher(Protocol):
    """One that is told how a run is doing, besides the log; it must be quick."""

    def reached(self, reason: str, message: str) -> None:
        """A milestone, by a word such as `Resumed`."""
        ...

    def figures(self, **figures: Any) -> None:
        """The latest figures."""
        ...


_watchers: list[Watcher] = []


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Tell `by` of milestones and figures, within."""
    _watchers.append(by)
    try:
        yield
    finally:
        _watchers.remove(by)


def milestone(reason: str, message: str, **fields: Any) -> None:
    """Log what happened and tell the watchers: started, resumed, checkpointed, published. A reason that
    ends in Failed is a warning, as it is among a cluster's Events."""
    (warn if reason.endswith("Failed") else event)(message, **fields)
    shown = redact(message + "".join(f", {k} {_short(v)}" for k, v in fields.items()))
    for watcher in _watchers:
        watcher.reached(reason, shown)


def figures(**values: Any) -> None:
    """Tell the watchers, without a line in the log."""
    for watcher in _watchers:
        watcher.figures(**values)


def warn(message: str, **fields: Any) -> None:
    """Log what a reader should look at."""
    log.warning(message, extra={"fields": fields})


class Progress(Protocol):
    """How far a stage is."""

    def advance(self, amount: int = 1, **fields: Any) -> None:
        """So much more is done; `fields` are the latest figures."""
        ...


class _Lines:
    """A line at the first step and every few seconds, so that a log stays short and a watcher sees that
    the job lives."""

    def __init__(self, what: str, total: int | None, start: int, every_seconds: float) -> None:
        self.what, self.total, self.done, self.every = what, total, start, every_seconds
        self.last = -math.inf

    def advance(self, amount: int = 1, **fields: Any) -> None:
        self.done += amount
        if time.monotonic() - self.last >= self.every or self.done == self.total:
            self.last = time.monotonic()
            event(self.what, done=self.done, total=self.total, **fields)


class _Bar:
    """rich's bar with the latest figures behind it."""

    def __init__(self, bar: Any, task: Any) -> None:
        self.bar, self.task = bar, task

    def advance(self, amount: int = 1, **fields: Any) -> None:
        text = redact(" ".join(f"{k}={_short(v)}" for k, v in fields.items()))
        self.bar.update(self.task, advance=amount, **({"fields": text} if text else {}))


@contextmanager
def progress(
    settings: Log, what: str, total: int | None, *, start: int = 0, every_seconds: float = 5.0
) -> Iterator[Progress]:
    """A progress bar on a terminal, log lines otherwise."""
    if not (on_terminal(settings) and sys.stderr.isatty()):
        yield _Lines(what, total, start, every_seconds)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[fields]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(what, total=total, completed=start, fields=""))
