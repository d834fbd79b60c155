"""What every section of the settings shares, and the marks that a setting can carry."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Incidental:
    """Marks a setting outside the sections that does not decide what is learned."""


class Inherited:
    """Marks a setting that a version was trained with, and that holds for it unless another is given."""


class Section(BaseModel):
    """A frozen group of settings; a name it does not know is refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    incidental: ClassVar[bool] = False
    """Whether these settings have no part in what is learned, and so none in a run's identity. A section
    counts unless it says so: a needless run is cheaper than two different runs of the same id."""


def marked(model: type[BaseModel], mark: type) -> tuple[str, ...]:
    """The names of a model's fields that carry a mark, as in `Annotated[str, Inherited]`."""
    return tuple(name for name, field in model.model_fields.items() if mark in field.metadata)
