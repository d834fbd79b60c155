"""A model's files, some of them damaged: named, never followed out of their folder, never in circles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from job.errors import DataError, JobError
from job.models import Place, check_weights, find
from tests.support.architectures import ARCHITECTURES
from tests.support.trial import tried

DEEP = "[" * 100_000 + "]" * 100_000
WRONG = ("[]", "null", '"x"', "3", DEEP, '{"a":', "", '{"a": ' + "[" * 2000 + "]" * 2000 + "}")
FILES = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
    *("added_tokens.json", "model.safetensors.index.json", "adapter_config.json"),
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ARCHITECTURES["bert"].build(tmp_path_factory.mktemp("bert"), "bert")


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_another_shape_is_named(file: str, bert: Path, tmp_path: Path) -> None:
    for number, wrong in enumerate(WRONG):
        folder = Path(shutil.copytree(bert, tmp_path / f"{number}"))
        (folder / file).write_text(wrong)
        try:  # transformers does without some of them
            tried(folder, ARCHITECTURES["bert"], tmp_path / f"scratch{number}")
        except JobError as error:
            assert error.exit_code in (65, 78)
            assert str(folder) in str(error)


@pytest.mark.parametrize(
    "fields", [{}, {"base_model_name_or_path": None}, {"base_model_name_or_path": 3}]
)
def test_adapters_name_their_base(fields: dict[str, object], bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "adapters"))
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    with pytest.raises(DataError, match=f"{folder} does not name a base model"):
        find(str(folder), None, tmp_path)


def test_the_base_of_adapters_holds_none(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "adapters"))
    itself = {"base_model_name_or_path": str(folder)}
    (folder / "adapter_config.json").write_text(json.dumps(itself))
    with pytest.raises(DataError, match="which holds adapters itself"):
        find(str(folder), None, tmp_path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "gone.safetensors", 3])
def test_an_index_names_files_beside_it(name: object, bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    shutil.copy(bert / "model.safetensors", tmp_path / "secret.safetensors")
    index = {"weight_map": {"embeddings.LayerNorm.bias": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=f"names {name}, and there is no such file beside it"):
        check_weights(Place("m", folder, ""))
