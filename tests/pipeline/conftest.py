"""What the tests of whole runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.demo import tickets
from tests.support.samples import tiny_bert


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model"), [text for text, _ in tickets(300)])
