"""Evolution: a version can read what every earlier one wrote, and never opens what an earlier one closed.

Earlier versions, and the present one as it was released, stand whole in ``schemas/avro/history``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hub.catalog.fields import NO_DEFAULT, Array, Node, Record, Scalar
from hub.catalog.schema import TypeSchema
from hub.errors import ConfigError
from hub.model import Compartment

_PROMOTIONS: Final = {("int", "long"), ("int", "double"), ("long", "double"), ("enum", "string")}
"""What a value of one kind may become without a change of the value."""


class EvolutionBroken(ConfigError):
    """A new version cannot read an old one, or a field's compartment got looser. ``problems`` has every reason."""

    code = "config.evolution_broken"
    problems: tuple[str, ...] = ()


def check_evolution(older: TypeSchema, newer: TypeSchema) -> None:
    """Raises :class:`EvolutionBroken` unless ``newer`` reads every event that was valid under ``older``."""
    problems = list(_compare_types(older, newer))
    if problems:
        error = EvolutionBroken(
            f"{newer.name}: version {newer.version} does not follow version {older.version}: " + "; ".join(problems),
            type=newer.name,
        )
        error.problems = tuple(problems)
        raise error


def _compare_types(older: TypeSchema, newer: TypeSchema) -> Iterator[str]:
    if older.name != newer.name or newer.version <= older.version:
        yield "it is not a later version of the same type"
    if [compartment for compartment in newer.order if compartment in older.order] != list(older.order):
        yield "compartments were taken away or put in another order"
        return
    for compartment, needed in older.needs.items():
        if set(needed) - set(newer.needs.get(compartment, ())):
            yield f"{compartment} needs less than it did: it would be granted without {', '.join(needed)}"
    idle = [compartment for compartment in older.compartments if compartment not in newer.compartments]
    if idle:
        yield f"no field falls in {', '.join(idle)} any more"
    yield from _compare_records(older.root, newer.root, newer.order)


def _compare_records(older: Record, newer: Record, order: Sequence[Compartment]) -> Iterator[str]:
    before = {node.name: node for node in older.fields}
    for node in newer.fields:
        if node.name in before:
            yield from _compare_fields(before[node.name], node, order)
        elif node.default is NO_DEFAULT:
            yield f"{node.path} is new and has no default"
    for rule in newer.rules:
        # a rule may go, and may come where all that it names is new
        if rule not in older.rules and any(path.split(".")[0].removesuffix("[]") in before for path in rule.fields):
            yield f"a rule over {', '.join(rule.fields)} is new or changed: older events may break it"


def _compare_fields(older: Node, newer: Node, order: Sequence[Compartment]) -> Iterator[str]:
    yield from _compare_places(older, newer, order)
    path = newer.path
    old, new = older.type, newer.type
    if isinstance(old, Array) != isinstance(new, Array):
        yield f"{path} was {'one' if isinstance(new, Array) else 'a list'}"
        return
    if isinstance(old, Array) and isinstance(new, Array):
        if new.min_items > old.min_items or new.max_items < old.max_items:
            yield f"{path} takes fewer lengths"
        old, new = old.item, new.item
    if isinstance(old, Record) and isinstance(new, Record):
        yield from _compare_records(old, new, order)
    elif isinstance(old, Scalar) and isinstance(new, Scalar):
        yield from _compare_scalars(path, old, new)
    else:
        yield f"{path} was a {'record' if isinstance(old, Record) else 'scalar'}"


def _compare_places(older: Node, newer: Node, order: Sequence[Compartment]) -> Iterator[str]:
    """Where a field stands: compartment, personal data, null."""
    path = newer.path
    if order.index(newer.compartment) < order.index(older.compartment):
        yield f"{path} moved from {older.compartment} to {newer.compartment}: a compartment never gets looser"
    elif newer.compartment != older.compartment and newer.record is None and newer.default is NO_DEFAULT:
        yield f"{path} moved to {newer.compartment}, whose holder may not have the old one: it needs a default"
    if older.personal and not newer.personal:
        yield f"{path} was personal data and is not any more"
    if older.nullable and not newer.nullable:
        yield f"{path} could be null"
    if newer.mandatory_on and not older.mandatory_on:
        yield f"{path} is mandatory now"


