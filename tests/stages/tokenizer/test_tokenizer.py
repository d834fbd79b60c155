"""Tokenizers built block by block: they load in a fresh process and give back what they were given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from job.data.artifacts import CleanRows
from job.demo import tickets
from job.errors import SettingsError
from job.settings.sections.tokenizer import Normalizer, PreTokenizer, Tokenizer
from job.stages.tokenizer import blocks, train_tokenizer
from tests.support.samples import cleaned, finetune, tiny_bert, write_tickets

TEXTS = [text for text, _ in tickets(400)]
KINDS = ("wordpiece", "bpe", "unigram", "wordlevel", "char")

Make = Callable[..., tuple[Any, dict[str, Any], Path]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("rows")
    table = cleaned({"text": TEXTS}, folder / "rows.arrow")
    rows = CleanRows({"train": table}, (), {"train": len(TEXTS)}, folder / "q", {})

    def train(other: Any = None, **settings: Any) -> tuple[Any, dict[str, Any], Path]:
        target = tmp_path_factory.mktemp("tokenizer")
        chosen = Tokenizer(**{"vocab_size": 600, **settings})
        found = train_tokenizer(chosen, rows, other, target)
        return AutoTokenizer.from_pretrained(target), found, target

    return train


def test_every_kind_loads_in_a_fresh_process_and_reads_its_texts(make: Make) -> None:
    made = {kind: make(kind=kind) for kind in KINDS}
    code = (
        "import json, sys; from transformers import AutoTokenizer; "
        "t = [AutoTokenizer.from_pretrained(folder) for folder in sys.argv[2:]]; "
        "print(json.dumps([[t.is_fast, t(sys.argv[1])['input_ids'], t.pad_token] for t in t]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, TEXTS[0], *(str(folder) for _, _, folder in made.values())],
        capture_output=True,
        text=True,
        check=True,
    )
    for (tokenizer, found, folder), fresh in zip(
        made.values(), json.loads(done.stdout), strict=True
    ):
        fast, ids, pad = fresh
        assert fast
        assert pad
        assert ids == tokenizer(TEXTS[0])["input_ids"]
        usage = found["tokenizer"]
        assert usage["vocabulary"] == len(tokenizer) <= 600
        assert usage["unknown_rate"] < 0.2
        assert usage["bytes_per_token"] > 0.9
        assert json.loads((folder / "tokenizer_report.json").read_text()) == found


def test_the_special_tokens_stand_around_texts_as_in_the_well_known_models(make: Make) -> None:
    def around(kind: str, **more: Any) -> list[str]:
        tokenizer = make(kind=kind, **more)[0]
        tokens = tokenizer.convert_ids_to_tokens(tokenizer("the order", "my card")["input_ids"])
        return [token for token in tokens if token in tokenizer.all_special_tokens]

    assert around("wordpiece") == ["[CLS]", "[SEP]", "[SEP]"]
    assert around("unigram") == ["</s>", "</s>"]
    assert around("bpe") == []
    assert around("bpe", post_processor="end") == ["<|endoftext|>"] * 2


def test_blocks_compose(make: Make) -> None:
    tokenizer = make(
        kind="wordlevel",
        normalizers=("nfkd", "strip_accents", "lowercase"),
        pre_tokenizers=("whitespace_split", "digits"),
    )[0]
    backend = tokenizer.backend_tokenizer
    assert backend.normalizer.normalize_str("ÉTÉ ﬁn") == "ete fin"
    assert [word for word, _ in backend.pre_tokenizer.pre_tokenize_str("a 12")] == ["a", "1", "2"]


@pytest.fixture(scope="module")
def byte_level(make: Make) -> Any:
    return make(kind="bpe")[0]


@given(st.text())
def test_byte_level_bpe_gives_back_any_text(byte_level: Any, text: str) -> None:
    assert byte_level.decode(byte_level.encode(text)) == text


@given(st.text(alphabet=sorted({c for text in TEXTS for c in text})))
def test_characters_give_back_any_text_of_their_alphabet(characters: Any, text: str) -> None:
    ids = characters.encode(text, add_special_tokens=False)
    assert len(ids) == len(text)
    assert characters.decode(ids) == text


@pytest.fixture(scope="module")
def characters(make: Make) -> Any:
    return make(kind="char")[0]


def test_an_existing_tokenizer_is_retrained(make: Make, tmp_path: Path) -> None:
    base = AutoTokenizer.from_pretrained(tiny_bert(tmp_path, ["other words than these"] * 9))
    tokenizer, found, _ = make(base, base="a folder", vocab_size=300)
    assert tokenizer.cls_token == "[CLS]"
    assert "invoice" in tokenizer.get_vocab() or "in" in tokenizer.get_vocab()
    assert found["base"]["unknown_rate"] > found["tokenizer"]["unknown_rate"]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "char"])
def test_a_vocabulary_below_its_alphabet_is_refused(make: Make, kind: str) -> None:
    with pytest.raises(SettingsError, match="VOCAB_SIZE=20 is smaller than the alphabet"):
        make(kind=kind, vocab_size=20)


def test_a_missing_token_is_refused(make: Make) -> None:
    with pytest.raises(SettingsError, match="POST_PROCESSOR=bert needs a cls_token"):
        make(kind="bpe", post_processor="bert")


def test_every_block_that_can_be_named_exists() -> None:
    assert get_args(Normalizer) == tuple(blocks.NORMALIZERS)
    assert get_args(PreTokenizer) == tuple(blocks.PRE_TOKENIZERS)


@pytest.mark.slow
def test_published_and_used_by_a_model_in_the_same_store(tmp_path: Path) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    env = {
        "FINETUNE_NAME": "m",
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_DATA__TRAIN": str(data),
        "FINETUNE_TOKENIZER__KIND": "wordpiece",
        "FINETUNE_TOKENIZER__VOCAB_SIZE": "700",
        "OMP_NUM_THREADS": "1",
    }
    done = finetune("tokenizer", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    place = done.stdout.split()[1]
    again = finetune("tokenizer", env=env, cwd=tmp_path)
    assert again.returncode == 0
    assert "published already" in again.stderr
    model = tiny_bert(tmp_path / "bert", TEXTS[:20])
    run = {
        **env,
        "FINETUNE_MODEL__NAME": str(model),
        "FINETUNE_MODEL__TOKENIZER": place,
        "FINETUNE_TRAIN__MAX_STEPS": "3",
    }
    done = finetune("run", env=run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "embeddings grown" in done.stderr
