"""`finetune check`: what a run would meet, found out in seconds on a CPU; only a probe is written."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job import models, prepare, tasks, telemetry
from job.batching.sampler import steps_per_epoch
from job.commands import TRAINING
from job.commands.printing import answer
from job.data.arrow import stream
from job.data.artifacts import SPLITS, CleanRows, Inputs
from job.errors import DataError
from job.gate import parts
from job.gate.outlook import outlook
from job.models.base import Base, find_base
from job.registry import champion
from job.runtime.container import memory
from job.runtime.device import has_gpu
from job.runtime.scratch import scratch_folder
from job.settings import Settings, load
from job.stages.clean import HeldBack
from job.stages.encode import first_rows
from job.stages.fetch import resolve_inputs
from job.store import Store, open_store
from job.store.probe import probe_conditional_writes
from job.tasks.base import Task
from job.tasks.row_rules import Readable
from job.tasks.tokens import tokenize

ROWS = 2000
"""Rows of each split that are looked at."""
PROBE_BYTES = 8 * 2**20


def run(arguments: list[str]) -> int:
    """Look before running, and print the plan."""
    settings = load(os.environ, arguments, rules=TRAINING).settings
    telemetry.set_up(settings.log)
    for line in plan(settings):
        answer(line)
    return 0


def plan(settings: Settings) -> Iterator[str]:
    """The plan of the run, a line at a time.

    Raises:
        JobError: what would end the run, with the run's own exit code.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = open_store(settings.output, single_writer=settings.store.single_writer)
        yield from _store(store, settings)
        inputs = resolve_inputs(settings.data)
        yield from _inputs(inputs)
        task = tasks.create(settings)
        held_back = _held_back(store, settings, task, scratch)
        rows = prepare.rows(settings, task, inputs, scratch, limit=ROWS, held_back=held_back)
        yield from _rows(rows, task)
        yield from _held_out(settings, rows)
        # the model's files are read last, since that imports torch
        base = find_base(settings, scratch)
        if not _all_readable(rows, task, base):
            rules, again = Readable(task, base.tokenizer), scratch / "readable"
            rows = prepare.rows(settings, rules, inputs, again, limit=ROWS, held_back=held_back)
            yield from _rows(rows, task)
        yield from _gate(settings, task, store, scratch)
        yield from _model(settings, base, task, rows, store, scratch)


def _store(store: Store, settings: Settings) -> Iterator[str]:
    if settings.store.single_writer:
        yield f"store      {store.uri}: conditional writes not tried, since SINGLE_WRITER is set"
        return
    probe_conditional_writes(store)
    yield f"store      {store.uri}: reads, writes and honours conditional writes"


def _held_back(store: Store, settings: Settings, task: Task, scratch: Path) -> HeldBack:
    gate = champion.read(store, settings.name)[0].gate
    return parts.held_back(store, settings.name, gate, settings, task, scratch)


def _gate(settings: Settings, task: Task, store: Store, scratch: Path) -> Iterator[str]:
    said, hopeless = outlook(settings, task, store, scratch / "outlook")
    yield f"gate       {said}"
    if hopeless:
        yield f"warning    gate: {hopeless}"


def _inputs(inputs: Inputs) -> Iterator[str]:
    for split in SPLITS:
        files = [i for i in inputs.files if i.split == split]
        if files:
            size = sum(i.size for i in files)
            yield f"data       {split}: {len(files)} file(s), {_bytes(size)}, first {files[0].uri}"


def _rows(rows: CleanRows, task: Task) -> Iterator[str]:
    for split, counts in rows.profile["splits"].items():
        if not counts["rows"]:
            continue
        labels = counts["labels"]
        shown = ", ".join(f"{name} {n}" for name, n in list(labels.items())[:10])
        yield (
            f"rows       {split}: "
            + (f"of the first {counts['read']}, " if counts["read"] else "held out of them, ")
            + f"{counts['rows']} are used, {counts['bad']} are bad, "
            f"{sum(counts['dropped'].values())} dropped"
            + (f"; labels: {shown}{' …' if len(labels) > 10 else ''}" if labels else "")
        )
        if len(labels) == 1 and "label" in task.columns:
            yield f"warning    {split}: these rows hold one class only; is the file sorted by label?"


def _held_out(settings: Settings, rows: CleanRows) -> Iterator[str]:
    for split in ("validation", "test"):
        name = f"{split}_fraction"
        if split not in rows.rows and getattr(settings.data, name):
            yield f"warning    {split}: none of the first {ROWS} rows is held out; if they are nearly all, raise FINETUNE_DATA__{name.upper()}"


def _all_readable(rows: CleanRows, task: Task, base: Base) -> bool:
    """Whether the tokenizer, which was not known when the rows were cleaned, can read them all."""
    return not any(
        any(task.unreadable(batch.to_pydict(), base.tokenizer))
        for path in rows.tables.values()
        for batch in stream(path)
    )


def _model(
    settings: Settings, base: Base, task: Task, rows: CleanRows, store: Store, scratch: Path
) -> Iterator[str]:
    place, config = base.place, base.config
    parameters = models.parameter_count(config, task)
    yield f"model      {place.name}: {config.model_type}, {parameters / 1e6:.1f} M parameters, {place.identity[:24]}"
    yield from _tokens(settings, task, base.tokenizer, base.max_length, rows)
    size = _Sizes.of(settings, config, parameters, base.max_length)
    yield from _memory(settings, size)
    yield from _trial(settings, base, task, rows, scratch)
    yield from _grace(settings, size, store, scratch)


