"""Compiles a type's tree to one function: a valid body in, the Avro section of every compartment out, in one walk.

A record or a list whose leaves fall in several compartments writes its null-ness or its length to each of them; every
leaf writes to its own. The result of each compartment is plain Avro of the sub-schema in :mod:`hub.catalog.avro`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hub.catalog import primitives
from hub.catalog.emitter import Emitter
from hub.catalog.fields import Array, Node, Record, Scalar
from hub.model import Compartment

Encode = Callable[[Mapping[str, Any]], tuple[bytes, ...]]

_BOOLEANS: dict[bool | None, bytes] = {False: b"\0", True: b"\1"}
_NULLABLE_BOOLEANS: dict[bool | None, bytes] = {None: b"\0", False: b"\2\0", True: b"\2\1"}
_TEXT_OF_CODES_MAX = 4_096


def compile_encoder(root: Record, compartments: Sequence[Compartment], title: str) -> Encode:
    """The encoder of a type. What it is given must have passed the type's validator."""
    emitter = Emitter("encode(body)")
    appends = {compartment: f"a{index}" for index, compartment in enumerate(compartments)}
    for index in range(len(compartments)):
        emitter.line(f"o{index} = []; a{index} = o{index}.append")
    emitter.constant("JOIN", b"".join)
    emitter.constant("L", primitives.LONGS)
    emitter.constant("NL", primitives.NULLABLE_LONGS)
    _Encoding(emitter, appends).record(root, "body")
    emitter.line("return (" + "".join(f"JOIN(o{index}), " for index in range(len(compartments))) + ")")
    return emitter.compile(f"encode {title}")


class _Encoding:
    def __init__(self, emitter: Emitter, appends: Mapping[Compartment, str]) -> None:
        self._emit = emitter
        self._appends = appends

    def record(self, record: Record, source: str) -> None:
        for node in record.fields:
            self._field(node, f"{source}[{node.name!r}]")

    def _field(self, node: Node, source: str) -> None:
        if isinstance(node.type, Scalar):
            append = self._appends[node.compartment]
            if node.nullable:
                self._nullable_scalar(node.type, source, append)
            else:
                self._scalar(node.type, source, append)
            return
        value = self._emit.name()
        self._emit.line(f"{value} = {source}")
        if not node.nullable:
            self._composite(node, value)
            return
        appends = [self._appends[compartment] for compartment in node.compartments]
        with self._emit.block(f"if {value} is None:"):
            self._emit.line("; ".join(f"{append}(b'\\0')" for append in appends))
        with self._emit.block("else:"):
            self._emit.line("; ".join(f"{append}(b'\\2')" for append in appends))
            self._composite(node, value)

    def _composite(self, node: Node, value: str) -> None:
        if isinstance(node.type, Record):
            self.record(node.type, value)
            return
        if not isinstance(node.type, Array):
            raise TypeError(node.path)
        appends = [self._appends[compartment] for compartment in node.compartments]
        with self._emit.block(f"if {value}:"):
            count = self._emit.name("n")
            self._emit.line(f"{count} = L[len({value})]")
            self._emit.line("; ".join(f"{append}({count})" for append in appends))
            item = self._emit.name()
            with self._emit.block(f"for {item} in {value}:"):
                if isinstance(node.type.item, Record):
                    self.record(node.type.item, item)
                else:
                    self._scalar(node.type.item, item, appends[0])
        self._emit.line("; ".join(f"{append}(b'\\0')" for append in appends))

    def _scalar(self, scalar: Scalar, source: str, append: str) -> None:
        table = self._table(scalar, nullable=False)
        if table is not None:
            self._emit.line(f"{append}({table}[{source}])")
        elif scalar.kind in ("string", "uuid"):
            text = self._emit.name("s")
            self._emit.line(f"{text} = {source}.encode(); {append}(L[len({text})]); {append}({text})")
        else:
            self._emit.line(f"{append}({self._call(scalar)}({source}))")

    def _nullable_scalar(self, scalar: Scalar, source: str, append: str) -> None:
        table = self._table(scalar, nullable=True)
        if table is not None:
            self._emit.line(f"{append}({table}[{source}])")
            return
        value = self._emit.name()
        self._emit.line(f"{value} = {source}")
        with self._emit.block(f"if {value} is None:"):
            self._emit.line(f"{append}(b'\\0')")
        with self._emit.block("else:"):
            if scalar.kind in ("string", "uuid"):
                self._emit.line(f"{value} = {value}.encode(); {append}(NL[len({value})]); {append}({value})")
            else:
                self._emit.line(f"{append}(b'\\2'); {append}({self._call(scalar)}({value}))")

    def _call(self, scalar: Scalar) -> str:
        functions: dict[str, Callable[..., bytes]] = {
            "double": primitives.pack_double,
            "timestamp": primitives.encode_timestamp,
            "decimal": primitives.encode_decimal,
        }
        return self._emit.constant(scalar.kind.upper(), functions[scalar.kind])

    def _table(self, scalar: Scalar, *, nullable: bool) -> str | None:
        """The name of a table from values to bytes, where there is one."""
        if scalar.kind in ("int", "long"):
            return "NL" if nullable else "L"
        if scalar.kind == "date":
            dates = primitives.NULLABLE_DATES if nullable else primitives.DATES
            return self._emit.constant("ND" if nullable else "D", dates)
        if scalar.kind == "boolean":
            return self._emit.constant("NB" if nullable else "B", _NULLABLE_BOOLEANS if nullable else _BOOLEANS)
        prefix = b"\2" if nullable else b""
        table: dict[str | None, bytes]
        if scalar.kind == "enum":
            table = {symbol: prefix + primitives.encode_long(index) for index, symbol in enumerate(scalar.symbols)}
        elif scalar.codes is not None and len(scalar.codes) <= _TEXT_OF_CODES_MAX:
            table = {code: prefix + primitives.encode_long(len(code.encode())) + code.encode() for code in scalar.codes}
        else:
            return None
        if nullable:
            table[None] = b"\0"
        return self._emit.new_constant(table)
