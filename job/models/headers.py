"""What a model's weights hold, known by their headers alone, and what its config says they should."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import DataError, SettingsError
from job.models.config import load_config
from job.models.damage import COMPLETE, readable
from job.models.locate import Place
from job.models.quiet_imports import transformers
from job.settings import Model
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

INDEX = "model.safetensors.index.json"
"""Where weights in several files have their list."""


def check_weights(place: Place) -> None:
    """Read the weights' headers, so that a damaged model ends the run before its data is prepared.

    Raises:
        DataError: there are none, or a file was cut short.
    """
    if place.blank:
        return
    if not any(place.weights.glob("*.safetensors")):
        raise DataError(
            f"{place.name} holds no .safetensors file",
            hint="save it with transformers' save_pretrained; weights in a pickle (pytorch_model.bin) "
            "are not read, since unpickling can run any code in this job",
        )
    _check_index(place)
    for _ in _shapes(place):
        pass


def _check_index(place: Place) -> None:
    """An index of several files names files beside it, and those that are there.

    Raises:
        DataError: it does not.
    """
    path = place.weights / INDEX
    if not path.is_file():
        return
    with readable(INDEX, place):
        files = set(json.loads(path.read_text())["weight_map"].values())
    for name in sorted(map(str, files)):
        if Path(name).name != name or not (place.weights / name).is_file():
            raise DataError(
                f"{INDEX} in {place.name} names {name}, and there is no such file beside it",
                hint=COMPLETE,
            )


def shapes_of(file: Path) -> dict[str, list[int]]:
    """The shape of every tensor in a safetensors file, by its name; read from the header alone."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        names = tensors.keys()
        return {name: tensors.get_slice(name).get_shape() for name in names}


def _shapes(place: Place) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of every tensor in the weights."""
    for path in sorted(place.weights.glob("*.safetensors")):
        with readable(path.name, place):
            shapes = shapes_of(path)
        yield from shapes.items()


def check_shapes(place: Place, task: Task, settings: Model) -> None:
    """Compare the weights' headers with the model that config.json describes, before anything is loaded.

    A name that the one has and the other has not is left to `load`.

    Raises:
        SettingsError: a parameter has another shape.
    """
    config = load_config(Place(place.name, place.weights, ""), settings)
    if place.blank or getattr(config, "auto_map", None):
        return
    with readable("config", place):
        forget_impossible_padding(config)
        model = _described(config, task)
    body = body_prefix(model)
    shapes = {name: list(p.shape) for name, p in model.named_parameters(remove_duplicate=False)}
    for name, held in _shapes(place):
        # the weights of a model without a head, and of one with a head, differ by this prefix
        asked = shapes.get(name) or shapes.get(body + name) or shapes.get(name.removeprefix(body))
        if asked and asked != held:
            raise contradiction(place, name, held, asked)


def contradiction(
    place: Place, name: str, held: Iterable[int], asked: Iterable[int]
) -> SettingsError:
    """A parameter that has another shape in the weights than config.json gives it."""
    shapes = (" x ".join(map(str, shape)) for shape in (held, asked))
    return SettingsError(
        f"the model in {place.name} contradicts its own config: {name} has another shape in its "
        "weights ({}) than config.json says ({})".format(*shapes),
        hint=f"correct config.json; or {COMPLETE}",
    )


def body_prefix(model: PreTrainedModel) -> str:
    """What the names of all parameters but a head's begin with; nothing for a T5, which has no head."""
    prefix: str = model.base_model_prefix
    return f"{prefix}." if hasattr(model, prefix) else ""


def forget_impossible_padding(config: PreTrainedConfig) -> None:
    """A padding token outside of the vocabulary, such as -1, means none; torch refuses to build with it."""
    text = config.get_text_config()
    if text.pad_token_id is not None and not 0 <= text.pad_token_id < text.vocab_size:
        text.pad_token_id = None


def parameter_count(config: Any, task: Task) -> int:
    """How many parameters the model that a config describes has; none is allocated."""
    return sum(p.numel() for p in _described(config, task).parameters())


def stored_count(place: Place) -> int:
    """How many parameters the weights hold."""
    return sum(math.prod(shape) for _, shape in _shapes(place))


def _described(config: Any, task: Task) -> PreTrainedModel:
    """The model that a config describes, without memory for its parameters."""
    import torch

    auto = getattr(transformers(), task.auto_class)
    with torch.device("meta"):
        return auto.from_config(config)
