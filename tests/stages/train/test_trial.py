"""The trial batch: what does not fit together is found before training, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from job import models, tasks
from job.batching.padding import Padding
from job.data.arrow import MappedTable, list_column
from job.data.artifacts import ROW
from job.errors import DataError, SettingsError
from job.models.base import find_base
from job.settings import load
from job.stages.train import Sample, StartingPoint, trial
from job.stages.train.model import begun
from job.stages.train.trial import passes
from job.stages.train.trial.tokenizer import check_tokenizer
from tests.support.architectures import ARCHITECTURES, Architecture, wordpiece
from tests.support.plants import PLANTS, edited, weights
from tests.support.trial import tried

Build = Callable[[str], Path]
QUICK = ("bert", "bart")
"""The architectures that are tried by default; the others are slow together."""
KINDS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in ARCHITECTURES]  # fmt: skip
PLANTED = [
    (kind, name) if kind == "bert" else pytest.param(kind, name, marks=pytest.mark.slow)
    for name, plant in PLANTS.items()
    for kind in plant.kinds
]
ALL_LINEAR = {"MODEL__LORA": '{"target_modules": "all-linear"}'}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A folder with the model of a type, made once."""
    made: dict[str, Path] = {}

    def build(kind: str) -> Path:
        if kind not in made:
            made[kind] = ARCHITECTURES[kind].build(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return build


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "more", [{}, ALL_LINEAR, {**ALL_LINEAR, "PUBLISH__MERGE": "false"}], ids=["whole", "lora", "alone"]
)  # fmt: skip
def test_a_model_that_is_right_passes(
    kind: str, more: dict[str, str], build: Build, tmp_path: Path
) -> None:
    found = tried(build(kind), ARCHITECTURES[kind], tmp_path, **more)
    assert (found.rows, found.whole, found.ran) == (4, True, True)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("trial-")] == []


def test_a_kernel_for_gpus_is_not_tried(build: Build, tmp_path: Path) -> None:
    assert tried(
        build("bert"), ARCHITECTURES["bert"], tmp_path, MODEL__ATTENTION="flash_attention_2"
    ).ran


@pytest.mark.parametrize(("kind", "name"), PLANTED)
def test_what_is_planted_is_found(kind: str, name: str, build: Build, tmp_path: Path) -> None:
    plant, folder = PLANTS[name], tmp_path / "model"
    shutil.copytree(build(kind), folder)
    plant.edit(folder)
    with pytest.raises(SettingsError) as caught:
        tried(folder, ARCHITECTURES[kind], tmp_path / "scratch", **plant.settings)
    for word in plant.words:
        assert word in str(caught.value)


def test_ten_are_planted_into_each() -> None:
    for kind in ARCHITECTURES:
        assert sum(kind in plant.kinds for plant in PLANTS.values()) >= 10, kind


