"""The tree that the job leaves in a store: every key of it, spelled here and nowhere else.

    {model}/
      datasets/{fingerprint}/
      runs/{run_id}/           settings.json  inputs.json  state.json  progress.json  preparation.json  waiting.json
                               checks.json  launch.json  metrics-{attempt}.jsonl  quarantine.jsonl
                               limits/tokens-{tokens}
        checkpoints/step-{step}/
      models/{version}/
      gate/{part}/
      champion.json
      evaluations/{fingerprint}/
      predictions/{run_id or fingerprint}/
      tokenizers/{fingerprint}/
      launches/{namespace}.{release}.json
      announced.json

A name that ends in a slash above is an artifact: its files count once its manifest is there
(`job.store.commit`). Keys are relative to the store's root; `model` is FINETUNE_NAME.
"""

from __future__ import annotations

import re

from job.uris import CHAMPION

SETTINGS = "settings.json"
"""What a run was started with; a version and an evaluation carry the same."""
INPUTS = "inputs.json"
"""What the first attempt, or the first pod that predicts, found to read; all others read exactly that."""
STATE = "state.json"
CHECKS = "checks.json"
"""What was found of the night's rows before anything was trained on them."""
PROGRESS = "progress.json"
PREPARATION = "preparation.json"
"""The progress of what only prepares the run."""
LAUNCH = "launch.json"
"""What a launcher found and launched the run for."""
WAITING = "waiting.json"
"""Since when the run waits in a queue and why, as its launcher sees it; absent while it does not."""
QUARANTINE = "quarantine.jsonl"
PROFILE = "profile.json"
SCORES = "eval_results.json"
PREDICTIONS = "predictions.parquet"
CARD = "README.md"
HISTORY = "metrics.jsonl"
"""The metrics of all attempts, merged, beside a published model."""

_ARTIFACT = re.compile(
    r"/(?:(?:datasets|models|gate|evaluations|predictions|tokenizers)/[^/]+|runs/[^/]+/checkpoints/[^/]+)(?=/)"
)
_BEGUN = re.compile(r"([^/]+)/(runs|predictions)/([^/]+)/([a-z]+\.json)")
_STEP = re.compile(r"/step-(\d+)/manifest\.json$")
_METRICS = re.compile(r"/metrics-(\d+)\.jsonl$")
_ATTEMPT = re.compile(r"/(?:metrics-(\d+)\.jsonl$|checkpoints/step-\d+/a(\d+)/)")


def datasets(model: str) -> str:
    """What all data sets of a model lie below."""
    return f"{model}/datasets"


def dataset(model: str, fingerprint: str) -> str:
    """An encoded data set."""
    return f"{datasets(model)}/{fingerprint}"


def runs(model: str) -> str:
    """What all runs of a model lie below."""
    return f"{model}/runs"


def run(model: str, run_id: str) -> str:
    """What a run leaves besides its data set and its version; the names above lie below it."""
    return f"{runs(model)}/{run_id}"


def run_id_of(model: str, key: str) -> str:
    """The run that a key below `runs` belongs to."""
    return key.removeprefix(f"{runs(model)}/").partition("/")[0]


def artifact_of(model: str, key: str) -> str | None:
    """The prefix of the artifact that a key of a model lies in, committed or not; None for any other."""
    match = _ARTIFACT.match(key, len(model)) if key.startswith(model) else None
    return f"{model}{match[0]}" if match else None


def begun_by(key: str) -> tuple[str, str, str, str] | None:
    """The model, `runs` or `predictions`, the id and the name of the record that a key is, where it is one
    of those that a run, or predictions, begin with; whatever model's. None for any other key."""
    match = _BEGUN.fullmatch(key)
    return (match[1], match[2], match[3], match[4]) if match else None


def metrics(run: str, attempt: int) -> str:
    """The metrics of one attempt."""
    return f"{metrics_of(run)}{attempt:04d}.jsonl"


def metrics_of(run: str) -> str:
    """How the keys of all attempts' metrics begin."""
    return f"{run}/metrics-"


def is_metrics(key: str) -> bool:
    """Whether a key below a run is some attempt's metrics."""
    return _METRICS.search(key) is not None


def attempt_of(key: str) -> int | None:
    """The attempt that wrote a key below a run, where the key names one."""
    match = _ATTEMPT.search(key)
    return int(match[1] or match[2]) if match else None


def token_limits(run: str) -> str:
    """How the keys of the recorded micro-batch limits begin; the smallest comes first in a listing."""
    return f"{run}/limits/tokens-"


def token_limit(run: str, tokens: int) -> str:
    """The record that micro-batches of more tokens do not fit."""
    return f"{token_limits(run)}{tokens:012d}"


def tokens_of(key: str) -> int | None:
    """The number of tokens that a recorded limit names; None for any other key."""
    number = key.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def checkpoints(run: str) -> str:
    """What a run's checkpoints lie below."""
    return f"{run}/checkpoints"


def checkpoint(checkpoints: str, step: int) -> str:
    """The checkpoint of a step."""
    return f"{checkpoints}/step-{step:08d}"


def step_below(checkpoints: str, key: str) -> int | None:
    """The step whose checkpoint a key lies in, committed or not; None for any other key."""
    folder = key.removeprefix(f"{checkpoints}/").partition("/")[0]
    match = re.fullmatch(r"step-(\d+)", folder)
    return int(match[1]) if match else None


def step_of(key: str) -> int | None:
    """The step whose checkpoint's manifest a key is; None for any other key."""
    match = _STEP.search(key)
    return int(match[1]) if match else None


def versions(model: str) -> str:
    """What all versions of a model lie below."""
    return f"{model}/models"


def version(model: str, name: str) -> str:
    """A published model."""
    return f"{versions(model)}/{name}"


def champion(model: str) -> str:
    """Which version is in use, and how it came to be."""
    return f"{model}/{CHAMPION}.json"


def gates(model: str) -> str:
    """What all parts of the gate lie below."""
    return f"{model}/gate"


def gate(model: str, part: str) -> str:
    """The rows that a night has brought to judge by; `part` is the name of that night's version."""
    return f"{gates(model)}/{part}"


def evaluation(model: str, fingerprint: str) -> str:
    """The scores of a published model on some rows."""
    return f"{model}/evaluations/{fingerprint}"


def predictions(model: str, name: str) -> str:
    """What a published model predicts for some rows, by run id or fingerprint."""
    return f"{model}/predictions/{name}"


def tokenizer(model: str, fingerprint: str) -> str:
    """A trained tokenizer."""
    return f"{model}/tokenizers/{fingerprint}"


def launch(model: str, namespace: str, release: str) -> str:
    """What a Helm release has launched last."""
    return f"{launches(model)}{namespace}.{release}.json"


def announced(model: str) -> str:
    """Which of the champion's changes a webhook was told last."""
    return f"{model}/announced.json"


def launches(model: str) -> str:
    """How the keys of what releases have launched last begin."""
    return f"{model}/launches/"
