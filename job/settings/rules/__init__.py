"""What settings have to do with each other: mistakes that no single field can see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches

from job.errors import SettingsError
from job.settings.rules import seq2seq
from job.settings.tree import Settings
from job.uris import Uri

METRICS = {
    "single_label_classification": ("accuracy", "matthews_correlation"),
    "multi_label_classification": ("accuracy", "hamming_loss", "f1_micro", "f1_samples"),
    "regression": ("mse", "mae", "pearson", "spearman"),
}
"""Of text-classification, besides `loss` and AVERAGED."""
AVERAGED = ("precision", "recall", "f1")
"""Macro averages; `_weighted` weights the classes, and `f1_spam` is that of one class."""


def mistakes(settings: Settings, rules: Iterable[str]) -> list[str]:
    """Every mistake across settings that some rules find, each with its fix; empty where there is none.

    Args:
        rules: names in RULES.
    """
    return [mistake for name in rules for mistake in RULES[name](settings)]


def _launch(settings: Settings) -> Iterator[str]:
    for name in ("manifests", "owner", "release"):
        if getattr(settings.launch, name) is None:
            yield f"FINETUNE_LAUNCH__{name.upper()} is not set; the chart sets it, where `schedule` is set"
    if settings.run_id:
        yield "FINETUNE_RUN_ID is set, and each launched run has an id of its own; unset it"


def _output(settings: Settings) -> Iterator[str]:
    if not settings.output:
        yield "FINETUNE_OUTPUT is not set; name an s3://bucket/prefix or a folder"
    elif wrong := list(_uri("FINETUNE_OUTPUT", settings.output)):
        yield from wrong
    elif settings.output.scheme not in ("s3", "file"):
        yield f"FINETUNE_OUTPUT={settings.output} cannot be written to; use s3:// or a folder"


def _training_rows(settings: Settings) -> Iterator[str]:
    if not settings.data.train:
        yield "FINETUNE_DATA__TRAIN is not set; name the training rows' URI"


def _scored_rows(settings: Settings) -> Iterator[str]:
    data = settings.data
    if not data.test and not data.validation and not data.train:
        yield "FINETUNE_DATA__TEST is not set; name the URI of the rows to score the model on"
    elif data.train and not (
        data.test or data.test_fraction or data.validation or data.validation_fraction
    ):
        yield "FINETUNE_DATA__TEST_FRACTION is 0, so there is nothing to score; hold out rows, or set FINETUNE_DATA__TEST"


def _predict(settings: Settings) -> Iterator[str]:
    predict = settings.predict
    if not predict.input:
        yield "FINETUNE_PREDICT__INPUT is not set; name the URI of the rows to predict for"
    if predict.pod is not None and predict.pod >= predict.pods:
        yield f"FINETUNE_PREDICT__POD={predict.pod} is none of FINETUNE_PREDICT__PODS={predict.pods}; they count from 0"
    if any(source.weight != 1 for source in predict.input):
        yield "FINETUNE_PREDICT__INPUT has a weight; only training rows may have one"


def _trained_model(settings: Settings) -> Iterator[str]:
    if settings.model.config is not None:
        yield "FINETUNE_MODEL__CONFIG names no model that has learned anything; set FINETUNE_MODEL__NAME"
    else:
        yield from _model(settings)


def _data(settings: Settings) -> Iterator[str]:
    held_out = settings.data.validation_fraction + settings.data.test_fraction
    if held_out >= 1:
        yield (
            "FINETUNE_DATA__VALIDATION_FRACTION and FINETUNE_DATA__TEST_FRACTION add up to "
            f"{held_out:g}; leave rows to train on"
        )
    for split in ("validation", "test"):
        for source in getattr(settings.data, split):
            if source.weight != 1:
                yield f"FINETUNE_DATA__{split.upper()} has a weight; only training rows may have one"
    data = settings.data
    sources = (*data.train, *data.validation, *data.test)
    formats = (data.format, *(source.uri.suffix for source in sources))
    if any(f in ("pickle", "pkl") for f in formats) and not settings.data.allow_pickle:
        yield (
            "FINETUNE_DATA__FORMAT=pickle is refused, since whoever wrote a pickle can run any program "
            "in this job; convert it to parquet, or set FINETUNE_DATA__ALLOW_PICKLE=true if you trust its writer"
        )
    low, high = settings.clean.min_words, settings.clean.max_words
    if high is not None and low > high:
        yield f"FINETUNE_CLEAN__MIN_WORDS={low} is above FINETUNE_CLEAN__MAX_WORDS={high}; swap them"


def _uri(setting: str, uri: Uri) -> Iterator[str]:
    try:
        uri.check()
    except SettingsError as error:
        yield f"{setting}: {error}"


def _model(settings: Settings) -> Iterator[str]:
    model = settings.model
    if model.config is not None:
        if model.name:
            yield "FINETUNE_MODEL__NAME and FINETUNE_MODEL__CONFIG exclude each other; unset one"
        if not model.tokenizer:
            yield "FINETUNE_MODEL__CONFIG needs FINETUNE_MODEL__TOKENIZER; name a folder or s3:// prefix"
        if "model_type" not in model.config:
            yield 'FINETUNE_MODEL__CONFIG has no model_type; write {"model_type": "gpt2", …}'
    elif not model.name:
        yield "FINETUNE_MODEL__NAME is not set; name a Hub id, a folder or an s3:// prefix"
    if not settings.publish.merge and (model.lora is None or model.config is not None):
        yield (
            "FINETUNE_PUBLISH__MERGE=false publishes LoRA adapters for a model that exists; "
            "set FINETUNE_MODEL__LORA and FINETUNE_MODEL__NAME, or leave MERGE true"
        )
    places = {
        "FINETUNE_MODEL__NAME": model.name,
        "FINETUNE_MODEL__TOKENIZER": model.tokenizer or Uri(""),
    }
    if wrong := [line for setting, uri in places.items() for line in _uri(setting, uri)]:
        yield from wrong
    elif model.trust_remote_code:
        if any(uri.scheme == "s3" for uri in places.values()):
            yield "FINETUNE_MODEL__TRUST_REMOTE_CODE is refused for files from a bucket; unset it"
        elif not re.fullmatch(r"[0-9a-f]{40}", model.revision or ""):
            yield (
                "FINETUNE_MODEL__TRUST_REMOTE_CODE needs FINETUNE_MODEL__REVISION to be a full commit "
                "hash (40 hex digits), so that the code that was read is the code that runs"
            )
    if settings.task == "text-classification" and settings.evaluate.metric:
        yield from _metric(settings.evaluate.metric, model.problem_type)


def _metric(given: str, problem: str) -> Iterator[str]:
    """A metric that is none is found out at the first evaluation otherwise, after all the training."""
    metric = given.removeprefix("eval_")
    known = [
        "loss",
        *dict.fromkeys(m for p in METRICS if problem in ("auto", p) for m in METRICS[p]),
    ]
    if problem != "regression":
        known += [*AVERAGED, *(f"{name}_weighted" for name in AVERAGED), "roc_auc"]
        if metric.startswith(tuple(f"{name}_" for name in AVERAGED)):
            return  # of one class; which there are the data says
    if metric not in known:
        near = get_close_matches(metric, known, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        kind = "" if problem == "auto" else f" with FINETUNE_MODEL__PROBLEM_TYPE={problem}"
        yield (
            f"FINETUNE_EVALUATE__METRIC={given} is no metric of text-classification{kind}{guess}; "
            f"use one of {', '.join(known)}"
        )


def _tokenizer(settings: Settings) -> Iterator[str]:
    tokenizer = settings.tokenizer
    if tokenizer.base:
        for name in sorted(tokenizer.model_fields_set - {"base", "vocab_size"}):
            yield (
                f"FINETUNE_TOKENIZER__{name.upper()} has no effect with FINETUNE_TOKENIZER__BASE, "
                "whose own blocks are kept; unset one of them"
            )


def _columns(settings: Settings) -> Iterator[str]:
    columns = settings.data.columns
    if bool(columns.prompt) != bool(columns.completion):
        yield "FINETUNE_DATA__COLUMNS__PROMPT and __COMPLETION belong together; set both or neither"
    if columns.messages and columns.prompt:
        yield "FINETUNE_DATA__COLUMNS__MESSAGES and __PROMPT exclude each other; unset one"


def _verbatim(settings: Settings) -> Iterator[str]:
    """Tags count words, answers count characters, and chats are JSON: none of them may change."""
    clean, train = settings.clean, settings.train
    chats = settings.task == "text-generation" and settings.data.columns.messages
    if not chats and settings.task not in ("token-classification", "question-answering"):
        return
    changes = {
        "UNESCAPE_HTML": clean.unescape_html,
        "LOWERCASE": clean.lowercase,
        "NORMALIZE_UNICODE": clean.normalize_unicode,
    }
    for name in (name for name, wanted in changes.items() if wanted):
        what = (
            "is not applied to messages" if chats else f"would change what {settings.task} counts"
        )
        yield f"FINETUNE_CLEAN__{name} {what}; unset it, and leave it to the tokenizer"
    if train.class_weights != "none":
        yield f"FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for {settings.task}; unset it"
    if train.label_smoothing and settings.task == "question-answering":
        yield "FINETUNE_TRAIN__LABEL_SMOOTHING has no meaning for question-answering; unset it"


def _train(settings: Settings) -> Iterator[str]:
    train = settings.train
    if train.strategy == "fsdp" and train.precision == "fp16":
        yield "FINETUNE_TRAIN__STRATEGY=fsdp does not go with FINETUNE_TRAIN__PRECISION=fp16; use bf16 or no"
    if train.strategy == "fsdp" and train.compile:
        yield "FINETUNE_TRAIN__STRATEGY=fsdp does not go with FINETUNE_TRAIN__COMPILE; unset one"
    if train.precision == "fp16" and settings.runtime.device == "cpu":
        yield "FINETUNE_TRAIN__PRECISION=fp16 does not work on a CPU; use bf16 or no"
    max_length = settings.encode.max_length
    if max_length is not None and train.tokens_per_device < max_length:
        yield (
            f"FINETUNE_TRAIN__TOKENS_PER_DEVICE={train.tokens_per_device} does not hold one row of "
            f"FINETUNE_ENCODE__MAX_LENGTH={max_length} tokens; raise the one or lower the other"
        )
    if max_length is not None and max_length % settings.encode.pad_to_multiple_of:
        yield (
            f"FINETUNE_ENCODE__MAX_LENGTH={max_length} is no multiple of "
            f"FINETUNE_ENCODE__PAD_TO_MULTIPLE_OF={settings.encode.pad_to_multiple_of}; make it one"
        )
    if settings.model.problem_type == "regression":
        if train.label_smoothing:
            yield "FINETUNE_TRAIN__LABEL_SMOOTHING has no meaning for regression; unset it"
        if train.class_weights != "none":
            yield "FINETUNE_TRAIN__CLASS_WEIGHTS has no meaning for regression; unset it"
    if (
        settings.model.problem_type == "multi_label_classification"
        and train.class_weights == "balanced"
    ):
        yield "FINETUNE_TRAIN__CLASS_WEIGHTS=balanced is for single labels; give a weight for each label"
    if train.patience is not None and not (
        settings.data.validation or settings.data.validation_fraction
    ):
        yield "FINETUNE_TRAIN__PATIENCE needs validation rows; raise FINETUNE_DATA__VALIDATION_FRACTION"


RULES: Mapping[str, Callable[[Settings], Iterator[str]]] = {
    "output": _output,
    "training_rows": _training_rows,
    "scored_rows": _scored_rows,
    "predict": _predict,
    "data": _data,
    "model": _model,
    "trained_model": _trained_model,
    "columns": _columns,
    "verbatim": _verbatim,
    "seq2seq": seq2seq.mistakes,
    "train": _train,
    "tokenizer": _tokenizer,
    "launch": _launch,
}
"""What a command may name; `job.commands` says which each does."""