@pytest.mark.parametrize("more", [{}, {**ALL_LINEAR, "PUBLISH__MERGE": "false"}])
def test_an_output_layer_of_its_own_is_a_t5s_right(
    more: dict[str, str], build: Build, tmp_path: Path
) -> None:
    """As T5 1.1, Flan-T5 and mT5 have one."""
    folder = Path(shutil.copytree(build("t5"), tmp_path / "model"))
    edited("config.json", tie_word_embeddings=False)(folder)

    def separate(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"] = tensors["shared.weight"].flip(0).contiguous()

    weights(separate)(folder)
    assert tried(folder, ARCHITECTURES["t5"], tmp_path / "scratch", **more).ran


def test_a_named_tokenizer_decides(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(build("bart"), folder)
    edited("config.json", pad_token_id=7, eos_token_id=9)(folder)
    bart, named = ARCHITECTURES["bart"], {"MODEL__TOKENIZER": str(build("bart"))}
    assert tried(folder, bart, tmp_path / "a", **named).ran
    shutil.copytree(build("roberta"), tmp_path / "roberta")
    edited("config.json", pad_token_id=7)(tmp_path / "roberta")
    named = {"MODEL__TOKENIZER": str(build("roberta"))}
    with pytest.raises(SettingsError, match="pad_token_id=7"):  # its positions begin there
        tried(tmp_path / "roberta", ARCHITECTURES["roberta"], tmp_path / "b", **named)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_large_model_is_tried_by_its_first_layers(
    damaged: bool, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WHOLE", 1000)
    monkeypatch.setattr("job.models.layers.LAYERS", 1)
    folder, bert = tmp_path / "model", ARCHITECTURES["bert"]
    shutil.copytree(build("bert"), folder)
    ran: list[int] = []

    def counted(start: StartingPoint) -> tuple[Any, frozenset[str]]:
        made = begun(start)
        ran.append(len(made[0].bert.encoder.layer))
        return made

    monkeypatch.setattr(passes, "begun", counted)
    if damaged:

        def spoil(tensors: dict[str, Any]) -> None:
            tensors["encoder.layer.0.output.dense.weight"][0, 0] = float("inf")

        weights(spoil)(folder)
        with pytest.raises(SettingsError, match="not all numbers"):
            tried(folder, bert, tmp_path / "scratch")
    else:
        assert not tried(folder, bert, tmp_path / "scratch").whole
    assert ran == [1]
    monkeypatch.setattr(trial, "MOST", 1000)
    assert not tried(folder, bert, tmp_path / "again").ran
    assert ran == [1]


def test_a_head_that_stays_as_it_was_drawn(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "modules_of", lambda model, lacking: [])
    monkeypatch.setattr("torch.nn.Parameter.requires_grad_", lambda self, wanted=True: self)
    bart = {**ALL_LINEAR, "TASK": "text-classification"}
    with pytest.raises(
        SettingsError, match=r"classification_head.* decides its outputs and is not"
    ):
        tried(build("bart"), ARCHITECTURES["llama"], tmp_path, **bart)


def test_a_tokenizer_that_the_models_type_would_make_another(tmp_path: Path) -> None:
    wordpiece().save_pretrained(tmp_path / "words")
    settings = load(
        {
            "FINETUNE_TASK": "text-classification",
            "FINETUNE_MODEL__TOKENIZER": str(tmp_path / "words"),
            "FINETUNE_MODEL__CONFIG": '{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 1, '
            '"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}',
        }
    ).settings
    base = find_base(settings, tmp_path)
    start = StartingPoint(settings, tasks.create(settings), base.place, base.tokenizer)
    table = MappedTable.of(pa.table({"length": pa.array([3])}))
    with pytest.raises(
        SettingsError, match=r"saved and loaded as Qwen2Tokenizer: .* before and .*"
    ):
        check_tokenizer(start, Sample(table, Padding(0), 16, {}), tmp_path / "saved")


@pytest.mark.parametrize("task", ["text-classification", "fill-mask"])
def test_special_tokens_in_texts_are_no_disagreement(
    task: str, build: Build, tmp_path: Path
) -> None:
    """How they are read is saved with a classifier's tokenizer, and not where masks must be obeyed."""
    bert = ARCHITECTURES["bert"]
    texts = [f"{text} [SEP] {text} [MASK]" for text in bert.rows["text"]]
    strange = SimpleNamespace(task=task, settings={}, rows={**bert.rows, "text": texts})
    assert tried(build("bert"), cast("Architecture", strange), tmp_path).ran


def test_rows_are_few_and_of_different_lengths() -> None:
    lengths = np.array([300, 20, 20, 5, 100, 3000, 900, 7], np.int32)
    table = MappedTable.of(pa.table({"length": pa.array(lengths), ROW: pa.array(range(8))}))
    sample = Sample(table, Padding(0, multiple=8, fixed=4000), 4000, {})
    assert sorted(lengths[sample.rows]) == [5, 7, 20, 100]
    assert lengths[sample.longest].tolist() == [900]
    assert (sample.wide.multiple, sample.wide.fixed) == (1, None)
    equal = Sample(table.take(np.array([1, 2])), Padding(0), 64, {})
    assert equal.wide.width([20, 20]) == 21
    assert Sample(table.take(np.array([1, 2])), Padding(0), 20, {}).wide.width([20, 20]) == 20


def test_packed_blocks_are_cut_to_different_lengths() -> None:
    ids = list_column(np.arange(3 * 200, dtype=np.int32), [200] * 3)
    blocks = MappedTable.of(pa.table({"input_ids": ids, "length": pa.array([200] * 3, pa.int32())}))
    sample = trial.sample._unpacked(blocks)
    assert sample.column("length").tolist() == [42, 85, 128]
    assert [part[0] for part in sample.lists("input_ids", np.arange(3))] == [0, 200, 400]


def test_damage_is_not_said_to_be_a_disagreement(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(build("bert"), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        tried(folder, ARCHITECTURES["bert"], tmp_path / "scratch")
