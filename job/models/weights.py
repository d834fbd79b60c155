"""The weights: loaded with a task's head, and saved.

They are loaded as float32 explicitly: transformers takes the file's own dtype, and half-precision
weights do not train well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import SettingsError
from job.models.adapters import with_adapter
from job.models.config import load_config
from job.models.damage import COMPLETE, readable
from job.models.headers import body_prefix, contradiction, forget_impossible_padding
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast


def load(place: Place, task: Task, settings: Model, *, trained: bool = False) -> PreTrainedModel:
    """The model with the task's head, in float32, on the CPU.

    A head that does not fit the task's labels is initialized at random; one of a model that is
    `trained` for the task must fit, as all its weights must.

    Raises:
        DataError: the files are damaged or not this architecture's.
        SettingsError: the config contradicts the weights; or `trained`, and there is no head for the
            task among the weights.
    """
    return load_base(place, task, settings, trained=trained)[0]


def load_base(
    place: Place, task: Task, settings: Model, *, trained: bool = False
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The same, with the names of the parameters that the files do not hold, or not in this shape.

    Those begin at random and must be trained. A new model, of which the files hold nothing, has none.

    Raises:
        DataError, SettingsError: see `load`.
    """
    config = load_config(place, settings)
    vocabulary = config.get_text_config().vocab_size
    if place.base:
        config = load_config(Place(place.name, place.base, ""), settings)
    forget_impossible_padding(config)
    task.configure(config)
    missing: frozenset[str] = frozenset()
    if place.blank:
        model = _initialized(place, task, config, settings)
    else:
        strict = trained and place.base is None
        model, missing = _pretrained(place, task, config, settings, strict=strict)
        if place.base:
            model, missing = with_adapter(model, place, missing, vocabulary), frozenset()
        elif trained:
            _check_head(place, task, missing)
    if getattr(model, "generation_config", None) is not None:
        task.configure_generation(model.generation_config, model.config)
    return model, missing


def pad_as(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let the model take for padding what the tokenizer pads with: a classifier that is a decoder reads
    at the last token that is not padding."""
    pad = tokenizer.pad_token_id
    model.config.pad_token_id = model.config.get_text_config().pad_token_id = pad
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = pad


def _initialized(
    place: Place, task: Task, config: PreTrainedConfig, settings: Model
) -> PreTrainedModel:
    """A new model of this config, its weights drawn from torch's random state."""
    import torch

    auto = getattr(transformers(), task.auto_class)
    with readable("config", place):
        return auto.from_config(config, dtype=torch.float32, **_attention(settings))


def _pretrained(
    place: Place, task: Task, config: PreTrainedConfig, settings: Model, *, strict: bool
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The model with its weights, and the names of those that the files do not hold in their shape.

    Args:
        strict: whether every weight must have the shape that the config says; else a head that has
            another one is initialized at random.
    """
    import torch

    auto = getattr(transformers(), task.auto_class)
    with readable("model", place):
        model, report = auto.from_pretrained(
            place.weights,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=not strict,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **_attention(settings),
        )
    _check_body(place, model, report)
    lacking = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    # of parameters that are tied, the first name alone
    return model, frozenset(name for name, _ in model.named_parameters() if name in lacking)


def _attention(settings: Model) -> dict[str, str]:
    auto = settings.attention == "auto"
    return {} if auto else {"attn_implementation": settings.attention}


def _check_body(place: Place, model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Let nothing start at random but a head, or a pooler that another head did not need.

    Raises:
        SettingsError: config.json asks for what the weights lack.
    """
    body = body_prefix(model)
    output = _output_layer(place, model)
    missing = sorted(
        name
        for name in report["missing_keys"]
        if (name.startswith(body) and "pooler" not in name) or name == output
    )
    for name, held, asked in report["mismatched_keys"]:
        if name.startswith(body):
            raise contradiction(place, name, held, asked)
    if missing:
        raise SettingsError(
            f"the model in {place.name} contradicts its own config: its weights lack {missing[0]} and "
            f"{len(missing) - 1} more that config.json asks for",
            hint=COMPLETE,
        )


def _output_layer(place: Place, model: PreTrainedModel) -> str:
    """The name of a language model's output layer, without which it has not learned its language; empty
    where there is none, or where it is the embeddings.

    Raises:
        SettingsError: the config says that it is, and the weights hold two.
    """
    import torch

    layer, embeddings = model.get_output_embeddings(), model.get_input_embeddings().weight
    weight = getattr(layer, "weight", None)
    if weight is None or weight is embeddings:
        return ""
    name: str = next(n for n, parameter in model.named_parameters() if parameter is weight)
    config = model.config.get_text_config()
    # a T5's config says so whatever its file says
    said = (
        config.tie_word_embeddings
        and not type(config)(tie_word_embeddings=False).tie_word_embeddings
    )
    if said and weight.shape == embeddings.shape and not torch.equal(weight, embeddings):
        raise SettingsError(
            f"the model in {place.name} contradicts its own config: tie_word_embeddings is true, and its "
            f"weights hold {name} beside other embeddings",
            hint=f"correct config.json; or {COMPLETE}",
        )
    return name


def _check_head(place: Place, task: Task, missing: frozenset[str]) -> None:
    if lacking := sorted(name for name in missing if "pooler" not in name):
        raise SettingsError(
            f"the model in {place.name} has not learned {task.name}: its weights lack {lacking[0]}",
            hint="fine-tune it first, or name a model of this task in FINETUNE_MODEL__NAME",
        )


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write config, safetensors and tokenizer in Hugging Face format."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    # how rows were cut and padded here is not part of the tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
