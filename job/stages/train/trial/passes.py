"""A model put through what training and publishing put it through, with a few rows."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from job import models
from job.batching import Rows
from job.batching.padding import Padding
from job.errors import SettingsError
from job.models.adapters import PREFIX
from job.stages.train.context import StartingPoint
from job.stages.train.export import write
from job.stages.train.model import begun
from job.stages.train.trial.sample import Sample
from job.tasks.types import FIXED, Batch

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3
"""Between logits that should be the same, as a part of the largest one."""
STEP = 0.02
"""How far a parameter is moved in place of a step of training, as a part of its standard deviation."""


def check_passes(start: StartingPoint, sample: Sample, folder: Path) -> None:
    """Run the model padded and not, backwards, moved by a step, and loaded back from its files.

    Raises:
        SettingsError: what must be the same is not, or what is to be trained cannot be.
    """
    model, lacking = begun(start)
    rows = Passes(start, sample, model)
    rows.check_inputs()
    _check_finite(start, model)
    rows.check_padding()
    rows.check_gradients(lacking)
    _check_generation(start, rows)
    _step(model)
    trained = rows.logits(model)
    place = write(start, model, folder)
    del model, rows
    again = models.load(place, start.task, start.settings.model, trained=True)
    models.pad_as(again, start.tokenizer)
    _check_same(
        trained,
        Passes(start, sample, again).logits(again),
        f"the model in {start.place.name} is another one after it was saved and loaded",
        ("before", "after"),
        "its config and its weights disagree, such as on embeddings that are tied",
    )


class Passes:
    """The sample's rows put to a model."""

    def __init__(self, start: StartingPoint, sample: Sample, model: Any) -> None:
        self.task, self.name, self.sample = start.task, start.place.name, sample
        self.model = model.eval()
        self.batch = self._batch(sample.rows, sample.wide)

    def _batch(self, rows: Rows, padding: Padding) -> Batch:
        return self.task.collate(self.sample.table, rows, padding, FIXED)

    def logits(self, model: Any, batch: Batch | None = None) -> list[torch.Tensor]:
        """Each row's logits, without those of padding."""
        import torch

        with torch.no_grad():
            batch = batch or self.batch
            return self.task.row_logits(self.task.forward(model, batch), batch)

    def check_inputs(self) -> None:
        """The tokenizer gives what the model takes, and ids that its tables have rows for."""
        plain = models.without_adapters(self.model)
        takes = inspect.signature(plain.forward).parameters
        for name in self.batch:
            if name not in takes and not name.startswith(("labels", "weights")):
                raise SettingsError(
                    f"the tokenizer of {self.name} gives {name}, and {type(plain).__name__} takes none",
                    hint="leave it out of model_input_names in tokenizer_config.json, or take the "
                    "model's own tokenizer",
                )
        tables = {"input_ids": plain.get_input_embeddings().weight.shape[0]}
        tables["token_type_ids"] = getattr(plain.config, "type_vocab_size", None)
        for name, size in tables.items():
            most = int(self.batch[name].max()) if name in self.batch else 0
            if size and most >= size:
                field = "type_vocab_size" if name == "token_type_ids" else "vocab_size"
                raise SettingsError(
                    f"the tokenizer of {self.name} gives {name} up to {most}, and config.json gives "
                    f"{field}={size}",
                    hint="take the model's own tokenizer, or a model of this vocabulary",
                )

    def check_padding(self) -> None:
        """A row gives the same alone and beside longer ones."""
        bare = self.sample.bare
        alone = [
            self.logits(self.model, self._batch(self.sample.rows[i : i + 1], bare))[0]
            for i in range(len(self.sample.rows))
        ]
        _check_same(
            alone,
            self.logits(self.model),
            f"padding changes what the model in {self.name} gives",
            ("alone", "beside longer rows"),
            f"the tokenizer pads on the {self.sample.padding.side} with token {self.sample.padding.token}; "
            "correct padding_side and pad_token in its tokenizer_config.json, and pad_token_id in config.json",
        )
        if len(self.sample.longest):
            self.logits(self.model, self._batch(self.sample.longest, bare))

    def check_gradients(self, lacking: Collection[str]) -> None:
        """The loss is a number, and what begins at random and decides the outputs gets a gradient.

        What the base holds may go without one, as sinusoidal positions do.
        """
        import torch

        self.model.train()
        loss = self.task.loss(self.task.forward(self.model, self.batch), self.batch)
        if not torch.isfinite(loss):
            raise SettingsError(
                f"the loss of the model in {self.name} over a first batch is {float(loss)}",
                hint=_HINT,
            )
        loss.backward()
        self.model.eval()
        trained = [(n, p) for n, p in self.model.named_parameters() if p.grad is not None]
        for name, parameter in trained:
            if not torch.isfinite(parameter.grad).all():
                raise SettingsError(
                    f"the gradient of {name} in {self.name} is not finite", hint=_HINT
                )
        learned = {_plain(name) for name, _ in trained}
        adapted = models.without_adapters(self.model) is not self.model
        for name, parameter in self.model.named_parameters():
            new = adapted and parameter.requires_grad
            if parameter.grad is None and (new or _plain(name) in set(lacking) - learned):
                self._check_unused(name, parameter)

    def _check_unused(self, name: str, parameter: torch.nn.Parameter) -> None:
        """A parameter that is not learned must have no part in the outputs."""
        import torch

        before = self.logits(self.model)
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(1.0)
        after = self.logits(self.model)
        with torch.no_grad():
            parameter.copy_(kept)
        if any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)):
            state = "gets no gradient" if parameter.requires_grad else "is not trained"
            raise SettingsError(
                f"{name} of the model in {self.name} decides its outputs and {state}",
                hint="what begins at random must be trained; name another model, or unset FINETUNE_MODEL__LORA",
            )


