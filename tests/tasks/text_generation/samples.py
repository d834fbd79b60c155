"""Tasks for the columns that are set."""

from __future__ import annotations

from job.settings import Columns, Data
from job.tasks.text_generation import TextGeneration
from tests.support.samples import settings_of

CHAT = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"


def made(**columns: str) -> TextGeneration:
    return TextGeneration.create(settings_of(data=Data(columns=Columns(**columns))))
