"""The chart, rendered by each helm that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helm import binaries as helm

Body = dict[str, Any]
Render = Callable[..., list[Body]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that renders does so with helm 3 and helm 4."""
    if "binary" in metafunc.fixturenames:
        there = helm.found()
        assert there, "no helm: `make install` brings it, or set HELM3 and HELM4"
        metafunc.parametrize("binary", list(there.values()), ids=list(there))


@pytest.fixture
def render(binary: str) -> Render:
    """The objects that the chart makes of values, `config.output` given."""

    def rendered(release: str = "demo", namespace: str = "team", **values: Any) -> list[Body]:
        config = {"output": "s3://models", **values.pop("config", {})}
        return helm.template(binary, {"config": config, **values}, release, namespace)

    return rendered


def one(bodies: list[Body], kind: str) -> Body:
    """The only object of a kind."""
    (body,) = (body for body in bodies if body["kind"] == kind)
    return body