_HINT = "look for weights that are too large, in a precision that cannot hold them"


def _plain(name: str) -> str:
    """A parameter's name in the base model."""
    name = name.removeprefix(PREFIX).replace(".modules_to_save.default", "")
    return name.replace(".original_module", "").replace(".base_layer", "")


def _check_finite(start: StartingPoint, model: Any) -> None:
    import torch

    half = torch.finfo(torch.float16).max if start.settings.train.precision == "fp16" else None
    for name, parameter in model.named_parameters():
        most = float(parameter.detach().abs().max()) if parameter.numel() else 0.0
        if not np.isfinite(most):
            raise SettingsError(
                f"the weights in {start.place.name} are not all numbers: {name} holds {most}",
                hint="download them again, or take another revision",
            )
        if half and most > half:
            raise SettingsError(
                f"FINETUNE_TRAIN__PRECISION=fp16 holds numbers up to {half:g}, and {name} in "
                f"{start.place.name} holds {most:g}",
                hint="use bf16 or no",
            )


def _check_generation(start: StartingPoint, rows: Passes) -> None:
    """A model that generates can begin to."""
    if start.task.auto_class not in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM"):
        return
    import torch

    inputs = {name: rows.batch[name][:1, :4] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        rows.model.generate(**inputs, max_new_tokens=2, min_new_tokens=None, do_sample=False)


def _step(model: Any) -> None:
    """Move every parameter that has a gradient, so that none is what it was in the base."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                spread = float(parameter.std()) if parameter.numel() > 1 else 0.0
                parameter.sub_(parameter.grad.sign() * (STEP * spread + 1e-3))
                parameter.grad = None


def _check_same(
    one: list[torch.Tensor],
    other: list[torch.Tensor],
    problem: str,
    names: tuple[str, str],
    hint: str,
) -> None:
    """Refuse logits that differ, naming the largest difference."""
    import torch

    scale = max(float(row.nan_to_num(posinf=0, neginf=0).abs().max()) for row in one)
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        same = (a == b) | ((a - b).abs() <= TOLERANCE * scale)
        if bool(same.all()):
            continue
        at = int((a - b).abs().nan_to_num(torch.inf).argmax())
        first, second = (float(row.flatten()[at]) for row in (a, b))
        raise SettingsError(
            f"{problem}: a logit of row {number + 1} is {first:.6g} {names[0]} and {second:.6g} {names[1]}",
            hint=hint,
        )
