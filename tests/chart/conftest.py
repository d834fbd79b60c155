"""The chart, rendered by each helm on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helm import binaries
from tests.support.chart import Body, rendered

Render = Callable[..., list[Body]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that renders does so with helm 3 and helm 4."""
    if "binary" in metafunc.fixturenames:
        helms = binaries.helms()
        metafunc.parametrize("binary", list(helms.values()), ids=list(helms))


@pytest.fixture
def render(binary: str) -> Render:
    """The objects that the chart makes of values, `config.output` given."""

    def with_output(release: str = "demo", namespace: str = "team", **values: Any) -> list[Body]:
        config = {"output": "s3://models", **values.pop("config", {})}
        return rendered(binary, {"config": config, **values}, release, namespace)

    return with_output


def one(bodies: list[Body], kind: str) -> Body:
    """The only object of a kind."""
    (body,) = (body for body in bodies if body["kind"] == kind)
    return body
