"""A small encoder for the tests of token-classification."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.samples import tiny_bert
from tests.tasks.token_classification.samples import NAMES, OTHERS, PLACES


@pytest.fixture(scope="package")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [" ".join([*NAMES, *PLACES, *OTHERS])] * 5
    return tiny_bert(tmp_path_factory.mktemp("bert"), texts)
