"""Settings from flags, variables and a file; every mistake named, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.commands import TRAINING
from job.errors import SettingsError
from job.settings import load, recorded, relevant
from tests.support.settings import COMPLETE


def refusal(environment: dict[str, str], *flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environment, flags, rules=TRAINING)
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_flags_win_over_variables_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("train: {epochs: 1, batch_size: 8, learning_rate: 2e-5}\n")
    environment = {
        **COMPLETE,
        "FINETUNE_CONFIG": str(file),
        "FINETUNE_TRAIN__EPOCHS": "2",
        "FINETUNE_TRAIN__BATCH_SIZE": "16",
    }
    loaded = load(environment, ["--train.epochs", "3"], rules=TRAINING)
    train = loaded.settings.train
    assert (train.epochs, train.batch_size, train.learning_rate) == (3, 16, 2e-5)
    assert loaded.origins["train", "epochs"] == "flag"
    assert loaded.origins["train", "batch_size"] == "environment"
    assert loaded.origins["train", "learning_rate"] == str(file)


def test_json_is_a_settings_file_too(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"data": {"train": ["a.csv", {"uri": "b.csv", "weight": 2}]}}')
    environment = {**COMPLETE, "FINETUNE_CONFIG": str(file)}
    del environment["FINETUNE_DATA__TRAIN"]
    sources = load(environment, rules=TRAINING).settings.data.train
    assert [(str(s.uri), s.weight) for s in sources] == [("a.csv", 1), ("b.csv", 2)]


def test_values_that_hold_more_than_one_thing() -> None:
    settings = load(
        {
            **COMPLETE,
            "FINETUNE_DATA__TRAIN": '["a.csv", "b/*.csv"]',
            "FINETUNE_DATA__COLUMN_NAMES": "label, text",
            "FINETUNE_CLEAN__RENAME": '{"Body": "text"}',
            "FINETUNE_MODEL__LORA": "{}",
            "FINETUNE_TRAIN__CLASS_WEIGHTS": '{"spam": 2}',
            "FINETUNE_RUN_ID": "",
        },
        rules=TRAINING,
    ).settings
    assert [str(source.uri) for source in settings.data.train] == ["a.csv", "b/*.csv"]
    assert settings.data.column_names == ("label", "text")
    assert settings.clean.rename == {"Body": "text"}
    assert settings.model.lora is not None
    assert settings.model.lora.r == 8
    assert settings.train.class_weights == {"spam": 2}
    assert settings.run_id is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FINETUNE_TRAIN__EPOCS", "FINETUNE_TRAIN__EPOCHS"),
        ("FINETUNE_TASKS", "FINETUNE_TASK"),
        ("FINETUNE_DATA__COLUMNS__LABLE", "FINETUNE_DATA__COLUMNS__LABEL"),
        ("FINETUNE_TRAIN_EPOCHS", "FINETUNE_TRAIN__EPOCHS"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    message = refusal({**COMPLETE, name: "1"})
    assert name in message
    assert f"did you mean {nearest}?" in message


def test_an_unknown_key_in_a_file_or_in_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("trian: {epochs: 1}\ndata: {colums: {text: body}}\n")
    message = refusal(
        {**COMPLETE, "FINETUNE_CONFIG": str(file), "FINETUNE_MODEL__LORA": '{"rank": 4}'}
    )
    for expected in (
        "trian.epochs",
        "train.epochs",
        "data.colums.text",
        "data.columns.text",
        "model.lora.rank",
    ):
        assert expected in message


def test_a_services_variables_are_explained() -> None:
    assert "enableServiceLinks" in refusal({**COMPLETE, "FINETUNE_PORT": "tcp://10.0.0.1:80"})


def test_all_mistakes_are_reported_at_once() -> None:
    message = refusal(
        {
            **COMPLETE,
            "FINETUNE_TRAIN__EPOCHS": "-1",
            "FINETUNE_TRAIN__PRECISION": "int4",
            "FINETUNE_TASK": "poetry",
            "FINETUNE_NO": "1",
        }
    )
    for name in ("TRAIN__EPOCHS", "TRAIN__PRECISION", "FINETUNE_TASK", "FINETUNE_NO"):
        assert name in message


def test_mistakes_across_settings_are_reported_at_once() -> None:
    message = refusal(
        {
            "FINETUNE_DATA__VALIDATION_FRACTION": "0.6",
            "FINETUNE_DATA__TEST_FRACTION": "0.6",
            "FINETUNE_ENCODE__MAX_LENGTH": "128",
            "FINETUNE_TRAIN__TOKENS_PER_DEVICE": "64",
            "FINETUNE_MODEL__TRUST_REMOTE_CODE": "true",
            "FINETUNE_DATA__FORMAT": "pickle",
            "FINETUNE_RUNTIME__DEVICE": "cpu",
            "FINETUNE_TRAIN__PRECISION": "fp16",
        }
    )
    for name in (
        "FINETUNE_OUTPUT is not set",
        "FINETUNE_DATA__TRAIN is not set",
        "FINETUNE_MODEL__NAME is not set",
        "add up to 1.2",
        "FINETUNE_TRAIN__TOKENS_PER_DEVICE=64",
        "full commit",
        "can run any program",
        "fp16 does not work on a CPU",
    ):
        assert name in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train: [", "settings.yaml"),
        ("- a\n- b", "holds a list"),
        ("seed: 1\nseed: 2", "stands twice"),
    ],
)
def test_a_file_that_is_not_a_settings_file(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    assert said in refusal({**COMPLETE, "FINETUNE_CONFIG": str(file)})


def test_an_absent_file_and_a_flag_without_value() -> None:
    assert "nowhere.yaml" in refusal({**COMPLETE, "FINETUNE_CONFIG": "nowhere.yaml"})
    assert "--train.epochs has no value" in refusal(COMPLETE, "--train.epochs")


def test_secrets_are_masked_in_what_is_recorded_and_refused() -> None:
    signed = "https://user:secret@host/a.csv?X-Signature=secret"
    values = relevant(load({**COMPLETE, "FINETUNE_DATA__TRAIN": signed}, rules=TRAINING).settings)
    assert "secret" not in str(values)
    assert "secret" not in refusal(
        {**COMPLETE, "FINETUNE_DATA__TRAIN": "ftp://user:secret@host/a.csv"}
    )


def test_class_weights_by_labels_that_yaml_takes_for_numbers(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("train: {class_weights: {0: 1, 1: 2.5}}")
    settings = load({**COMPLETE, "FINETUNE_CONFIG": str(file)}, rules=TRAINING).settings
    assert settings.train.class_weights == {"0": 1, "1": 2.5}
    for weights in ('{"a": -1}', '{"a": NaN}'):
        said = refusal({**COMPLETE, "FINETUNE_TRAIN__CLASS_WEIGHTS": weights})
        assert "FINETUNE_TRAIN__CLASS_WEIGHTS" in said


def test_a_name_that_python_keeps_for_itself_is_a_setting_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("train: {from: champion}")
    sources: list[tuple[dict[str, str], list[str]]] = [
        ({"FINETUNE_TRAIN__FROM": "champion"}, []),
        ({"FINETUNE_TRAIN": '{"from": "champion"}'}, []),
        ({"FINETUNE_CONFIG": str(file)}, []),
        ({}, ["--train.from", "champion"]),
    ]
    for environment, arguments in sources:
        loaded = load(environment, arguments)
        assert loaded.settings.train.from_ == "champion"
        assert list(loaded.origins) == [("train", "from")]
        assert recorded(loaded.settings)["train"]["from"] == "champion"
        assert relevant(loaded.settings) == {"train": {"from": "champion"}}
    with pytest.raises(SettingsError, match=r"FINETUNE_TRAIN__FROM_ .* no such setting"):
        load({"FINETUNE_TRAIN__FROM_": "champion"})
