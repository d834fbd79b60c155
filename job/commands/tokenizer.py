"""`finetune tokenizer`: texts in the store become a published tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from job import models, prepare
from job.runs import identity
from job.runs.attempt import probed
from job.runs.results import Result, existing
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.stages.tokenizer import train_tokenizer
from job.stages.tokenizer.row_rules import TextRules
from job.store import layout
from job.store.commit import commit, lay_out, own_number
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, train, publish; or nothing, where the same tokenizer is published already.

    It lies under `{name}/tokenizers/{fingerprint}/` and is used by naming that place, at the root
    of `output`, in FINETUNE_MODEL__TOKENIZER.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        inputs, base = resolve_inputs(settings.data), _base(settings, scratch)
        identified = base and models.tokenizer_sha256(base)
        key = layout.tokenizer(settings.name, identity.tokenizer(settings, inputs, identified))
        facts = {"tokenizer": str(store.uri / key)}
        if (before := existing(store, key)) is not None:
            event("the tokenizer is published already", place=facts["tokenizer"])
            lay_out(store, key, before)
            return Result(facts)
        # every row is for training: nothing is scored on held-out ones
        data = settings.data.model_copy(update={"validation_fraction": 0.0, "test_fraction": 0.0})
        rules = TextRules({"text": settings.data.columns.text})
        rows = prepare.rows(settings.model_copy(update={"data": data}), rules, inputs, scratch)
        folder = scratch / "tokenizer"
        found = train_tokenizer(settings.tokenizer, rows, base, folder)
        files = {path.name: path for path in sorted(folder.iterdir())}
        meta = {"kind": settings.tokenizer.kind}
        manifest = commit(store, key, files, attempt=own_number(), meta=meta, exists_ok=True)
        lay_out(store, key, manifest)
        figures = {name: round(value, 4) for name, value in found["tokenizer"].items()}
        return Result({**facts, **figures})


def _base(settings: Settings, scratch: Path) -> PreTrainedTokenizerFast | None:
    """The tokenizer to retrain or to compare with, if one is named."""
    name = settings.tokenizer.base or settings.model.tokenizer or settings.model.name
    return models.load_tokenizer(models.find(name, None, scratch), settings.model) if name else None
