"""Mistakes in PUBLISH: a gate that could never judge, and what has no meaning beside it."""

from __future__ import annotations

from collections.abc import Iterator

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
