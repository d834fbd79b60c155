"""A small encoder for the tests of question-answering."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.samples import tiny_bert
from tests.tasks.question_answering.samples import NAMES, PLACES


@pytest.fixture(scope="package")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = " ".join([*NAMES, *PLACES, "where is lives in ? ."])
    return tiny_bert(tmp_path_factory.mktemp("bert"), [text] * 5)