def _trial(
    settings: Settings, base: Base, task: Task, rows: CleanRows, scratch: Path
) -> Iterator[str]:
    """Train on a few of the rows, only to see that config, tokenizer and weights fit together.

    Raises:
        SettingsError: they do not.
    """
    from job.stages.train import Sample, StartingPoint, try_out

    counts = {"train": rows.profile["splits"]["train"]["labels"]}
    try:
        task = task.fitted(first_rows(rows.tables["train"]), counts, base.labels, base.tokenizer)
    except DataError as error:  # further rows may hold what is missing in these
        yield f"warning    no trial batch: {error.message}"
        return
    start = StartingPoint(settings, task, base.place, base.tokenizer)
    padding = base.limits(settings).padding
    sample = Sample.encoded(rows.tables["train"], task, base, padding)
    trial = try_out(start, sample, scratch)
    how = "" if trial.whole else ", with the first layers alone, since the model is large"
    if not trial.ran:
        how = ", without running the model, which is too large for that"
    yield (
        f"trial      {trial.rows} rows in {trial.seconds:.1f} s{how}: padded and alone, backward, a step, saved and "
        "loaded; text through the saved tokenizer"
    )


def _tokens(
    settings: Settings, task: Task, tokenizer: Any, max_length: int, rows: CleanRows
) -> Iterator[str]:
    first = next(stream(rows.tables["train"])).slice(0, ROWS).to_pydict()
    lengths = sorted(tokenize(tokenizer, task.texts_of(first), None, None).lengths.to_pylist())
    cut = sum(1 for length in lengths if length > max_length)
    middle, most = lengths[len(lengths) // 2], lengths[-1]
    yield f"tokens     a row: median {middle}, most {most}; {cut} of {len(lengths)} are longer than {max_length} and are cut"
    count = sum(rows.rows.values())
    steps = steps_per_epoch(rows.rows["train"], settings.train.batch_size)
    yield f"steps      {steps} an epoch of {settings.train.batch_size} rows, if these {count} rows are all"


@dataclass(frozen=True)
class _Sizes:
    """Estimates in bytes."""

    state: int
    """Weights, gradients and AdamW's two moments, in float32."""
    activations: int
    """Of the largest micro-batch (Korthikanti et al. 2022, arXiv 2205.05198, section 4)."""
    checkpoint: int

    @classmethod
    def of(cls, settings: Settings, config: Any, parameters: int, max_length: int) -> _Sizes:
        trained = parameters if settings.model.lora is None else max(1, parameters // 100)
        tokens = settings.train.tokens_per_device
        hidden = getattr(config, "hidden_size", 768)
        heads = getattr(config, "num_attention_heads", 12)
        layers = (
            1 if settings.model.gradient_checkpointing else getattr(config, "num_hidden_layers", 12)
        )
        # the paper counts bytes in half precision; float32 takes twice as many
        width = 1 if settings.train.precision in ("bf16", "fp16") else 2
        each = hidden * 34 + 5 * heads * min(max_length, tokens)
        return cls(4 * parameters + 12 * trained, width * tokens * layers * each, 12 * trained)


def _memory(settings: Settings, size: _Sizes) -> Iterator[str]:
    need, have = size.state + size.activations, _memory_of_device(settings)
    yield (
        f"memory     about {_bytes(need)} at most: {_bytes(size.state)} for weights, gradients and optimizer, "
        f"{_bytes(size.activations)} for a full micro-batch; the device has {_bytes(have)}"
    )
    if need > have:
        yield "warning    that may not fit; lower FINETUNE_TRAIN__TOKENS_PER_DEVICE, or set FINETUNE_MODEL__GRADIENT_CHECKPOINTING"


def _memory_of_device(settings: Settings) -> int:
    if has_gpu(settings.runtime):
        import torch

        return int(torch.cuda.mem_get_info()[1])
    return memory()


def _grace(settings: Settings, size: _Sizes, store: Store, scratch: Path) -> Iterator[str]:
    """A checkpoint must reach the store between SIGTERM and SIGKILL."""
    path = scratch / "probe"
    path.write_bytes(secrets.token_bytes(PROBE_BYTES))
    key = f"probe-{secrets.token_hex(8)}"
    began = time.monotonic()
    try:
        store.upload(path, key)
        rate = PROBE_BYTES / max(1e-3, time.monotonic() - began)
    finally:
        store.delete([key])
    seconds = size.checkpoint / rate
    yield f"checkpoint about {_bytes(size.checkpoint)}, {seconds:.1f} s at {_bytes(rate)}/s; the grace period is {settings.runtime.grace_seconds:g} s"
    if seconds > settings.runtime.grace_seconds:
        yield "warning    a checkpoint will not fit the grace period; raise FINETUNE_RUNTIME__GRACE_SECONDS and terminationGracePeriodSeconds"


def _bytes(number: float) -> str:
    power = min(4, int(math.log(max(1, number), 1024)))
    return f"{number / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
