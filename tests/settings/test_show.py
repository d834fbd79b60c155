"""`finetune config` for people."""

from __future__ import annotations

import json

from job.settings import Settings, load
from job.settings.names import leaves
from job.settings.show import effective, reference


def test_every_setting_has_a_docstring() -> None:
    assert [path for path, leaf in leaves().items() if not leaf.field.description] == []


def test_the_effective_settings_show_origins_and_hide_secrets() -> None:
    shown = effective(
        load(
            {
                "FINETUNE_DATA__TRAIN": "https://user:secret@host/a.csv?sig=secret",
                "FINETUNE_SEED": "7",
            },
            ["--train.epochs", "2"],
        )
    )
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert lines["FINETUNE_SEED"].split()[1:] == ["7", "environment"]
    assert lines["FINETUNE_TRAIN__EPOCHS"].split()[1:] == ["2.0", "flag"]
    assert lines["FINETUNE_TRAIN__BATCH_SIZE"].endswith("default")
    assert "secret" not in shown


def test_the_reference_names_every_setting() -> None:
    text = reference()
    for path in leaves():
        assert "FINETUNE_" + "__".join(path).upper() in text


def test_the_schema_is_json() -> None:
    assert "train" in json.loads(json.dumps(Settings.model_json_schema()))["properties"]


def test_the_reference_names_types_as_people_do_and_is_the_same_each_time() -> None:
    types = {line.split("`")[1]: line.split(" | ", 2)[1] for line in reference().splitlines()[2:]}
    assert types["FINETUNE_OUTPUT"] == "Uri"
    assert types["FINETUNE_TRAIN__EPOCHS"] == "float"
    assert types["FINETUNE_DATA__COLUMN_NAMES"] == "list of str"
    assert types["FINETUNE_CLEAN__RENAME"] == "object of str"
    assert types["FINETUNE_MODEL__TOKENIZER"] == "Uri \\| none"
    assert not [line for line in reference().splitlines() if "0x" in line or "Annotated" in line]
