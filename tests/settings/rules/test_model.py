"""Where a model comes from and where it goes."""

from __future__ import annotations

import pytest

from job.commands import find
from job.errors import SettingsError
from job.settings import load
from tests.support.settings import COMPLETE, refused

SCRATCH = {
    "MODEL__NAME": "",
    "MODEL__TOKENIZER": "a/folder",
    "MODEL__CONFIG": '{"model_type": "t5"}',
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OUTPUT": "https://host/models"}, "cannot be written to; use s3:// or a folder"),
        ({"OUTPUT": "ftp://host/models"}, "FINETUNE_OUTPUT: "),
        (
            {**SCRATCH, "MODEL__NAME": "org/model"},
            "NAME and FINETUNE_MODEL__CONFIG exclude each other",
        ),
        (
            {**SCRATCH, "MODEL__TOKENIZER": ""},
            "FINETUNE_MODEL__CONFIG needs FINETUNE_MODEL__TOKENIZER",
        ),
        ({**SCRATCH, "MODEL__CONFIG": "{}"}, "FINETUNE_MODEL__CONFIG has no model_type"),
        ({"PUBLISH__MERGE": "false"}, "MERGE=false publishes LoRA adapters for an existing model"),
        (
            {**SCRATCH, "PUBLISH__MERGE": "false", "MODEL__LORA": "{}"},
            "MERGE=false publishes LoRA adapters for an existing model",
        ),
        ({"MODEL__NAME": "ftp://host/model"}, "FINETUNE_MODEL__NAME: "),
        (
            {"MODEL__NAME": "s3://bucket/model", "MODEL__TRUST_REMOTE_CODE": "true"},
            "TRUST_REMOTE_CODE is refused for files from a bucket",
        ),
        ({"MODEL__TRUST_REMOTE_CODE": "true"}, "REVISION to be a full commit hash"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], said: str) -> None:
    refused(said, **given)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_config_is_not_a_trained_model(command: str) -> None:
    given = {f"FINETUNE_{name}": value for name, value in SCRATCH.items()}
    with pytest.raises(SettingsError, match="CONFIG describes a model that has not been trained"):
        load({**COMPLETE, **given}, rules=find(command).rules)
