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
from job.models.places import Place
from job.models.reading import COMPLETE, load_config, readable
from job.runtime.device import has_gpu
from job.settings import Model, Runtime
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load(place: Place, task: Task, settings: Model, *, own: bool = False) -> PreTrainedModel:
    """The model with the task's head, in float32, on the CPU.

    A head that does not fit the task's labels is made anew; with `own` (a model that this job
    saved) every weight must fit.

    Raises:
        DataError: the files are damaged or not this architecture's.
    """
    import transformers

    auto = getattr(transformers, task.auto_class)
    config = load_config(place, settings)
    words = config.get_text_config().vocab_size
    if place.base:
        config = load_config(Place(place.name, place.base, ""), settings)
    task.configure(config)
    options: dict[str, Any] = {}
    if settings.attention != "auto":
        options["attn_implementation"] = settings.attention
    import torch

    loaded: PreTrainedModel
    if place.blank:
        with readable("config", place):
            loaded = auto.from_config(config, dtype=torch.float32, **options)
        _configure_generation(loaded, task)
        return loaded
    with readable("model", place):
        loaded, report = auto.from_pretrained(
            place.weights,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=not own or place.base is not None,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    _check_body(place, loaded, report)
    if place.base:
        loaded = with_adapter(loaded, place, set(report["missing_keys"]), words)
    elif own:
        _check_head(place, task, report)
    _configure_generation(loaded, task)
    return loaded


def load_learned(
    place: Place, task: Task, settings: Model, tokenizer: PreTrainedTokenizerFast, runtime: Runtime
) -> Any:
    """A model that has learned the task, on the device, to be scored or to predict.

    Raises:
        DataError: the files are damaged.
        SettingsError: there is no head for the task among the weights.
    """
    model: Any = load(place, task, settings, own=True)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model.to("cuda" if has_gpu(runtime) else "cpu").eval()


def _configure_generation(model: PreTrainedModel, task: Task) -> None:
    if getattr(model, "generation_config", None) is not None:
        task.configure_generation(model.generation_config, model.config)


def _check_body(place: Place, model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Refuse all but a head, or a pooler that another head did not need, to begin at random."""
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
    raise DataError(f"the model in {place.name} does not fit itself: {problem}", hint=COMPLETE)


def _check_head(place: Place, task: Task, report: Mapping[str, Any]) -> None:
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise SettingsError(
            f"the model in {place.name} has not learned {task.name}: its weights lack {missing[0]}",
            hint="fine-tune it first, or name a model of this task in FINETUNE_MODEL__NAME",
        )


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write config, safetensors and tokenizer in Hugging Face format."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    # how rows were cut and padded here is no part of the tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def parameter_count(config: Any, task: Task) -> int:
    """Parameters of the model that a config describes, without making any of them."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, task.auto_class).from_config(config)
    return sum(p.numel() for p in model.parameters())
