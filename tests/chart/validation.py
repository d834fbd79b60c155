"""Whether a cluster would accept an object, by the schemas of Kubernetes and of custom resources.

The types of JobSet and Kubeflow Trainer come from the trainer's package; those of Volcano and Kueue are on no
package index, so what the chart uses of them is in `shapes.yaml`. CRDS=FOLDER, a folder of
CustomResourceDefinitions as their projects publish them, checks against these as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.support.chart import Body

VERSION = "1.36"
SHAPES = Path(__file__).with_name("shapes.yaml")


def check(body: Body) -> None:
    """Check an object.

    Raises:
        AssertionError: a cluster would refuse it; the message lists every reason.
    """
    wrong = [f"{body['kind']} {body['metadata']['name']}: {line}" for line in _wrong(body)]
    assert not wrong, "\n".join(wrong)


def templates(value: Any) -> Iterator[Body]:
    """Every pod template below a value."""
    if isinstance(value, list):
        for item in value:
            yield from templates(item)
    elif isinstance(value, dict):
        if "containers" in value.get("spec", {}) and "restartPolicy" in value["spec"]:
            yield value
        for item in value.values():
            yield from templates(item)


def _wrong(body: Body) -> Iterator[str]:
    group = body["apiVersion"].rpartition("/")[0]
    kind = (group, body["kind"])
    if "." not in group or (group.endswith(".k8s.io") and kind not in _models()):
        if group in _shapes():
            yield from _by_schema(body, _shapes()[group][body["kind"]])
        else:
            yield from _built_in(body)
    elif kind in _models():
        yield from _by_model(body, _models()[kind])
    else:
        yield from _by_schema(body, _shapes()[group][body["kind"]])
    for template in templates(body) if "." in group else ():
        metadata = {"name": "pod", **template.get("metadata", {})}
        yield from _built_in({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata})
    if schema := _published().get((body["apiVersion"], body["kind"])):
        yield from _by_schema(body, schema)


def _built_in(body: Body) -> Iterator[str]:
    import kubernetes_validate

    try:
        kubernetes_validate.validate(body, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def _by_schema(body: Body, schema: Body) -> Iterator[str]:
    for error in jsonschema.Draft7Validator(schema).iter_errors(body):
        yield f"{'.'.join(map(str, error.path))}: {error.message[:300]}"


def _by_model(body: Body, model: Any) -> Iterator[str]:
    """The trainer's types drop fields that they do not know; what is lost on the way was one."""
    kept = model.from_dict(body).to_dict()
    yield from _lost(body, kept, "")


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in (kept or {}):
                if value not in (None, {}, []):
                    yield f"{path}.{key}: no such field"
            else:
                yield from _lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from _lost(value, kept[index], f"{path}[{index}]")


@cache
def _models() -> dict[tuple[str, str], Any]:
    from kubeflow_trainer_api import models

    return {
        ("jobset.x-k8s.io", "JobSet"): models.JobsetV1alpha2JobSet,
        ("trainer.kubeflow.org", "TrainJob"): models.TrainerV1alpha1TrainJob,
        ("trainer.kubeflow.org", "TrainingRuntime"): models.TrainerV1alpha1TrainingRuntime,
    }


@cache
def _shapes() -> dict[str, dict[str, Body]]:
    return dict(yaml.safe_load(SHAPES.read_text()))


@cache
def _published() -> dict[tuple[str, str], Body]:
    """The schemas of the CRDs in the folder that CRDS names, closed where the API would prune."""
    schemas = {}
    for path in sorted(Path(os.environ["CRDS"]).glob("*.yaml")) if "CRDS" in os.environ else ():
        for crd in yaml.safe_load_all(path.read_text()):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                name = f"{crd['spec']['group']}/{version['name']}"
                schemas[name, crd["spec"]["names"]["kind"]] = _closed(schema, top=True)
    return schemas


def _closed(schema: Any, *, top: bool = False) -> Any:
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    closed = {k: v for k, v in schema.items() if k not in ("format", "default")}
    if "properties" in schema:
        inner = {name: _closed(part) for name, part in schema["properties"].items()}
        if top or {"kind", "apiVersion"} <= inner.keys():
            inner["metadata"] = {"type": "object"}
        closed["properties"] = inner
        # metadata in a template is a plain object in CRDs, of which the API keeps whatever is in it
        closed.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            closed[key] = _closed(schema[key])
    return closed
