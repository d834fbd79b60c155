"""The tasks, one folder each. Adding one means adding its folder and a line in the table here."""

from __future__ import annotations

from job.settings import Settings
from job.tasks.base import Task
from job.tasks.fill_mask import FillMask
from job.tasks.fill_mask.predicting import Filling
from job.tasks.question_answering import QuestionAnswering
from job.tasks.seq2seq import Summarization, Translation
from job.tasks.text_classification import TextClassification
from job.tasks.text_generation import TextGeneration
from job.tasks.text_generation.predicting import Prompting
from job.tasks.token_classification import TokenClassification

TASKS: tuple[type[Task], ...] = (
    TextClassification,
    TokenClassification,
    QuestionAnswering,
    FillMask,
    TextGeneration,
    Summarization,
    Translation,
)
_BY_NAME = {task.name: task for task in TASKS}


def create(settings: Settings) -> Task:
    """The task that the settings name, not fitted to any data yet."""
    return _BY_NAME[settings.task].create(settings)


def predicting(task: Task) -> Task:
    """The task for rows without targets: language models continue texts, or fill in their masks."""
    if isinstance(task, TextGeneration):
        return Prompting.of(task)
    return Filling.of(task) if isinstance(task, FillMask) else task
