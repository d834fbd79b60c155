"""fill-mask: which tokens are hidden, and the loss over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, AutoTokenizer

from job.batching.padding import Padding
from job.data.arrow import MappedTable, Writer
from job.errors import SettingsError
from job.settings import Train
from job.tasks.fill_mask import FillMask
from job.tasks.types import FIXED
from tests.support.samples import settings_of, tiny_bert

TASK = FillMask({"text": "text"}, seed=5, mask_id=4, special_ids=(0, 1, 2, 3, 4), vocabulary=100)
tokens = st.lists(st.integers(0, 99), min_size=1, max_size=60).map(lambda v: np.array(v, np.int64))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(
        tmp_path_factory.mktemp("bert"), ["playing played player plays replay a b c"] * 9
    )


@given(tokens, st.integers(0, 1000), st.integers(-1, 4))
def test_labels_stand_where_tokens_were_chosen(ids: np.ndarray, row: int, epoch: int) -> None:
    inputs, labels = TASK.masked(ids, row, epoch)
    chosen = labels != -100
    assert (labels[chosen] == ids[chosen]).all()
    assert (inputs[~chosen] == ids[~chosen]).all()
    assert not chosen[np.isin(ids, TASK.special_ids)].any()
    assert chosen.any() or np.isin(ids, TASK.special_ids).all()


@given(tokens, st.integers(0, 1000), st.integers(-1, 4))
def test_masking_token_by_token(ids: np.ndarray, row: int, epoch: int) -> None:
    """The slow reference: a draw decides for each token, and another what becomes of it."""
    draws = np.random.default_rng([TASK.seed, epoch + 1, row, 0]).random(len(ids))
    random = np.random.default_rng([TASK.seed, epoch + 1, row, 1])
    actions, words = random.random(len(ids)), random.integers(0, TASK.vocabulary, len(ids))
    free = [i for i in range(len(ids)) if ids[i] not in TASK.special_ids]
    chosen = [i for i in free if draws[i] < TASK.probability]
    if free and not chosen:
        chosen = [min(free, key=lambda i: draws[i])]
    expected, labels = ids.tolist(), [-100] * len(ids)
    for i in chosen:
        labels[i] = int(ids[i])
        if actions[i] < 0.8:
            expected[i] = TASK.mask_id
        elif actions[i] < 0.9:
            expected[i] = int(words[i])
    found = TASK.masked(ids, row, epoch)
    assert (found[0].tolist(), found[1].tolist()) == (expected, labels)


def test_the_rates_are_those_of_the_paper() -> None:
    ids = np.random.default_rng(0).integers(10, 100, 40_000)
    inputs, labels = TASK.masked(ids, 0, 0)
    chosen = labels != -100
    assert chosen.mean() == pytest.approx(0.15, abs=0.01)
    assert (inputs[chosen] == TASK.mask_id).mean() == pytest.approx(0.8, abs=0.02)
    kept = (inputs[chosen] == ids[chosen]).mean()
    assert kept == pytest.approx(0.1, abs=0.02)


def test_masks_depend_on_seed_epoch_and_row_alone() -> None:
    ids = np.arange(10, 90)
    first = TASK.masked(ids, 3, 0)[1]
    assert (TASK.masked(ids, 3, 0)[1] == first).all()
    assert (TASK.masked(ids, 3, 1)[1] != first).any()
    assert (TASK.masked(ids, 4, 0)[1] != first).any()
    assert (TASK.masked(ids, 3, FIXED)[1] == TASK.masked(ids, 3, FIXED)[1]).all()


@given(tokens, st.integers(0, 50))
def test_whole_words_are_chosen_whole(ids: np.ndarray, row: int) -> None:
    """The slow reference: walk over the tokens, and give each continuation its word's fate."""
    task = FillMask({"text": "text"}, 0.5, True, 5, 4, (0, 1, 2, 3, 4), tuple(range(50, 100)), 100)
    chosen = task.chosen(ids, row, 0)
    for i in range(1, len(ids)):
        if ids[i] >= 50 and ids[i - 1] > 4:
            assert chosen[i] == chosen[i - 1]


def test_continuations_are_known_from_the_vocabulary(bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    task = FillMask.create(settings_of(train=Train(whole_word_mask=True)))
    fitted = task.fitted({}, {}, (), tokenizer)
    words = {tokenizer.convert_ids_to_tokens(i) for i in fitted.continuation_ids}
    assert words
    assert all(word.startswith("##") for word in words)
    assert task.restored(fitted.facts) == fitted


def test_a_data_set_serves_masks_of_tokens_and_of_words(bert: Path) -> None:
    """The settings of TRAIN are no part of a data set: what it was prepared with may be another run's."""
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokens, words = (
        FillMask.create(settings_of(train=Train(whole_word_mask=whole))) for whole in (False, True)
    )
    prepared = tokens.fitted({}, {}, (), tokenizer).facts
    assert words.restored(prepared) == words.fitted({}, {}, (), tokenizer)


def test_a_tokenizer_without_a_mask_token_is_refused(bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.mask_token = None
    with pytest.raises(SettingsError, match="needs a tokenizer with a mask token"):
        FillMask.create(settings_of()).configure_tokenizer(tokenizer)


def test_the_loss_is_transformers_own(bert: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    task = FillMask.create(settings_of()).fitted({}, {}, (), tokenizer)
    texts = ["playing a player b", "replay c plays a b", "b c"] * 8
    packer = task.packer(tokenizer, 16)
    assert packer is not None
    with Writer(tmp_path / "rows.arrow") as writer:
        blocks = packer.add(task.features({"text": texts}, tokenizer, 16).columns["input_ids"])
        assert blocks is not None
        writer.write(blocks)
    table = MappedTable(tmp_path / "rows.arrow")
    rows = np.arange(len(table))
    model = AutoModelForMaskedLM.from_pretrained(bert).eval()
    batch = task.collate(table, rows, Padding(0), 2)
    assert batch["input_ids"][0, 0] == tokenizer.cls_token_id
    with torch.no_grad():
        expected = float(model(**batch).loss)
        outputs, loss = task.predict(model, batch)
    weights = task.row_weights(table, rows, 2)
    assert loss / weights.sum() == pytest.approx(expected, rel=1e-5)
    assert [output[1] for output in outputs] == weights.tolist()
    with torch.no_grad():
        assert task.predict(model, task.collate(table, rows[:0], Padding(0), 2))[1] == 0
