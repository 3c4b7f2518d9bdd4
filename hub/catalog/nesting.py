"""What a compartment shows of what it stands in: the rule for fields within fields (docs/adr/0115).

A record or a list whose leaves fall in several compartments has a part in each of them, and each part says whether the
record is there and how many items the list has. Below a field of the first, open compartment that tells nobody
anything. Below a closed one it would: whoever has ``sensitive`` alone would see how many persons there are. So what
stands below a closed field is in that field's compartment, or in one that is granted only together with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hub.catalog.errors import SchemaInvalid
from hub.catalog.fields import Node, Record
from hub.catalog.schema import TypeSchema
from hub.model import Compartment


def check_nesting(schema: TypeSchema) -> None:
    """Raises :class:`SchemaInvalid` where a compartment shows what stands in another one, which it does not need.

    For schemas that are present. A released version stands as it is, also where it breaks a rule that came later.
    """
    for node, closed in _below_closed(schema.root, schema.order[0]):
        if node.compartment == closed or closed in schema.needs.get(node.compartment, ()):
            continue
        raise SchemaInvalid(
            f"{schema.name}: {node.path}: it is in {node.compartment}, below a field of {closed}: whoever has"
            f" {node.compartment} alone would see whether, or how many times, that field is there. Put it into"
            f" {closed}, or into a compartment that `needs` {closed}",
            file=schema.name,
            field=node.path,
        )


def _below_closed(
    record: Record, first: Compartment, closed: Compartment | None = None
) -> Iterator[tuple[Node, Compartment]]:
    """Every field that stands below one of another compartment than ``first``, with that compartment."""
    for node in record.fields:
        if closed is not None:
            yield node, closed
        if node.record is not None:
            inner = node.compartment if node.compartment != first else None
            yield from _below_closed(node.record, first, inner)


def without_unmet(
    granted: tuple[Compartment, ...], needs: Mapping[Compartment, tuple[Compartment, ...]]
) -> tuple[Compartment, ...]:
    """``granted`` without the compartments that need another one which is not in it. What is needed stands earlier."""
    kept: list[Compartment] = []
    for compartment in granted:  # in the schema's order
        if all(needed in kept for needed in needs.get(compartment, ())):
            kept.append(compartment)
    return tuple(kept)
