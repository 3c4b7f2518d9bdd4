"""Source lines of a function that is compiled at load, and the constants it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Emitter:
    """Collects the body of one function. Names that are made are unique within it."""

    def __init__(self, signature: str) -> None:
        self._lines = [f"def {signature}:"]
        self._depth = 1
        self._names = 0
        self._constants: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """One statement at the present depth."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is emitted within stands under ``head``."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def name(self, prefix: str = "v") -> str:
        """A new local name."""
        self._names += 1
        return f"{prefix}{self._names}"

    def constant(self, name: str, value: Any) -> str:
        """Makes ``value`` visible to the function as ``name``."""
        self._constants[name] = value
        return name

    def new_constant(self, value: Any) -> str:
        """As :meth:`constant`, under a new name."""
        return self.constant(self.name("K"), value)

    def compile(self, title: str) -> Callable[..., Any]:
        """The function. The source is made of names that the schema parser has checked (letters, digits, ``_``)."""
        source = "\n".join(self._lines)
        namespace = dict(self._constants)
        exec(compile(source, f"<{title}>", "exec"), namespace)  # noqa: S102 - as dataclasses do; docs/adr says why
        function = namespace[self._lines[0][4 : self._lines[0].index("(")]]
        if not callable(function):
            raise TypeError(title)
        return function  # type: ignore[no-any-return]
