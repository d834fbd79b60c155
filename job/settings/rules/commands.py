"""Mistakes in what one command alone reads: PREDICT, TOKENIZER and LAUNCH."""

from __future__ import annotations

from collections.abc import Iterator

from job.settings.tree import Settings


def predict(settings: Settings) -> Iterator[str]:
    """The rows to predict for, and the pod's part of them."""
    predict = settings.predict
    if not predict.input:
        yield "FINETUNE_PREDICT__INPUT is not set; name the URI of the rows to predict for"
    if predict.pod is not None and predict.pod >= predict.pods:
        yield f"FINETUNE_PREDICT__POD={predict.pod} is not one of FINETUNE_PREDICT__PODS={predict.pods}; pods count from 0"
    if predict.pods > 1 and settings.model.name.of_champion and not settings.run_id:
        yield (
            f"FINETUNE_PREDICT__PODS={predict.pods} needs FINETUNE_RUN_ID where FINETUNE_MODEL__NAME is a "
            "champion: by that id all pods find the version that the first one began with"
        )
    if any(source.weight != 1 for source in predict.input):
        yield "FINETUNE_PREDICT__INPUT has a weight; only training rows may have one"


def tokenizer(settings: Settings) -> Iterator[str]:
    """Blocks beside a base tokenizer, which brings its own."""
    tokenizer = settings.tokenizer
    if tokenizer.base:
        for name in sorted(tokenizer.model_fields_set - {"base", "vocab_size"}):
            yield (
                f"FINETUNE_TOKENIZER__{name.upper()} has no effect with FINETUNE_TOKENIZER__BASE, "
                "whose own blocks are kept; unset one of them"
            )


def launch(settings: Settings) -> Iterator[str]:
    """What only the chart can set."""
    for name in ("manifests", "owner", "release"):
        if getattr(settings.launch, name) is None:
            yield f"FINETUNE_LAUNCH__{name.upper()} is not set; the chart sets it, where `schedule` is set"
    if settings.run_id:
        yield "FINETUNE_RUN_ID is set, but each launched run has an id of its own; unset it"
