"""`finetune promote VERSION`: a person makes a version the champion, whatever the gate has said of it."""

from __future__ import annotations

import os

from job import telemetry
from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.printing import answer
from job.errors import InputMissing, SettingsError
from job.registry import champion as registry
from job.registry import versions
from job.registry.announcement import announce_champion
from job.registry.champion import Champion, by_hand
from job.runtime.scratch import scratch_folder
from job.settings import Settings, load
from job.store import Store, layout, open_store

COMMAND = COMMANDS["promote"]


def run(arguments: list[str]) -> int:
    """Promote the version and say what it replaces.

    Raises:
        InputMissing: there is no such version.
        Torn: it, or champion.json, is damaged.
    """
    given = Arguments.of(arguments, COMMAND)
    if not given.words:
        raise SettingsError(
            "promote needs the version that is to be the champion",
            hint=f"write {COMMAND.synopsis}; `finetune models` lists them",
        )
    from job.gate.growth import part_of_version  # heavy; `finetune --help` does without it

    settings = load(os.environ, given.settings, rules=("output",)).settings
    telemetry.set_up(settings.log)
    store, name = registry_of(settings), given.words[0]
    before = after = Champion()

    def decide(champion: Champion) -> Champion:
        nonlocal before, after
        check_usable(store, settings.name, champion, name)
        part = part_of_version(store, settings.name, name, champion.judging, scratch)
        reason = given.options.get("--reason", "")
        before, after = champion, by_hand(champion, name, reason, part)
        return after

    with scratch_folder(settings.runtime) as scratch:
        registry.move(store, settings.name, decide)
    answer(told(store, settings.name, before, after))
    announce_champion(settings.publish, store, settings.name)
    return 0


def registry_of(settings: Settings) -> Store:
    """The store that holds the model's versions."""
    return open_store(settings.output, single_writer=settings.store.single_writer)


def check_usable(store: Store, model: str, champion: Champion, name: str) -> None:
    """See that a version is whole and stays. Asked after the record was read that is to be replaced:
    whoever removes versions says so in that record first.

    Raises:
        InputMissing: there is no such version, or it is being removed.
        Torn: it is damaged.
    """
    if name in champion.removed:
        raise InputMissing(
            f"version {name} was removed by `finetune prune`",
            hint="`finetune models` lists those that there are",
        )
    versions.whole(store, model, name)


def told(store: Store, model: str, before: Champion, after: Champion) -> str:
    """What has become of the champion, and where that stands."""
    if before == after:
        return f"{after.version} is the champion already"
    instead = (
        f" in place of {before.version}" if before.version not in (None, after.version) else ""
    )
    back = f"; `finetune rollback` goes back to {after.previous}" if after.previous else ""
    place = store.uri / layout.champion(model)
    return f"{after.version} is the champion{instead}{back}\n{place}"
