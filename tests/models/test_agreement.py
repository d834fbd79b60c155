"""One fact in two files of a model: what is taken where one is silent, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Prepend, Replace, Sequence
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, GPT2Config, XLNetConfig

from job.errors import SettingsError
from job.models import Place, load_config, load_tokenizer, max_length_of
from job.models.agreement import check_agreement, check_class
from job.settings import Model
from job.tasks.positions import positions_of
from tests.support.architectures import ARCHITECTURES, TEXTS, wordpiece
from tests.support.plants import edited


@pytest.fixture
def folder(bases: Path, tmp_path: Path) -> Path:
    """A GPT-2 whose tokenizer has no padding token, to be edited."""
    return Path(shutil.copytree(bases, tmp_path / "model"))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ARCHITECTURES["gpt2"].build(tmp_path_factory.mktemp("gpt2"), "gpt2")


def agreed(folder: Path, *, chosen: bool = False) -> Any:
    """The tokenizer, once it is found to agree with the config."""
    place = Place("m", folder, "")
    config = load_config(place, Model())
    tokenizer = load_tokenizer(place, Model(), config.pad_token_id)
    check_agreement(place, config, tokenizer, chosen=chosen)
    return tokenizer


@pytest.mark.parametrize(("given", "pads"), [(3, 3), (None, 2), (-1, 2)])
def test_the_config_pads_for_a_tokenizer_that_does_not(
    given: int | None, pads: int, folder: Path
) -> None:
    edited("config.json", pad_token_id=given)(folder)
    assert agreed(folder).pad_token_id == pads


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("config.json", {"eos_token_id": GPT2Config().eos_token_id}),  # nobody has said so
        ("config.json", {"eos_token_id": [9, 2]}),
        ("generation_config.json", {"eos_token_id": [9, 2]}),
        ("generation_config.json", {"bos_token_id": 99999}),
        ("config.json", {"id2label": {"0": "a", "1": "b"}, "label2id": {"b": 1, "a": 0}}),
    ],
)
def test_what_agrees(file: str, fields: dict[str, Any], folder: Path) -> None:
    edited(file, **fields)(folder)
    agreed(folder)


@pytest.mark.parametrize(
    ("file", "fields", "said"),
    [
        ("config.json", {"pad_token_id": 99999}, r"config.json gives pad_token_id=99999, .* '</s>' is 2"),
        ("config.json", {"eos_token_id": 7}, r"config.json gives eos_token_id=7, .* '</s>' is 2"),
        ("generation_config.json", {"eos_token_id": 99999}, "generation_config.json gives eos_token_id=99999"),
        ("generation_config.json", {"forced_bos_token_id": 500}, "forced_bos_token_id=500, and there are"),
        ("config.json", {"id2label": {"1": "a", "2": "b"}}, r"id2label numbers its labels \[1, 2\]"),
        ("config.json", {"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "num_labels is 3, and id2label has 2"),
        ("config.json", {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}, "names 0 'a', and label2id gives 'a' the number 1"),
    ],
)  # fmt: skip
def test_what_differs_is_refused(
    file: str, fields: dict[str, Any], said: str, folder: Path
) -> None:
    edited(file, **fields)(folder)
    with pytest.raises(SettingsError, match=said):
        agreed(folder)


def test_the_first_token_of_two_files_in_three_is_taken(folder: Path, caplog: Any) -> None:
    """As in models distilled from others, whose config.json kept the token of their base."""
    edited("config.json", bos_token_id=7)(folder)
    with caplog.at_level("INFO", logger="finetune"):
        assert agreed(folder).bos_token_id == 1
    assert "the tokenizer decides" in caplog.text
    edited("generation_config.json", bos_token_id=7)(folder)
    with pytest.raises(SettingsError, match=r"config.json gives bos_token_id=7, .* '<s>' is 1"):
        agreed(folder)


def test_a_tokenizer_that_was_chosen_decides(folder: Path, caplog: Any) -> None:
    edited("config.json", eos_token_id=7)(folder)
    with caplog.at_level("INFO", logger="finetune"):
        assert agreed(folder, chosen=True).eos_token_id == 2
    assert "the tokenizer decides" in caplog.text


@pytest.mark.parametrize(("kind", "refused"), [("bert", False), ("roberta", True)])
def test_a_type_that_takes_a_tokenizer_for_another(
    kind: str, refused: bool, tmp_path: Path
) -> None:
    """A tokenizer.json of WordPiece, and no file that names its class."""
    wordpiece().save_pretrained(tmp_path)
    edited("tokenizer_config.json", tokenizer_class=None)(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    if not refused:
        check_class(Place("m", tmp_path, ""), tokenizer)
        return
    with pytest.raises(SettingsError, match=r"by tokenizer.json, and \[.* as RobertaTokenizer"):
        check_class(Place("m", tmp_path, ""), tokenizer)


def test_a_class_that_differs_in_outer_spaces_alone_is_taken(tmp_path: Path, caplog: Any) -> None:
    """Llama 2's own tokenizer.json puts a space before any text, and its class before a word only."""
    backend = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True))
    backend.normalizer = Sequence([Prepend("\u2581"), Replace(" ", "\u2581")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    trainer = BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    backend.save(str(tmp_path / "tokenizer.json"))
    named = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with caplog.at_level("WARNING", logger="finetune"):
        check_class(Place("m", tmp_path, ""), AutoTokenizer.from_pretrained(tmp_path))
    assert "texts that begin or end with spaces are cut otherwise" in caplog.text


def test_positions_are_read_as_each_type_means_them() -> None:
    assert positions_of(XLNetConfig()) is None
    kinds = {"roberta": 2, "mpnet": 2, "esm": 2, "bert": 0, "gpt2": 0}
    for kind, before in kinds.items():
        config = load_default(kind, max_position_embeddings=514, pad_token_id=1)
        assert positions_of(config) == 514 - before
    tokenizer = wordpiece(model_max_length=10**30)
    assert max_length_of(XLNetConfig(), tokenizer, 4000) == 4000


def load_default(kind: str, **fields: Any) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(kind, **fields)
