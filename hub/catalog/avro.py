"""The sub-schema of each compartment as plain Avro, for anyone who reads a section with a library of their own."""

from __future__ import annotations

from typing import Any

from hub.catalog.fields import NO_DEFAULT, Array, Node, Record, Scalar
from hub.model import Compartment

_AVRO: dict[str, Any] = {
    "string": "string",
    "uuid": {"type": "string", "logicalType": "uuid"},
    "int": "int",
    "date": {"type": "int", "logicalType": "date"},
    "long": "long",
    "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
    "double": "double",
    "boolean": "boolean",
}


def compartment_schema(event_type: str, version: int, root: Record, compartment: Compartment) -> dict[str, Any]:
    """The Avro schema of a section. Records and enums are named by their place, so that each name stands once."""
    namespace = f"cgi.{event_type.replace('.', '_')}.v{version}.{compartment}"
    return _record(root, namespace, "", frozenset((compartment,)))


def whole_schema(event_type: str, version: int, root: Record, compartments: frozenset[Compartment]) -> dict[str, Any]:
    """The Avro schema of a whole body, for a peer that does not seal (benchmarks)."""
    return _record(root, f"cgi.{event_type.replace('.', '_')}.v{version}", "", compartments)


def _record(record: Record, namespace: str, path: str, only: frozenset[Compartment]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": f"{namespace}.{_place(path) or 'body'}",
        "fields": [_field(node, namespace, only) for node in record.fields if node.visible(only)],
    }


def _field(node: Node, namespace: str, only: frozenset[Compartment]) -> dict[str, Any]:
    if isinstance(node.type, Array):
        avro: Any = {"type": "array", "items": _item(node.type.item, namespace, node.path, only)}
    else:
        avro = _item(node.type, namespace, node.path, only)
    field: dict[str, Any] = {"name": node.name, "type": ["null", avro] if node.nullable else avro}
    if node.default is not NO_DEFAULT:
        field["default"] = _default(node, only)
    return field


def _default(node: Node, only: frozenset[Compartment]) -> Any:
    if node.default == {} and isinstance(node.type, Record):
        return {inner.name: _default(inner, only) for inner in node.type.fields if inner.visible(only)}
    return node.default


def _item(inner: Scalar | Record, namespace: str, path: str, only: frozenset[Compartment]) -> Any:
    if isinstance(inner, Record):
        return _record(inner, namespace, path, only)
    if inner.kind == "enum":
        avro: dict[str, Any] = {"type": "enum", "name": f"{namespace}.{_place(path)}", "symbols": list(inner.symbols)}
        if inner.symbol_default is not None:
            avro["default"] = inner.symbol_default
        return avro
    if inner.kind == "decimal":
        return {"type": "bytes", "logicalType": "decimal", "precision": inner.precision, "scale": inner.scale}
    return _AVRO[inner.kind]


def _place(path: str) -> str:
    return path.replace("[]", "").replace(".", "__")
