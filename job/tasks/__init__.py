"""The tasks, one file each. Adding one means adding its file and a line here."""

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


def predicting(task: Task) -> Task:
    """The task for rows without targets: language models go on with texts, or fill in their masks."""
    if isinstance(task, TextGeneration):
        return Prompting.of(task)
    return Filling.of(task) if isinstance(task, FillMask) else task


def create(settings: Settings) -> Task:
    """The task that the settings name, not fitted to any data yet."""
    columns = settings.data.columns
    if settings.task == "fill-mask":
        return FillMask.create(columns, settings.train, settings.seed)
    if settings.task == "text-generation":
        return TextGeneration.create(columns, settings.evaluate.generation)
    if settings.task == "token-classification":
        return TokenClassification.create(settings.data, settings.encode, settings.train)
    if settings.task == "question-answering":
        return QuestionAnswering.create(columns, settings.encode, settings.evaluate)
    if settings.task in ("summarization", "translation"):
        kind = Summarization if settings.task == "summarization" else Translation
        return kind.create(columns, settings.encode, settings.evaluate, settings.train)
    return TextClassification.create(columns, settings.model, settings.train)
