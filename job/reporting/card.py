"""The model card: metadata by huggingface_hub's own classes, text from card.md.jinja."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job.settings.metrics import OF_CLASSES, SUPPORT, is_of_class, of_class, slice_of
from job.settings.sections.base import Section
from job.settings.sections.data import Clean, Encode

TEMPLATES = Path(__file__).parent
"""Of `card.md.jinja`, and of a template that extends it for each task that needs other words."""
SPLIT_NAMES = {"eval": "validation", "test": "test"}
"""The split whose metrics have a prefix."""


@dataclass(frozen=True)
class CardFacts:
    """What a card says about how a model came about."""

    name: str
    task: str
    run_id: str
    version: str
    uri: str
    """Where the version lies."""
    base_model: str
    """A Hub id, a folder, or a URI without its secrets."""
    base_is_hub_id: bool
    license: str | None
    labels: tuple[str, ...]
    """In the order of the model's outputs."""
    classes: tuple[str, ...]
    """What has scores of its own: labels, or types of entities."""
    regression: bool
    pairs: bool
    profile: Mapping[str, Any]
    files: tuple[tuple[str, str], ...]
    """Split and URI of every data file, without its secrets."""
    fingerprint: str
    settings: Mapping[str, Any]
    max_length: int
    steps: int
    best_step: int | None
    metric: str
    made_with: str
    """Packages, processor, threads and processes, in words."""
    cut_side: str = "right"
    """Where rows that are too long lose what is too much."""
    adapters_for: str | None = None
    """The Auto class of the base model, where the files are adapters alone."""
    gate: Mapping[str, Any] = field(default_factory=dict)
    """The verdict (`job.gate.verdict`), flat."""
    doubts: tuple[str, ...] = ()
    """What was found of the rows before they were trained on, beyond its bounds."""


def escape(text: object) -> str:
    """Text that shows as itself in Markdown, inside a table too."""
    shown = html.escape(str(text).replace("\n", " "), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|!~])", r"\\\1", shown)


def write_card(path: Path, facts: CardFacts, results: Mapping[str, Any]) -> None:
    """Write README.md with its YAML metadata and the model-index.

    Args:
        results: what eval_results.json holds.
    """
    from huggingface_hub import ModelCard

    text = f"---\n{_metadata(facts, results)}\n---\n\n{_body(facts, results)}"
    path.write_text(str(ModelCard(text)), encoding="utf-8")


def _metadata(facts: CardFacts, results: Mapping[str, Any]) -> str:
    """The card's head, in YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    scores = [
        EvalResult(
            task_type=facts.task,
            dataset_type="private",
            dataset_name=facts.fingerprint,
            dataset_split=split,
            metric_type=metric,
            metric_value=round(value, 6),
        )
        for prefix, split in SPLIT_NAMES.items()
        for metric, value in _overall(results, prefix).items()
    ]
    data = ModelCardData(
        model_name=facts.name,
        base_model=facts.base_model if facts.base_is_hub_id else None,
        license=facts.license,
        library_name="transformers",
        pipeline_tag=facts.task,
        tags=["finetune-job", facts.task],
        metrics=sorted(_overall(results, "test") or _overall(results, "eval")),
        eval_results=scores or None,
    )
    return data.to_yaml()


def _body(facts: CardFacts, results: Mapping[str, Any]) -> str:
    """The card's text, in Markdown."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=False,  # noqa: S701 - Markdown; `escape` below
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = escape
    overall = {split: _overall(results, prefix) for prefix, split in SPLIT_NAMES.items()}
    names = [f"card.{facts.task}.md.jinja", "card.md.jinja"]
    return environment.select_template(names).render(
        facts=facts,
        results=results,
        overall={split: scores for split, scores in overall.items() if scores},
        per_class=_per_class(results, facts.classes),
        gate_slices=_gate_slices(facts.gate),
        slices=_slices(results),
        preparation=preparation(facts.settings),
        train=facts.settings["train"],
    )


def _gate_slices(gate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each part of the gate's rows that was judged by itself."""
    names = [key.removeprefix("rows@") for key in gate if key.startswith("rows@")]
    figures = ("rows", "score", "difference", "smallest")
    return [{"name": n, **{f: gate.get(f"{f}@{n}") for f in figures}} for n in names]


def preparation(settings: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What was done to the rows before the model read them: each setting with its value and meaning.

    Of CLEAN everything that is in effect, of ENCODE everything that is not as it is by default.

    Args:
        settings: as they were recorded.
    """
    sections: tuple[tuple[str, type[Section]], ...] = (("clean", Clean), ("encode", Encode))
    found = []
    for section, model in sections:
        for name, info in model.model_fields.items():
            value = settings.get(section, {}).get(name)
            default = info.get_default(call_default_factory=True) if model is Encode else None
            if value and value != default:
                said = (info.description or "").partition(";")[0].rstrip(".")
                found.append((f"{section}.{name}", json.dumps(value, ensure_ascii=False), said))
    return found


_CLASS_METRICS = (*OF_CLASSES, SUPPORT)


def _overall(results: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """A split's metrics over all classes, by name without prefix."""
    metrics = {}
    for key, value in results.items():
        name = key.removeprefix(f"{prefix}_")
        if key.startswith(f"{prefix}_") and not is_of_class(name) and name != "samples":
            metrics[name] = value
    return metrics


def _per_class(results: Mapping[str, Any], labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each class, from the test scores or else the validation scores."""
    for prefix in ("test", "eval"):
        if labels and f"{prefix}_{of_class('f1', labels[0])}" in results:
            return [
                {
                    "label": label,
                    **{m: results[f"{prefix}_{of_class(m, label)}"] for m in _CLASS_METRICS},
                }
                for label in labels
            ]
    return []


def _slices(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The figures of each part of the rows by name, from the test scores or else the validation scores."""
    prefix = "test" if "test_samples" in results else "eval"
    parts: dict[str, dict[str, float]] = {}
    for name, value in results.items():
        if (found := slice_of(name, prefix)) is not None:
            part, figure = found
            parts.setdefault(part, {})[figure] = value
    return parts
