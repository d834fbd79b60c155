"""Read every broken input, each in a process of its own: python -m tests.corpus [--every N] [NAME…]."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tests.corpus import binaries, places, settings_files, texts
from tests.corpus.case import Case

SECONDS = 60
GIBIBYTES = 2.0
EXPLAINED = (0, 65, 66, 69, 75, 77, 78)
"""Exit codes with which an input may end."""


@dataclass(frozen=True)
class Outcome:
    """How one ended."""

    case: Case
    code: int
    """Negative for a signal."""
    seconds: float
    gibibytes: float
    said: str

    @property
    def fault(self) -> str | None:
        """Why it may not end so."""
        if self.code < 0:
            return f"signal {-self.code}"
        if self.code not in EXPLAINED or (self.case.name.endswith("/whole") and self.code):
            return f"exit {self.code}"
        if "Traceback" in self.said:
            return "a traceback"
        if self.code and not self.said.strip():
            return "not a word"
        if self.seconds > SECONDS:
            return f"{self.seconds:.0f} s"
        return f"{self.gibibytes:.1f} GiB" if self.gibibytes > GIBIBYTES else None


def cases() -> Iterator[Case]:
    """All of them."""
    return chain(texts.cases(), binaries.cases(), places.cases(), settings_files.cases())


def read(case: Case, folder: Path) -> Outcome:
    """One input in a child with limits on its time and its memory."""
    content, said = folder / "content", folder / "said"
    content.mkdir()
    _apart(lambda: case.write(content))
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_child(case, content, said))
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - start > SECONDS + 5:
            os.kill(child, 9)
        time.sleep(0.005)
    return Outcome(
        case,
        os.waitstatus_to_exitcode(status),
        time.monotonic() - start,
        usage.ru_maxrss / (1 << 20),
        said.read_text(errors="replace"),
    )


def _apart(work: Callable[[], None]) -> None:
    """Do it in another process: a child is as large as its parent has become."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the input could not be made")


def _child(case: Case, content: Path, said: Path) -> int:
    from job.commands.exit_codes import explained

    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    limit = int((GIBIBYTES + 4) * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _set_variables(case, content)
    code = 70
    try:
        code = _work(case, content)
    except Exception as error:  # noqa: BLE001 - what a command would make of it
        code = explained(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _set_variables(case: Case, content: Path) -> None:
    for name in [name for name in os.environ if name.startswith("FINETUNE_")]:
        del os.environ[name]
    own = {"DATA__TRAIN": "{folder}"} if case.command == "rows" else {}
    whole = {"DATA__VALIDATION_FRACTION": "0", "DATA__TEST_FRACTION": "0"} if own else {}
    for name, value in {**own, **whole, **case.settings}.items():
        os.environ[f"FINETUNE_{name}"] = value.replace("{folder}", str(content))


def _work(case: Case, content: Path) -> int:
    from job import prepare, tasks
    from job.__main__ import main
    from job.settings import load
    from job.stages.fetch import resolve_inputs

    if case.command == "config":
        return main(["config"])
    settings = load(os.environ, rules=("training_rows", "data", "columns", "verbatim")).settings
    inputs = resolve_inputs(settings.data)
    with tempfile.TemporaryDirectory(dir=content.parent) as scratch:
        rows = prepare.rows(settings, tasks.create(settings), inputs, Path(scratch))
    print(rows.rows)
    return 0


def _load_all() -> None:
    """What children would each import."""
    import job.commands.exit_codes
    import job.prepare
    import job.tasks
    import job.telemetry

    assert job.tasks


def main() -> int:
    """Print a table, and what may not end as it did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only those whose name begins with one of these")
    parser.add_argument("--every", type=int, default=1, help="only every Nth")
    parser.add_argument("--show", action="store_true", help="what each of them said")
    given = parser.parse_args()
    _load_all()
    kinds: dict[str, Counter[int]] = {}
    slowest: list[tuple[float, str]] = []
    faults: list[str] = []
    for number, case in enumerate(cases()):
        if number % given.every or not case.name.startswith(tuple(given.names) or ""):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = read(case, Path(folder))
        kinds.setdefault(case.name.partition("/")[0], Counter())[outcome.code] += 1
        slowest.append((outcome.seconds, case.name))
        if given.show:
            print(f"{outcome.code:4} {outcome.seconds:5.1f} s  {case.name}: {outcome.said[-300:]}")
        if outcome.fault:
            faults.append(f"{case.name}: {outcome.fault}: {outcome.said[-2_000:]}")
    _print(kinds, max(slowest, default=(0.0, "none")))
    print("\n".join(faults) or "none ended with a bug, a signal, too late or too large")
    return 1 if faults else 0


def _print(kinds: dict[str, Counter[int]], slowest: tuple[float, str]) -> None:
    codes = sorted({code for counts in kinds.values() for code in counts})
    print(f"{'inputs':<14}" + "".join(f"{code:>7}" for code in codes) + f"{'all':>7}")
    total = sum(kinds.values(), Counter[int]())
    for kind, counts in [*kinds.items(), ("all", total)]:
        cells = "".join(f"{counts[code] or '':>7}" for code in codes)
        print(f"{kind:<14}{cells}{counts.total():>7}")
    print(f"the slowest took {slowest[0]:.1f} s: {slowest[1]}")


if __name__ == "__main__":
    sys.exit(main())
