"""`finetune rollback [VERSION]`: the champion before this one is in use again, by one write."""

from __future__ import annotations

import os

from job import telemetry
from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.printing import answer
from job.commands.promote import check_usable, registry_of, told
from job.errors import InputMissing
from job.registry import champion as registry
from job.registry.announcement import announce_champion
from job.registry.champion import Champion, rolled_back, used_in_turn
from job.settings import load


def run(arguments: list[str]) -> int:
    """Go back to a version that was the champion, and say what is withdrawn.

    The rows that the nights of withdrawn versions have brought no longer judge.

    Raises:
        InputMissing: there is nothing to go back to, or no such version.
        Torn: it, or champion.json, is damaged.
    """
    given = Arguments.of(arguments, COMMANDS["rollback"])
    settings = load(os.environ, given.settings, rules=("output",)).settings
    telemetry.set_up(settings.log)
    store = registry_of(settings)
    before = after = Champion()

    def decide(champion: Champion) -> Champion:
        nonlocal before, after
        to = _target(champion, given.words[0] if given.words else None)
        check_usable(store, settings.name, champion, to)
        before, after = champion, rolled_back(champion, to, given.options.get("--reason", ""))
        return after

    registry.move(store, settings.name, decide)
    answer(told(store, settings.name, before, after))
    if new := [name for name in after.withdrawn if name not in before.withdrawn]:
        answer(f"withdrawn: {', '.join(new)}")
    announce_champion(settings.publish, store, settings.name)
    return 0


def _target(champion: Champion, name: str | None) -> str:
    """The version to go back to.

    Raises:
        InputMissing: there is none, it is in use, or it never was.
    """
    used = list(dict.fromkeys(used_in_turn(champion)))
    others = ", ".join(v for v in used if v != champion.version and v not in champion.removed)
    known = f"those that were: {others}" if others else "no other version ever was"
    to = champion.previous if name is None else name
    if to is None:
        wrong = (
            f"no champion before {champion.version} is left to go back to"
            if champion.version
            else "there is no champion, and nothing to go back from"
        )
        raise InputMissing(wrong, hint="`finetune promote VERSION` makes any version the champion")
    if to == champion.version:
        raise InputMissing(f"{to} is the champion already", hint=f"name another one; {known}")
    if to not in used:
        raise InputMissing(
            f"{to} never was the champion ({known})",
            hint=f"`finetune promote {to}` makes it the champion",
        )
    return to
