"""Data and models that cannot be used, through the command line: the code, one line, nothing made."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from job.store import open_store
from job.store.commit import load
from tests.support.refusals import ROWS, given, nothing_made, refused
from tests.support.samples import finetune, tiny_bert, write_csv

LATIN = "text,label\n" + "".join(f"Grüße aus Köln {i},{'ab'[i % 2]}\n" for i in range(20))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model"), [text for text, _ in ROWS])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "rows.csv", ROWS)


def is_refused(
    folder: Path, env: dict[str, str], code: int, *words: str, command: str = "run"
) -> None:
    refused(code, *words, command=command, env=env, folder=folder)
    nothing_made(open_store(env["FINETUNE_OUTPUT"]))


# -- rows ----------------------------------------------------------------------------------------


def test_rows_that_end_a_run_are_kept(model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", [*ROWS, *([("a", "b", "too many")] * 20)])
    is_refused(tmp_path, given(tmp_path, model, data), 65, "20 of 80 train rows")
    kept = (tmp_path / "out/m/runs/r1/quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in kept] == list(range(62, 82))


def test_a_label_column_that_is_not_there(model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ROWS, ("text", "lable"))
    words = (
        "rows.csv: no column 'label'",
        "did you mean 'lable'?",
        "the columns are 'text', 'lable'",
        "set FINETUNE_DATA__COLUMNS__LABEL",
    )
    is_refused(tmp_path, given(tmp_path, model, data), 65, *words, command="check")


@pytest.mark.parametrize(
    ("rows", "header", "settings", "code", "words"),
    [
        (
            ROWS,
            ("body", "label"),
            {},
            65,
            ("no column 'text'", "'body', 'label'", "set FINETUNE_DATA__COLUMNS__TEXT"),
        ),
        (
            [*ROWS, ("a", "b", "c"), ("d", "e", "f")],
            ("text", "label"),
            {},
            65,
            (
                "2 of 62 train rows (3.2%)",
                "rows.csv:62: 3 columns where 2 are expected",
                "rows.csv:63",
                "MAX_BAD_FRACTION above 0.01",
            ),
        ),
        (
            [*((text, len(text)) for text, _ in ROWS), ("x", "many")],
            ("text", "label"),
            {"MODEL__PROBLEM_TYPE": "regression"},
            65,
            ("rows.csv:62: the label 'many' is not a number",),
        ),
        (
            ROWS[:4],
            ("text", "label"),
            {},
            65,
            ("no validation rows were held out", "raise FINETUNE_DATA__VALIDATION_FRACTION"),
        ),
        (
            ROWS,
            ("text", "label"),
            {"DATA__ENCODING": "utf-16"},
            65,
            ("rows.csv: cannot be decoded", "BOM", "set FINETUNE_DATA__ENCODING"),
        ),
        (
            ROWS,
            ("text", "label"),
            {"DATA__ENCODING": "utf-99"},
            78,
            ("FINETUNE_DATA__ENCODING=utf-99", "use utf-8"),
        ),
    ],
    ids=["no text", "bad rows", "no number", "few rows", "utf-16", "utf-99"],
)
def test_rows_that_cannot_be_used(
    model: Path,
    tmp_path: Path,
    rows: list[tuple[object, ...]],
    header: tuple[str, ...],
    settings: dict[str, str],
    code: int,
    words: tuple[str, ...],
) -> None:
    data = write_csv(tmp_path / "rows.csv", rows, header)
    env = given(tmp_path, model, data, **settings)
    is_refused(tmp_path, env, code, *words, command="check")


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_a_validation_file_without_rows(
    model: Path, data: Path, tmp_path: Path, content: str
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text(content)
    env = given(tmp_path, model, data, DATA__VALIDATION=empty)
    is_refused(
        tmp_path, env, 65, "no validation rows are left of those given",
        "name more files in FINETUNE_DATA__VALIDATION", command="check",
    )  # fmt: skip


def test_a_file_in_another_encoding(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(LATIN.encode("latin-1"))
    is_refused(
        tmp_path, given(tmp_path, model, data), 65,
        "rows.csv:2: holds bytes that are not utf-8 text", "set FINETUNE_DATA__ENCODING",
        command="check",
    )  # fmt: skip


def test_a_pickle_without_permission(model: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.pkl").write_bytes(pickle.dumps([{"text": "a", "label": "b"}]))
    why = ("can run any program in this job", "parquet", "FINETUNE_DATA__ALLOW_PICKLE")
    named = given(tmp_path, model, data, DATA__TEST=folder / "rows.pkl")
    is_refused(tmp_path, named, 78, "FINETUNE_DATA__FORMAT=pickle", *why)
    assert not (tmp_path / "out").exists()
    is_refused(
        tmp_path, given(tmp_path, model, folder), 78, "rows.pkl", *why, command="check"
    )  # found behind a folder's name


def test_a_single_class(model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", [(text, "spam") for text, _ in ROWS])
    is_refused(
        tmp_path, given(tmp_path, model, data), 65,
        "column 'label' holds one class only ('spam')", "add rows of another class",
    )  # fmt: skip


def test_a_label_that_only_the_test_rows_have(model: Path, data: Path, tmp_path: Path) -> None:
    test = write_csv(tmp_path / "test.csv", [("something else", "complaint")])
    is_refused(
        tmp_path, given(tmp_path, model, data, DATA__TEST=test), 65,
        "test holds labels that train does not: 'complaint'", "add training rows for it",
    )  # fmt: skip


def test_a_class_weight_for_no_label(model: Path, data: Path, tmp_path: Path) -> None:
    env = given(tmp_path, model, data, TRAIN__CLASS_WEIGHTS='{"bilingual": 2}')
    is_refused(
        tmp_path, env, 78,
        "FINETUNE_TRAIN__CLASS_WEIGHTS names 'bilingual'", "the labels are 'billing', 'delivery'",
        command="check",
    )  # fmt: skip


def test_text_longer_than_the_model_takes(model: Path, data: Path, tmp_path: Path) -> None:
    above = given(tmp_path, model, data, ENCODE__MAX_LENGTH=100)
    is_refused(
        tmp_path, above, 78,
        "FINETUNE_ENCODE__MAX_LENGTH=100 is above the 64 tokens", "set it to 64 at most",
        command="check",
    )  # fmt: skip


def test_long_rows_are_cut_and_counted(model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", [*ROWS, ("word " * 500, ROWS[0][1])])
    env = given(
        tmp_path, model, data, DATA__VALIDATION_FRACTION=0, DATA__TEST_FRACTION=0, TRAIN__MAX_STEPS=1
    )  # fmt: skip
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warnings = [json.loads(line) for line in done.stderr.splitlines() if '"warning"' in line]
    assert [(w["message"], w["split"], w["rows"], w["of"]) for w in warnings] == [
        ("rows are longer than the model takes and were cut", "train", 1, 61)
    ]
    version = tmp_path / "out/m/models/r1-a1"
    assert load(open_store(str(tmp_path / "out")), "m/models/r1-a1").files
    card = (version / "README.md").read_text()
    assert "| split | rows used | longer than 64 tokens, cut |" in card
    assert "| train | 61 | 1 |" in card


# -- models --------------------------------------------------------------------------------------


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def broken(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut_short, ("model.safetensors", "cannot be read", "download it again")),
        (
            pickled,
            ("holds no .safetensors file", "pytorch_model.bin", "can run any code", "save it"),
        ),
        (without_tokenizer, ("holds no tokenizer", "FINETUNE_MODEL__TOKENIZER")),
        (broken, ("the config in", "cannot be read (JSONDecodeError", "download it again")),
        (shutil.rmtree, ("does not exist", "check the name")),
    ],
)
def test_a_model_that_cannot_be_loaded(
    model: Path,
    data: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: tuple[str, ...],
) -> None:
    copy = tmp_path / "bert"
    shutil.copytree(model, copy)
    spoil(copy)
    code = 66 if spoil is shutil.rmtree else 65
    is_refused(tmp_path, given(tmp_path, copy, data), code, str(copy), *words, command="check")


@pytest.mark.slow
def test_weights_that_are_not_those_of_the_config(model: Path, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bert"
    shutil.copytree(model, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    refused(
        78, str(copy), "contradicts its own config", "another shape", "(48)", "download it again",
        env=given(tmp_path, copy, data), folder=tmp_path,
    )  # fmt: skip
    assert not (tmp_path / "out/m/models").exists()


@pytest.mark.slow
def test_check_only_warns_where_the_first_rows_hold_none_out(model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", [(f"row {i}", "ab"[i % 2]) for i in range(2100)])
    env = given(tmp_path, model, data, DATA__VALIDATION_FRACTION=1e-9, DATA__TEST_FRACTION=0)
    done = finetune("check", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning    validation: none of the first 2000 rows is held out" in done.stdout
    is_refused(tmp_path, env, 65, "no validation rows were held out")
