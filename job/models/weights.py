"""The weights: loaded with a task's head, and saved.

They are loaded as float32 explicitly: transformers takes the file's own dtype, and half-precision
weights do not train well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import DataError, SettingsError
from job.models.adapters import with_adapter
from job.models.config import load_config
from job.models.damage import COMPLETE, readable
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def load(place: Place, task: Task, settings: Model, *, trained: bool = False) -> PreTrainedModel:
    """The model with the task's head, in float32, on the CPU.

    A head that does not fit the task's labels is initialized at random; one of a model that is
    `trained` for the task must fit, as all its weights must.

    Raises:
        DataError: the files are damaged or not this architecture's.
        SettingsError: `trained`, and there is no head for the task among the weights.
    """
    config = load_config(place, settings)
    vocabulary = config.get_text_config().vocab_size
    if place.base:
        config = load_config(Place(place.name, place.base, ""), settings)
    task.configure(config)
    if place.blank:
        model = _initialized(place, task, config, settings)
    else:
        strict = trained and place.base is None
        model, missing = _pretrained(place, task, config, settings, strict=strict)
        if place.base:
            model = with_adapter(model, place, missing, vocabulary)
        elif trained:
            _check_head(place, task, missing)
    if getattr(model, "generation_config", None) is not None:
        task.configure_generation(model.generation_config, model.config)
    return model


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
) -> tuple[PreTrainedModel, set[str]]:
    """The model with its weights, and the names of those that the files do not hold.

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
    return model, set(report["missing_keys"])


def _attention(settings: Model) -> dict[str, str]:
    auto = settings.attention == "auto"
    return {} if auto else {"attn_implementation": settings.attention}


def _check_body(place: Place, model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Let nothing start at random but a head, or a pooler that another head did not need."""
    body = f"{model.base_model_prefix}."
    shapes = [name for name, *_ in report["mismatched_keys"] if name.startswith(body)]
    missing = sorted(
        name for name in report["missing_keys"] if name.startswith(body) and "pooler" not in name
    )
    if shapes:
        problem = f"{shapes[0]} has another shape in its weights than config.json says"
    elif missing:
        problem = (
            f"its weights lack {missing[0]} and {len(missing) - 1} more that config.json asks for"
        )
    else:
        return
    raise DataError(
        f"the model in {place.name} contradicts its own config: {problem}", hint=COMPLETE
    )


def _check_head(place: Place, task: Task, missing: set[str]) -> None:
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


def parameter_count(config: Any, task: Task) -> int:
    """How many parameters the model that a config describes has; none is allocated."""
    auto = getattr(transformers(), task.auto_class)
    import torch

    with torch.device("meta"):
        model = auto.from_config(config)
    return sum(p.numel() for p in model.parameters())


def check_weights(place: Place) -> None:
    """Read the weights' headers, so that a damaged model ends the run before its data is prepared.

    Raises:
        DataError: there are none, or a file was cut short.
    """
    from safetensors import safe_open

    if place.blank:
        return
    files = sorted(place.weights.glob("*.safetensors"))
    if not files:
        raise DataError(
            f"{place.name} holds no .safetensors file",
            hint="save it with transformers' save_pretrained; weights in a pickle (pytorch_model.bin) "
            "are not read, since unpickling can run any code in this job",
        )
    for path in files:
        with readable(path.name, place), safe_open(path, framework="numpy"):
            pass
