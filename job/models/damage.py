"""What a damaged model looks like, whichever of its files is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from job.errors import DataError, JobError
from job.models.locate import Place
from job.text import one_line

COMPLETE = "download it again; a model needs config.json, model.safetensors and tokenizer.json"


@contextmanager
def readable(what: str, place: Place) -> Iterator[None]:
    """Turn the many ways in which a damaged model fails into one error."""
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as error:
        reason = one_line(error)
        raise DataError(
            f"the {what} in {place.name} cannot be read ({type(error).__name__}: {reason})",
            hint=COMPLETE,
        ) from error
