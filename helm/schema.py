"""Writes finetune/values.schema.json: the chart's own part, and the job's settings as `config`.

`make chart` runs it; CI fails where the file is not what it would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from job.settings import Settings

HERE = Path(__file__).parent
SCHEMA = HERE / "finetune" / "values.schema.json"

DRAFT_07 = {
    *("type", "enum", "const", "anyOf", "allOf", "oneOf", "not", "$ref", "properties"),
    *("additionalProperties", "required", "items", "minItems", "maxItems", "minProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"),
    *("minLength", "maxLength", "description", "propertyNames", "uniqueItems"),
}
"""Keywords of draft-07 that may stand in the schema; another one would be passed over by Helm 3."""
DROPPED = {"title", "default", "format", "$defs"}
"""Annotations, which check nothing."""


def schema() -> dict[str, Any]:
    """The whole schema of the chart's values."""
    whole: dict[str, Any] = yaml.safe_load((HERE / "values.schema.yaml").read_text())
    settings = Settings.model_json_schema(mode="validation")
    for name, part in settings.pop("$defs").items():
        whole["definitions"][name] = _draft_07(part)
    whole["properties"] = {"config": _draft_07(settings), **whole["properties"]}
    _require(whole, yaml.safe_load((HERE / "finetune" / "values.yaml").read_text()))
    return whole


def _require(part: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Ask for every value that has a default: one that is missing was set to null."""
    part["required"] = sorted(name for name, value in defaults.items() if value is not None)
    for name, value in defaults.items():
        inner = part["properties"].get(name, {})
        if isinstance(value, dict) and "properties" in inner and name != "config":
            _require(inner, value)


def _draft_07(part: Any) -> Any:
    """A schema of pydantic's (2020-12) in draft-07's words.

    Raises:
        ValueError: it uses a keyword that draft-07 does not have.
    """
    if not isinstance(part, dict):
        return part
    found: dict[str, Any] = {}
    for key, value in part.items():
        if key in DROPPED:
            continue
        if key not in DRAFT_07:
            raise ValueError(f"values.schema.json: {key} is no keyword of draft-07")
        if key == "properties":
            found[key] = {name: _draft_07(inner) for name, inner in value.items()}
        elif key == "$ref":
            found[key] = value.replace("#/$defs/", "#/definitions/")
        elif key in ("anyOf", "allOf", "oneOf"):
            found[key] = [_draft_07(inner) for inner in value]
        else:
            found[key] = _draft_07(value)
    if "$ref" in found and len(found) > 1:  # in draft-07 what stands beside a reference is ignored
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