def _compare_scalars(path: str, older: Scalar, newer: Scalar) -> Iterator[str]:
    if older.kind != newer.kind:
        if (older.kind, newer.kind) not in _PROMOTIONS:
            yield f"{path} was {older.kind} and is {newer.kind}"
        return
    gone = set(older.symbols) - set(newer.symbols)
    if gone and newer.symbol_default is None:
        yield f"{path} lost {', '.join(sorted(gone))}, and its enum has no default"
    if newer.codes is not None and (older.codes is None or older.codes - newer.codes):
        yield f"{path} takes fewer codes"
    if newer.codes is None and (newer.min_length > older.min_length or newer.max_length < older.max_length):
        yield f"{path} takes fewer lengths"
    if _tighter(older.minimum, newer.minimum, 1) or _tighter(older.maximum, newer.maximum, -1):
        yield f"{path} has a narrower range"
    yield from _changed(path, older, newer)


def _changed(path: str, older: Scalar, newer: Scalar) -> Iterator[str]:
    for what, none in (("char_lists", ()), ("pattern", None), ("const", None)):
        if getattr(newer, what) != none and getattr(newer, what) != getattr(older, what):
            yield f"{path} has another {what}"
    for what in ("precision", "scale", "unit"):
        if getattr(newer, what) != getattr(older, what):
            yield f"{path} has another {what}"


def _tighter(older: float | int | str | None, newer: float | int | str | None, sign: int) -> bool:
    if newer is None:
        return False
    return older is None or float(newer) * sign > float(older) * sign


# --- reading what an older version wrote ---------------------------------------------------------------------------


def upgrade(body: Mapping[str, Any], older: Record, newer: Record, granted: frozenset[Compartment]) -> dict[str, Any]:
    """A decoded body of ``older`` as one of ``newer``: new fields by their defaults, dropped ones gone.

    A field that ``newer`` put into a compartment that is not in ``granted`` is dropped too: closed wins.
    """
    before = {node.name: node for node in older.fields}
    result: dict[str, Any] = {}
    for node in newer.fields:
        if not node.visible(granted):
            continue
        former = before.get(node.name)
        if former is not None and node.name in body:
            result[node.name] = _upgrade_value(body[node.name], former, node, granted)
        else:
            result[node.name] = _default(node, granted)
    return result


def _default(node: Node, granted: frozenset[Compartment]) -> Any:
    if isinstance(node.type, Record) and not node.nullable:
        # a record that a holder of `granted` sees only since a new field of it is theirs
        return {inner.name: _default(inner, granted) for inner in node.type.fields if inner.visible(granted)}
    return [] if isinstance(node.type, Array) and not node.nullable else node.default


def _upgrade_value(value: Any, older: Node, newer: Node, granted: frozenset[Compartment]) -> Any:
    if value is None:
        return None
    if isinstance(newer.type, Array) and isinstance(older.type, Array):
        old, new = older.type.item, newer.type.item
        return [_upgrade_item(item, old, new, granted) for item in value]
    if isinstance(newer.type, Array) or isinstance(older.type, Array):
        raise EvolutionBroken(f"{newer.path}: a list and one value", field=newer.path)
    return _upgrade_item(value, older.type, newer.type, granted)


def _upgrade_item(value: Any, older: Scalar | Record, newer: Scalar | Record, granted: frozenset[Compartment]) -> Any:
    if isinstance(older, Record) and isinstance(newer, Record):
        return upgrade(value, older, newer, granted)
    if isinstance(newer, Scalar) and newer.kind == "enum" and value not in newer.symbols:
        return newer.symbol_default
    return float(value) if isinstance(newer, Scalar) and newer.kind == "double" else value
