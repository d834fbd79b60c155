"""Mistakes in PUBLISH: a gate that could never judge, and what has no meaning beside it."""

from __future__ import annotations

from collections.abc import Iterator

from job.settings import metrics
from job.settings.sections.training import OF_ROWS
from job.settings.tree import Settings


def publish(settings: Settings) -> Iterator[str]:
    """What the gate's policy and its floors need."""
    publish, data = settings.publish, settings.data
    given, gate = publish.model_fields_set, f"FINETUNE_PUBLISH__GATE={publish.gate}"
    tested = data.test or data.test_fraction
    if "gate" in given and publish.gate != "always" and not tested:
        yield f"{gate} judges by test rows; set FINETUNE_DATA__TEST or raise FINETUNE_DATA__TEST_FRACTION"
    if publish.floors and not tested:
        yield (
            "FINETUNE_PUBLISH__FLOORS are of test rows; set FINETUNE_DATA__TEST or raise "
            "FINETUNE_DATA__TEST_FRACTION"
        )
    for name, policy in (("margin", "not-worse"), ("min_gain", "better")):
        if name in given and publish.gate != policy:
            yield f"FINETUNE_PUBLISH__{name.upper()} is for FINETUNE_PUBLISH__GATE={policy}; unset it, or set that"
    if publish.slice_margin is not None and not settings.evaluate.slices:
        yield "FINETUNE_PUBLISH__SLICE_MARGIN has no parts to look at; name them in FINETUNE_EVALUATE__SLICES"
    yield from _floors(settings)
    yield from _beyond(settings)


def _floors(settings: Settings) -> Iterator[str]:
    for name in settings.publish.floors:
        part, equals, value = name.partition("=")
        if not equals or not value:
            yield (
                f"FINETUNE_PUBLISH__FLOORS: {name!r} is not a part of the rows; write label=NAME, "
                "length=64-127 (words), or COLUMN=VALUE"
            )
        elif part not in OF_ROWS and part not in settings.evaluate.slices:
            yield (
                f"FINETUNE_PUBLISH__FLOORS names the column {part!r}; name it in "
                "FINETUNE_EVALUATE__SLICES too, so that it is kept"
            )
        elif part == "length" and value not in LENGTHS:
            yield (
                f"FINETUNE_PUBLISH__FLOORS: no part is called {name!r}; lengths double, so it is one of "
                f"{', '.join(LENGTHS[:9])} … words"
            )


def _beyond(settings: Settings) -> Iterator[str]:
    """Differences and floors that no two models can be apart, or no model can reach: a gate that lets
    everything in, or nothing."""
    if (scale := _scale(settings)) is None:
        return
    publish, metric = settings.publish, settings.evaluate.metric or "the metric"
    for name in ("margin", "min_gain", "slice_margin"):
        value = getattr(publish, name)
        if value is not None and value >= scale:
            yield f"FINETUNE_PUBLISH__{name.upper()}={value:g}: {metric} goes up to {scale}, so that says nothing; write a part of it"
    for part, floor in publish.floors.items():
        if floor > scale:
            yield f"FINETUNE_PUBLISH__FLOORS asks {floor:g} of {part!r}, and {metric} goes up to {scale}"


def _scale(settings: Settings) -> int | None:
    """What the metric that judges goes up to; None where it has no end, or only the data will say."""
    metric = metrics.plain(settings.evaluate.metric or "")
    unbounded = metric in metrics.UNBOUNDED if metric else settings.task in _BY_LOSS
    if unbounded:
        return None
    return 100 if settings.task in metrics.IN_PERCENT else 1


LENGTHS = ("0", "1", *(f"{1 << bits}-{(2 << bits) - 1}" for bits in range(1, 31)))
"""How the ranges of lengths are called (job.tasks.lengths)."""
_BY_LOSS = ("fill-mask", "text-generation")
"""Tasks that judge by the loss, unless a metric is named."""
