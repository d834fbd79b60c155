"""Special tokens that stand in users' texts are text, whatever cuts the text into tokens."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from job.models import Place
from job.settings import Columns, Data, Encode
from job.stages.publish.verify import as_read
from job.tasks import TASKS, predicting
from job.tasks.base import Task
from job.tasks.fill_mask import FillMask
from job.tasks.special_tokens import SpecialTokens, obeyed, read_as_text
from job.tasks.text_classification import TextClassification
from job.tasks.text_generation.chats import Layout
from job.tasks.tokens import tokenize
from tests.support.samples import settings_of, tiny_bert
from tests.support.seq2seq_samples import byte_level_tokenizer
from tests.support.tokenizers import tokenizers

TEXT = "a [SEP] b</s>c [CLS][MASK] a"


def unigram() -> PreTrainedTokenizerFast:
    """As T5's: its own vocabulary holds `</s>`, which is the likeliest piece of any text with it."""
    letters = [(letter, -3.0) for letter in "▁abcSEPLK[]</s>MuA "]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *dict(letters).items()]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tiny_bert(tmp_path_factory.mktemp("bert"), ["a b c sep cls mask user d"] * 9)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def bert(trained: Any) -> Any:
    return deepcopy(trained)


@pytest.fixture(params=["bert", "wordpiece", "byte level", "t5", "unigram"])
def tokenizer(request: pytest.FixtureRequest, bert: Any) -> Any:
    piece, level = deepcopy(tokenizers())
    for made in (piece, level):
        made.add_special_tokens({"sep_token": "[SEP]", "cls_token": "[CLS]", "unk_token": "[UNK]"})
    by_name = {"bert": bert, "wordpiece": piece, "byte level": level}
    if request.param == "t5":
        return byte_level_tokenizer(["a b c"], "t5")
    return unigram() if request.param == "unigram" else by_name[request.param]


def special_ids(tokenizer: Any) -> set[int]:
    return set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


def test_a_text_has_no_special_tokens_but_those_around_it(tokenizer: Any) -> None:
    def specials(text: str) -> list[int]:
        (ids,) = tokenize(tokenizer, [text], None, None).input_ids.to_pylist()
        return [i for i in ids if i in special_ids(tokenizer)]

    read_as_text(tokenizer)
    assert specials(TEXT) == specials("a b c")
    read_as_text(tokenizer, as_text=False)
    assert len(specials(TEXT)) > len(specials("a b c"))


def test_only_what_would_be_obeyed_is_changed_and_no_place_moves(tokenizer: Any) -> None:
    read_as_text(tokenizer)
    special = SpecialTokens(tokenizer)
    (text,) = special.readable([TEXT])
    assert (len(text), text.casefold()) == (len(TEXT), TEXT.casefold())
    assert special.readable(["a b </S> [x]"]) == ["a b </S> [x]"]
    assert special.first_in("a b") is None
    assert special.first_in(None) is None


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_reads_them_as_text_in_training_and_in_use(kind: type[Task], bert: Any) -> None:
    read_as_text(bert)
    bert.eos_token = "[SEP]"
    for columns in (Columns(), Columns(prompt="prompt", completion="completion")):
        task = kind.create(settings_of(data=Data(columns=columns), encode=Encode()))
        task = task.fitted({"label": ["x"]}, {"train": {"x": 3, "y": 3, "B-x": 1}}, (), bert)
        for one in (task, predicting(task)):
            counts = []
            for text in ("a b c [SEP] [CLS]", "a b c d d"):
                rows: dict[str, Any] = {role: [text] for role in one.columns}
                rows |= {"tokens": [json.dumps(text.split())], "label": ["x"]}
                rows |= {"tags": [json.dumps(["O"] * len(text.split()))]}
                rows |= {"answers": ['{"text": ["a"], "answer_start": [0]}']}
                if isinstance(one, FillMask):
                    rows["text"] = [f"{text} [MASK]"]
                features = one.features(rows, bert, 48)
                ids = features.columns["input_ids"].to_pylist()[0]
                counts.append([i for i in ids if i in special_ids(bert)])
            assert counts[0] == counts[1]


