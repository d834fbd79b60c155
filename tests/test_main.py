"""The command line as somebody new to it uses it: what it says to slips, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job.__main__ import main
from job.commands.exit_codes import explained
from job.commands.worker import failure
from tests.support.refusals import given, refused
from tests.support.samples import finetune

COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"EVALUATE__METRIC": "acuracy"},
            ("FINETUNE_EVALUATE__METRIC=acuracy", "did you mean accuracy?", "f1_weighted"),
        ),
        ({"TRAIN__EPOCS": 1}, ("FINETUNE_TRAIN__EPOCS", "did you mean FINETUNE_TRAIN__EPOCHS?")),
        (
            {"MODEL__NAME": "s3://bucket/bert", "MODEL__TRUST_REMOTE_CODE": "true"},
            ("FINETUNE_MODEL__TRUST_REMOTE_CODE is refused for files from a bucket", "unset it"),
        ),
        (
            {
                "MODEL__TOKENIZER": "s3://bucket/bert",
                "MODEL__TRUST_REMOTE_CODE": "true",
                "MODEL__REVISION": COMMIT,
            },
            ("FINETUNE_MODEL__TRUST_REMOTE_CODE is refused for files from a bucket", "unset it"),
        ),
        ({"OUTPUT": ""}, ("FINETUNE_OUTPUT is not set", "name an s3://bucket/prefix or a folder")),
        ({"OUTPUT": "s3://"}, ("FINETUNE_OUTPUT", "no bucket", "write s3://bucket/prefix")),
        ({"OUTPUT": "s3:/bucket/out"}, ("FINETUNE_OUTPUT", "not a URI", "write s3://")),
        (
            {"OUTPUT": "s3://admin:admin-secret@bucket/out"},
            ("s3://***@bucket/out", "credentials belong in AWS_ACCESS_KEY_ID"),
        ),
        ({"OUTPUT": "https://host/out"}, ("cannot be written to", "use s3:// or a folder")),
        ({"DATA__TRAIN": "https://[host/rows.csv"}, ("FINETUNE_DATA__TRAIN", "not a URI")),
        ({"NAME": "team/model"}, ("FINETUNE_NAME", "'team/model'", "use letters, digits")),
        ({"RUN_ID": "../other"}, ("FINETUNE_RUN_ID", "'../other'", "use letters, digits")),
    ],
)
def test_a_setting_that_is_refused_before_anything_is_done(
    tmp_path: Path, settings: dict[str, object], words: tuple[str, ...]
) -> None:
    env = given(tmp_path, "no-model", "no-rows.csv", **settings)
    refused(78, *words, env=env, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_settings_file_with_tabs(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("train:\n\tepochs: 1\n")
    env = given(tmp_path, "no-model", "no-rows.csv", CONFIG=file)
    refused(78, str(file), r"'\t'", "line 2, column 1", env=env, folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        ((), "COMMAND"),
        (("--help",), "COMMAND"),
        (("runn", "--help"), "COMMAND"),
        (("outcome", "--help"), "COMMAND"),
        (("run", "--help"), "run"),
        (("config", "-h"), "config [--reference] [--schema]"),
        (("help", "promote"), "promote VERSION [--reason TEXT]"),
    ],
)
def test_help(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], usage: str) -> None:
    assert main([*arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"usage: finetune {usage} [--SECTION.NAME VALUE …]\n\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runn",), "there is no command 'runn'; did you mean run?; see --help"),
        (("--train.epochs", "3"), "there is no command '--train.epochs'; see --help"),
        (("worker",), "there is no command 'worker'; see --help"),
        (
            ("run", "-train.epochs", "3"),
            "'-train.epochs' belongs to no flag; write --train.epochs 3",
        ),
        (
            ("status",),
            "FINETUNE_OUTPUT is not set; name the s3://bucket/prefix or folder of the run",
        ),
    ],
)
def test_a_command_line_that_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = finetune(*arguments, env={}, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (78, f"finetune: {said}\n")


def test_the_status_of_a_run_that_is_not_there(tmp_path: Path) -> None:
    env = given(tmp_path, "no-model", "no-rows.csv")
    refused(66, "out/m/runs/r1", "FINETUNE_RUN_ID", command="status", env=env, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_schema_needs_no_settings_and_the_last_flag_counts(tmp_path: Path) -> None:
    schema = finetune("config", "--schema", env={"FINETUNE_TRAIN__EPOCS": "1"}, cwd=tmp_path)
    assert json.loads(schema.stdout)["properties"]["output"]["type"] == "string"
    flags = ("--train.epochs", "1", "--train.epochs=2")
    shown = finetune("config", *flags, env={}, cwd=tmp_path).stdout.splitlines()
    [epochs] = [line.split() for line in shown if "TRAIN__EPOCHS" in line]
    assert epochs[1:] == ["2.0", "flag"]


def test_a_relative_output_and_a_termination_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").touch()
    env = given(
        tmp_path, "./no-model", "rows.csv", OUTPUT="out/", RUNTIME__TERMINATION_LOG=tmp_path
    )
    refused(66, "./no-model does not exist", env=env, folder=tmp_path)
    assert (tmp_path / "out/m/runs/r1/state.json").is_file()


def test_bugs_name_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("no answer from https://user:pw@host/a?X-Amz-Signature=sig")
    assert explained(error) == 70
    said = capsys.readouterr().err + json.dumps(failure(error))
    assert "https://***@host/a?***" in said
    assert "pw" not in said
    assert "sig" not in said
