"""The whole settings tree, and the sections that concern the job rather than the training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from job.environment import OURS
from job.redaction import mask_all
from job.settings.sections.base import Incidental, Inherited, Section, marked
from job.settings.sections.checks import Checks
from job.settings.sections.data import Clean, Data, Encode
from job.settings.sections.launch import Launch, Metrics, Progress
from job.settings.sections.predict import Predict
from job.settings.sections.runtime import Runtime
from job.settings.sections.tokenizer import Tokenizer
from job.settings.sections.training import Checkpoint, Evaluate, Model, Publish, Train
from job.uris import Uri

PREFIX = OURS
DELIMITER = "__"
CONFIG_VARIABLE = "FINETUNE_CONFIG"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]


class StoreSettings(Section):
    """How the store behind `output` is used."""

    incidental = True

    single_writer: bool = False
    """Nobody else writes to this run; needed for stores that ignore conditional writes."""


class Log(Section):
    """What the job says while it runs."""

    incidental = True

    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text with a progress bar on a terminal, JSON lines elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""


class Settings(BaseSettings):
    """Everything a run can be told. Environment first, then the file in FINETUNE_CONFIG."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        serialize_by_alias=True,
    )

    task: Literal[
        "text-classification",
        "token-classification",
        "question-answering",
        "fill-mask",
        "text-generation",
        "summarization",
        "translation",
    ] = "text-classification"
    """What the model learns, by the Hub's own name."""

    name: Name = "model"
    """The model's name: a folder below `output`, and the title of its card."""

    output: Annotated[Uri, Incidental] = Uri("")
    """The root of everything the job writes: s3://bucket/prefix, or a folder."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    """Decides shuffling, sampling, initialization and dropout."""

    run_id: Annotated[Name | None, Incidental] = None
    """Stable across restarts: the same id resumes. By default made from the settings and the data."""

    data: Data = Data()
    clean: Clean = Clean()
    checks: Checks = Checks()
    encode: Encode = Encode()
    tokenizer: Tokenizer = Tokenizer()
    model: Model = Model()
    train: Train = Train()
    checkpoint: Checkpoint = Checkpoint()
    evaluate: Evaluate = Evaluate()
    publish: Publish = Publish()
    predict: Predict = Predict()
    store: StoreSettings = StoreSettings()
    runtime: Runtime = Runtime()
    log: Log = Log()
    launch: Launch = Launch()
    progress: Progress = Progress()
    metrics: Metrics = Metrics()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given alone: a version's settings are not those of this process. `load` asks flags and the
        environment."""
        return (init_settings,)

    @model_serializer(mode="wrap")
    def _masked(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Whatever is dumped is masked, also where a template or a model's config names a URI."""
        values: dict[str, Any] = mask_all(serialize(self))
        return values


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}

INCIDENTAL = (
    *marked(Settings, Incidental),
    *(name for name, section in SECTIONS.items() if section.incidental),
)
"""Top-level settings that do not decide what is learned, and so are not part of a run's identity."""

INHERITED = {
    name: fields for name, section in SECTIONS.items() if (fields := marked(section, Inherited))
}
"""By section, the settings that a version was trained with and that hold for it unless others are given."""