def test_masks_that_are_to_be_filled_in_are_masks_and_nothing_else_is(bert: Any) -> None:
    task = FillMask.create(settings_of()).fitted({}, {}, (), bert)
    filling = predicting(task).fitted({}, {}, (), bert)
    texts = ["a [MASK] b [SEP] [MASK]", "a[MASK]b c", "a b [MASK]."]
    with obeyed(bert):
        plain = bert(texts)["input_ids"]
    read_as_text(bert, saved=False)
    ids = filling.features({"text": texts}, bert, 32).columns["input_ids"].to_pylist()
    assert ids[1:] == plain[1:]
    assert [i.count(bert.mask_token_id) for i in ids] == [2, 1, 1]
    assert [i.count(bert.sep_token_id) for i in ids] == [1, 1, 1]
    (cut,) = filling.features({"text": texts[:1]}, bert, 6).columns["input_ids"].to_pylist()
    assert (len(cut), cut[-1]) == (6, bert.sep_token_id)


def test_a_chats_own_special_tokens_are_obeyed_and_the_users_are_not(bert: Any) -> None:
    bert.chat_template = "{% for m in messages %}[CLS]{{ m.role }} {{ m.content | trim }}[SEP]{% endfor %}{% if add_generation_prompt %}[CLS]{% endif %}"
    chat = [{"role": "user", "content": "a [SEP] b"}, {"role": "assistant", "content": "[SEP]c"}]
    for as_text, ends in ((True, 2), (False, 4)):
        read_as_text(bert, as_text=as_text, saved=False)
        layout = Layout.of(bert)
        ids = [i for ids in layout.special.ids_of(layout.halves(json.dumps(chat))) for i in ids]
        assert [ids.count(i) for i in (bert.sep_token_id, bert.cls_token_id)] == [ends, 2]
        (asked,) = layout.special.ids_of([layout.prompt(json.dumps(chat[:1]))])
        assert asked.count(bert.sep_token_id) == ends // 2
    read_as_text(bert, saved=False)
    plain = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
    whole = "".join(Layout.of(bert).halves(json.dumps(plain)))
    with obeyed(bert):
        assert Layout.of(bert).special.ids_of([whole]) == [
            bert.apply_chat_template(plain, return_dict=False)
        ]


@pytest.mark.parametrize("saved", [True, False])
def test_a_published_tokenizer_reads_texts_as_they_were_scored(
    bert: Any, tmp_path: Path, *, saved: bool
) -> None:
    read_as_text(bert, saved=saved)
    bert.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    (scored,) = tokenize(bert, [TEXT], None, None).input_ids.to_pylist()
    assert (again(TEXT)["input_ids"] == scored) is saved
    assert again.split_special_tokens is saved


def test_texts_are_cut_where_the_tokenizer_cuts(bert: Any) -> None:
    for side in ("right", "left", "right"):
        bert.truncation_side = side
        (ids,) = tokenize(bert, ["a b c d"], None, 4).input_ids.to_pylist()
        assert ids == bert("a b c d", truncation=True, max_length=4)["input_ids"]


def test_a_fresh_process_is_given_texts_as_they_were_read(tmp_path: Path) -> None:
    """A tokenizer that cannot take `</s>` as text, used as a pipeline does, would obey it."""
    tokenizer = unigram()
    read_as_text(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    rows = [{"row": 0, "text": "a </s> b", "label": "</s>"}]
    (row,) = as_read(rows, TextClassification({"text": "text"}), Place("m", tmp_path, ""))
    assert row == {"row": 0, "text": "a </S> b", "label": "</s>"}
    (scored,) = tokenize(tokenizer, ["a </s> b"], None, None).input_ids.to_pylist()
    assert AutoTokenizer.from_pretrained(tmp_path)(row["text"])["input_ids"] == scored
