"""Rules across settings: mistakes that no single field can see.

A module holds the rules of one part of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from job.settings.rules import commands, data, model, publish, seq2seq, train, webhook
from job.settings.tree import Settings

RULES: Mapping[str, Callable[[Settings], Iterator[str]]] = {
    "output": model.output,
    "training_rows": data.training_rows,
    "scored_rows": data.scored_rows,
    "predict": commands.predict,
    "data": data.sources,
    "model": model.model,
    "trained_model": model.trained_model,
    "columns": data.columns,
    "verbatim": data.verbatim,
    "seq2seq": seq2seq.mistakes,
    "train": train.train,
    "publish": publish.publish,
    "webhook": webhook.webhook,
    "tokenizer": commands.tokenizer,
    "launch": commands.launch,
}
"""What a command may name; `job.commands` says which each does."""


def mistakes(settings: Settings, rules: Iterable[str]) -> list[str]:
    """Every mistake that some rules find, each with its fix; empty if there is none.

    Args:
        rules: names in RULES.
    """
    return [mistake for name in rules for mistake in RULES[name](settings)]
