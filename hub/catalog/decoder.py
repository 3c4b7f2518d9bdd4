"""Compiles a type's tree, for one set of granted compartments, to one function: their sections in, the body out.

The function walks the tree once with one cursor in each section, so the parts come out merged. It takes the one
canonical encoding and nothing else: numbers as short as can be, a list as one block with its length and then an end,
known union branches, symbols and booleans, well-formed UTF-8, and no byte left over. So what it accepts is equal to its
own re-encoding by construction (tests/property holds it to that). Where a record or a list has parts in several
compartments, their null-ness and lengths must agree. A list's length is checked against ``max_items`` before anything
is made of it, and no item is encoded in zero bytes (the schema parser sees to that).

On the way it looks at the constraints, as far as that is cheap: it also returns whether the body is *doubtful*. A body
that is not doubtful is valid but for its rules; a doubtful one is for the validator to judge.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hub.catalog import primitives
from hub.catalog.emitter import Emitter
from hub.catalog.fields import UUID_PATTERN, Array, Node, Record, Scalar
from hub.model import Compartment

Decode = Callable[..., tuple[dict[str, Any], bool]]
"""Sections in, the body and whether it is doubtful out."""

MALFORMED = (ValueError, IndexError, KeyError, OverflowError)
"""What a decoder raises on bytes that are not canonical (``struct`` errors are turned into ``ValueError``)."""


def _refuse(why: str) -> None:
    raise ValueError(why)


def _double(data: bytes, at: int) -> float:
    if len(data) - at < 8:
        raise ValueError("it ends within a double")
    number: float = primitives.unpack_double(data, at)[0]
    return number


def compile_decoder(root: Record, granted: Sequence[Compartment], title: str) -> Decode:
    """The decoder for ``granted`` (in the type's order): one ``bytes`` argument for each of them."""
    names = {compartment: (f"d{index}", f"p{index}") for index, compartment in enumerate(granted)}
    emitter = Emitter(f"decode({', '.join(data for data, _ in names.values())})")
    for constant, value in {
        "T": primitives.LENGTHS,
        "LENGTH": primitives.decode_length,
        "INT": primitives.decode_int,
        "LONG": primitives.decode_long,
        "DATE": primitives.DATE_TEXTS,
        "DATE3": primitives.DATES_BY_BYTES,
        "TIME": primitives.decode_timestamp,
        "DECIMAL": primitives.decode_decimal,
        "DOUBLE": _double,
        "BOOLEAN": {0: False, 1: True},
        "MOST": sys.float_info.max,
        "REFUSE": _refuse,
    }.items():
        emitter.constant(constant, value)
    emitter.line("doubtful = False")
    for _, at in names.values():
        emitter.line(f"{at} = 0")
    result = _Decoding(emitter, names).record(root)
    for data, at in names.values():
        emitter.line(f"if {at} != len({data}): REFUSE('it ends too early, or bytes are left over')")
    emitter.line(f"return {result}, doubtful")
    return emitter.compile(f"decode {title}")


class _Decoding:
    def __init__(self, emitter: Emitter, names: dict[Compartment, tuple[str, str]]) -> None:
        self._emit = emitter
        self._names = names
        self._granted = frozenset(names)

    def record(self, record: Record) -> str:
        """Emits the reading of a record's visible fields; returns the expression of the dict."""
        parts = []
        for node in record.fields:
            if node.visible(self._granted):
                value = self._emit.name()
                self._field(node, value)
                parts.append(f"{node.name!r}: {value}")
        return "{" + ", ".join(parts) + "}"

    def _cursors(self, node: Node) -> list[tuple[str, str]]:
        return [self._names[compartment] for compartment in node.compartments if compartment in self._granted]

    def _field(self, node: Node, value: str) -> None:
        if isinstance(node.type, Scalar):
            data, at = self._names[node.compartment]
            if node.nullable:
                self._nullable_scalar(node.type, data, at, value)
            else:
                self._scalar(node.type, data, at, value)
            return
        if not node.nullable:
            self._composite(node, value)
            return
        cursors = self._cursors(node)
        branch = self._emit.name("b")
        self._agreeing(cursors, branch)
        with self._emit.block(f"if {branch} == 0:"):
            self._emit.line(f"{value} = None")
        with self._emit.block(f"elif {branch} == 2:"):
            self._composite(node, value)
        with self._emit.block("else:"):
            self._emit.line("REFUSE('a branch of a union that is not')")

    def _agreeing(self, cursors: list[tuple[str, str]], name: str) -> None:
        """One byte from each section, the same in all."""
        data, at = cursors[0]
        self._emit.line(f"{name} = {data}[{at}]; {at} += 1")
        for other, other_at in cursors[1:]:
            self._emit.line(f"if {other}[{other_at}] != {name}: REFUSE('the compartments do not agree')")
            self._emit.line(f"{other_at} += 1")

    def _composite(self, node: Node, value: str) -> None:
        if isinstance(node.type, Record):
            self._emit.line(f"{value} = {self.record(node.type)}")
            return
        if not isinstance(node.type, Array):
            raise TypeError(node.path)
        cursors = self._cursors(node)
        count = self._emit.name("n")
        self._length(*cursors[0], count)
        for data, at in cursors[1:]:
            other = self._emit.name("n")
            self._length(data, at, other)
            self._emit.line(f"if {other} != {count}: REFUSE('the compartments do not agree')")
        self._emit.line(f"if {count} > {node.type.max_items}: REFUSE('more items than the schema takes')")
        if node.type.min_items:
            self._doubt(f"{count} < {node.type.min_items}")
        self._emit.line(f"{value} = []")
        with self._emit.block(f"if {count}:"):
            with self._emit.block(f"for _ in range({count}):"):
                if isinstance(node.type.item, Record):
                    self._emit.line(f"{value}.append({self.record(node.type.item)})")
                else:
                    item = self._emit.name()
                    self._scalar(node.type.item, *cursors[0], item)
                    self._emit.line(f"{value}.append({item})")
            end = self._emit.name("b")
            for data, at in cursors:
                self._emit.line(f"{end} = {data}[{at}]; {at} += 1")
                self._emit.line(f"if {end}: REFUSE('a list in several blocks')")

    def _length(self, data: str, at: str, name: str) -> None:
        self._emit.line(f"{name} = T[{data}[{at}]]; {at} += 1")
        with self._emit.block(f"if {name} < 0:"):
            self._emit.line(f"{name}, {at} = LENGTH({data}, {at} - 1)")

    def _nullable_scalar(self, scalar: Scalar, data: str, at: str, value: str) -> None:
        self._emit.line(f"{value} = {data}[{at}]; {at} += 1")
        with self._emit.block(f"if {value} == 0:"):
            self._emit.line(f"{value} = None")
        with self._emit.block(f"elif {value} == 2:"):
            self._scalar(scalar, data, at, value)
        with self._emit.block("else:"):
            self._emit.line("REFUSE('a branch of a union that is not')")

    def _doubt(self, condition: str) -> None:
        self._emit.line(f"if {condition}: doubtful = True")

    def _scalar(self, scalar: Scalar, data: str, at: str, value: str) -> None:
        kind = scalar.kind
        if kind in ("string", "uuid", "decimal"):
            self._length(data, at, value)
            self._sized(scalar, data, at, value)
        elif kind == "enum":
            # a symbol's index is below 64: one byte
            table = self._emit.new_constant({index * 2: symbol for index, symbol in enumerate(scalar.symbols)})
            self._emit.line(f"{value} = {table}[{data}[{at}]]; {at} += 1")
        elif kind == "boolean":
            self._emit.line(f"{value} = BOOLEAN[{data}[{at}]]; {at} += 1")
            if scalar.const is not None:
                self._doubt(f"{value} is not {scalar.const!r}")
        elif kind == "double":
            self._emit.line(f"{value} = DOUBLE({data}, {at}); {at} += 8")
            # a NaN is in no range, so that without a range it is the only thing to ask for
            self._doubt(f"not {scalar.minimum or '-MOST'} <= {value} <= {scalar.maximum or 'MOST'}")
        else:
            self._number(scalar, data, at, value)

    def _number(self, scalar: Scalar, data: str, at: str, value: str) -> None:
        kind = scalar.kind
        if kind == "date":
            self._emit.line(f"{value} = DATE3[{data}[{at}:{at} + 3]]; {at} += 3")
            with self._emit.block(f"if not {value}:"):
                self._emit.line(f"{value}, {at} = INT({data}, {at} - 3); {value} = DATE[{value}]")
            return
        reader = "INT" if kind == "int" else "LONG"
        self._emit.line(f"{value}, {at} = {reader}({data}, {at})")
        if kind == "timestamp":
            self._emit.line(f"{value} = TIME({value})")
        else:
            self._doubt(f"not {scalar.minimum} <= {value} <= {scalar.maximum}")

    def _sized(self, scalar: Scalar, data: str, at: str, value: str) -> None:
        """What comes with its length, which is in ``value`` already."""
        end = self._emit.name("e")
        self._emit.line(f"{end} = {at} + {value}")
        if scalar.kind == "decimal":
            self._emit.line(f"{value} = DECIMAL({data}[{at}:{end}], {scalar.scale}); {at} = {end}")
            digits = scalar.precision + (1 if scalar.scale else 0)
            narrow = scalar.maximum is not None or float(scalar.minimum or 0) > 0
            self._doubt(f"len({value}) > {digits}" if not narrow else "True")
            return
        if scalar.codes is not None:
            table = self._emit.new_constant({code.encode(): code for code in scalar.codes})
            self._emit.line(f"{value} = {table}.get({data}[{at}:{end}])")
            with self._emit.block(f"if {value} is None:"):
                self._emit.line(f"doubtful = True; {value} = {data}[{at}:{end}].decode()")
            self._emit.line(f"{at} = {end}")
            return
        if scalar.kind == "string":
            # bytes are at least as many as characters: enough to be sure of the upper bound, and of "not empty"
            self._doubt(f"not {min(scalar.min_length, 1)} <= {value} <= {scalar.max_length}")
        self._emit.line(f"{value} = {data}[{at}:{end}].decode(); {at} = {end}")
        if scalar.min_length > 1:
            self._doubt(f"len({value}) < {scalar.min_length}")
        for pattern in _patterns(scalar):
            match = self._emit.new_constant(re.compile(pattern).fullmatch)
            self._doubt(f"{match}({value}) is None")


def _patterns(scalar: Scalar) -> list[str]:
    """What a text must match. Python's expressions may be stricter here than the validator's, never looser."""
    found = [UUID_PATTERN] if scalar.kind == "uuid" else [scalar.pattern] if scalar.pattern is not None else []
    if scalar.char_codes:
        # each of the first characters of its own list, as many as there are; then anything
        expression = "(?:.*)"
        for codes in reversed(scalar.char_codes):
            expression = f"(?:[{''.join(sorted(map(re.escape, codes)))}]{expression})?"
        found.append(expression)
    return found
