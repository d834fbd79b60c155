"""New columns by sandboxed templates over the others, with a bound on what a value may take."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from job.errors import SettingsError

if TYPE_CHECKING:
    from jinja2 import Template

STEPS = 100_000
"""The most turns of loops and calls that one value may take."""
HEADROOM = 1 << 28
"""Bytes that rendering may take beyond a few times the longest value."""


@dataclass(frozen=True)
class Derived:
    """A column to be made: its name, its template, and the columns that this reads."""

    name: str
    columns: frozenset[str]
    template: Template
    environment: Environment

    @classmethod
    def of(cls, name: str, source: str, longest: int) -> Derived:
        """
        Args:
            longest: the most characters that a value may have.

        Raises:
            SettingsError: the template has an error in its syntax.
        """
        environment = Environment(longest)
        try:
            tree = environment.parse(source)
            names = frozenset(meta.find_undeclared_variables(tree))
            for loop in tree.find_all(nodes.For):
                counted = nodes.Filter(loop.iter, COUNTED, [], [], None, None, lineno=loop.lineno)
                loop.iter = counted
            template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            raise SettingsError(
                f"FINETUNE_CLEAN__DERIVE: the template of {name!r} cannot be read: "
                f"{error.message} (line {error.lineno})",
                hint='write it as in {"text": "{{title}} {{body}}"}',
            ) from None
        return cls(name, names, template, environment)

    def value(self, row: Mapping[str, str | None]) -> str:
        """The column's value in a row.

        Raises:
            Exception: a template can fail in any way.
        """
        self.environment.begin()
        text = self.template.render({name: row[name] for name in self.columns})
        text.encode()  # half of a character is no text
        return text


COUNTED = "counted"
"""The filter around whatever a template loops over."""


class Environment(SandboxedEnvironment):
    """Jinja's sandbox, in which columns alone have names, and which counts what a value takes."""

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, longest: int) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=self._written,
            autoescape=False,  # the result is training text, not HTML
        )
        self.globals.clear()  # a column may be called range, dict or namespace
        self.filters[COUNTED] = self._counted
        self._longest = longest
        self._chars = self._steps = 0

    def begin(self) -> None:
        """The next value."""
        self._chars = self._steps = 0

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """A product or a power, if it is not too large to be meant."""
        if operator == "**":
            size = abs(int(left)).bit_length() / 3 * abs(right)  # about its digits
        else:
            sizes = [len(v) if hasattr(v, "__len__") else v for v in (left, right)]
            repeated = any(hasattr(value, "__len__") for value in (left, right))
            size = sizes[0] * sizes[1] if repeated else 0
        self._allow(size)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        """A call, which is a step."""
        self._step()
        return super().call(context, function, *args, **kwargs)

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._step()
            yield value

    def _step(self) -> None:
        self._steps += 1
        if self._steps > STEPS:
            raise SecurityError(f"it takes more than {STEPS:,} turns of loops and calls")

    def _written(self, value: Any) -> str:
        """What is written for a value: nothing for null, and no more than text and numbers."""
        if value is None:
            return ""
        if isinstance(value, Undefined):  # an error, unless it stands for an `if` without an `else`
            return str(value)
        if not isinstance(value, (str, int, float)):
            kind = type(value).__name__
            raise TypeError(f"a {kind} is not text; take a part of it, or use join or tojson")
        text = str(value)
        self._chars += len(text)
        self._allow(self._chars)
        return text

    def _allow(self, size: float) -> None:
        if size > self._longest:
            raise SecurityError(
                f"it is longer than {self._longest:,} characters (FINETUNE_DATA__MAX_ROW_BYTES)"
            )


@contextmanager
def bounded_memory(longest: int) -> Iterator[None]:
    """Whoever asks for much more than values of this length need gets a MemoryError, not the memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError, ValueError):  # where there is no such bound, as on macOS
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        wanted = used + HEADROOM + 8 * longest
        if before[0] == resource.RLIM_INFINITY or wanted < before[0]:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
