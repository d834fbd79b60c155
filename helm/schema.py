"""Writes what the chart takes from the job: finetune/values.schema.json and finetune/files/job.yaml.

`make chart` runs it; a test fails where a file is not what it would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from helm.cli import CHART
from job.errors import PERMANENT
from job.redaction import NAME_ENDINGS, NAME_WORDS
from job.settings import Settings
from job.settings.tree import INCIDENTAL

OWN = CHART.with_name("values.schema.yaml")
"""The chart's own part of the schema; the settings are put into it as `config`."""

DRAFT_07 = {
    *("type", "enum", "const", "anyOf", "allOf", "oneOf", "not", "$ref", "properties"),
    *("additionalProperties", "required", "items", "minItems", "maxItems", "minProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"),
    *("minLength", "maxLength", "description", "propertyNames", "uniqueItems"),
}
"""The keywords of draft-07 that the schema may use; Helm 3 ignores later ones without a word."""
DROPPED = {"title", "default", "format", "writeOnly", "$defs"}
"""Annotations, which check nothing."""

FACTS = """\
# `make chart` made this from job/; never edit it.

# job/settings: what does not decide what is learned, and so is not part of a run's id
incidental:
{incidental}
# job/redaction.py: in the name of what is secret, the end of a word, and a whole one
secretEndings: {endings!r}
secretWords: {words!r}
# job/errors.py: exit codes after which starting again would end the same way, ascending as the API wants them
permanentCodes:
{permanent}
"""


def generated() -> dict[Path, str]:
    """Each file that is generated, and its content."""
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        CHART / "files" / "job.yaml": FACTS.format(
            incidental=_items(INCIDENTAL),
            endings=NAME_ENDINGS,
            words=NAME_WORDS,
            permanent=_items(sorted(PERMANENT)),
        ),
    }


def _items(values: Iterable[object]) -> str:
    return "\n".join(f"  - {value}" for value in values)


def schema() -> dict[str, Any]:
    """The whole schema of the chart's values."""
    whole: dict[str, Any] = yaml.safe_load(OWN.read_text(encoding="utf-8"))
    settings = Settings.model_json_schema(mode="validation")
    for name, part in settings.pop("$defs").items():
        whole["definitions"][name] = _draft_07(part)
    whole["properties"] = {"config": _draft_07(settings), **whole["properties"]}
    _require(whole, yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    return whole


def _require(part: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Require every value that has a default: one that is missing was set to null."""
    part["required"] = sorted(name for name, value in defaults.items() if value is not None)
    for name, value in defaults.items():
        inner = part["properties"].get(name, {})
        if isinstance(value, dict) and "properties" in inner and name != "config":
            _require(inner, value)


def _draft_07(part: Any) -> Any:
    """A schema of pydantic's (2020-12) in the keywords of draft-07.

    Raises:
        ValueError: it uses a keyword that draft-07 does not have.
    """
    if not isinstance(part, dict):
        return part
    translated: dict[str, Any] = {}
    for key, value in part.items():
        if key in DROPPED:
            continue
        if key not in DRAFT_07:
            raise ValueError(f"values.schema.json: {key} is not a keyword of draft-07")
        if key == "properties":
            translated[key] = {name: _draft_07(inner) for name, inner in value.items()}
        elif key == "$ref":
            translated[key] = value.replace("#/$defs/", "#/definitions/")
        elif key in ("anyOf", "allOf", "oneOf"):
            translated[key] = [_draft_07(inner) for inner in value]
        else:
            translated[key] = _draft_07(value)
    if "$ref" in translated and len(translated) > 1:  # draft-07 ignores what stands beside a $ref
        translated["allOf"] = [{"$ref": translated.pop("$ref")}]
    return translated


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
