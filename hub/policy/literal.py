"""Values that a policy file writes, read as what the field holds. A value that the field can never have is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from hub.policy.facts import FieldLike
from hub.policy.source import Part, did_you_mean

ORDERED: Final = frozenset({"int", "long", "double", "decimal", "date", "timestamp"})
"""The kinds of fields that know more and less."""


def read_literal(part: Part, field: FieldLike, *, exact: bool) -> Any:
    """``part`` as a value of ``field`` (a scalar). Raises :class:`~hub.policy.source.PolicyInvalid`.

    ``exact`` says that the field must be able to have this very value, so codes, patterns and ranges are checked.
    """
    text = part.text()
    try:
        value = _READERS[field.kind](text)
    except (ValueError, InvalidOperation) as error:
        raise part.fault(f"{text!r} is not {_WANTED[field.kind]}, which {field.path} holds") from error
    if exact:
        _check_possible(part, field, value, text)
    return value


def _check_possible(part: Part, field: FieldLike, value: Any, text: str) -> None:
    if field.codes is not None:
        if text not in field.codes:
            known = f"; known: {', '.join(sorted(field.codes))}" if len(field.codes) <= 16 else ""
            raise part.fault(f"{text!r} is not a code of {field.path}{did_you_mean(text, field.codes)}{known}")
        return
    pattern = field.constraints.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, text):
        raise part.fault(f"{text!r} can never stand in {field.path}, which has the form {pattern}")
    for number, (character, codes) in enumerate(zip(text, field.char_codes, strict=False), 1):
        if character not in codes:
            known = ", ".join(sorted(codes))
            raise part.fault(f"{text!r} can never stand in {field.path}: character {number} is one of {known}")
    longest = field.constraints.get("max_length")
    if longest is not None and len(text) > longest:
        raise part.fault(f"{text[:20]!r}... can never stand in {field.path}, which has at most {longest} characters")
    low, high = (_bound(field, field.constraints.get(name)) for name in ("min", "max"))
    if (low is not None and value < low) or (high is not None and value > high):
        raise part.fault(f"{text} can never stand in {field.path}, which goes from {low} to {high}")


def _bound(field: FieldLike, value: Any) -> Any:
    return Decimal(value) if value is not None and field.kind == "decimal" else value


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII):
        raise ValueError("not an integer")
    return int(text)


def _finite(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", text, re.ASCII):
        raise ValueError("not a number")
    return float(text)


def _decimal(text: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text, re.ASCII):
        raise ValueError("not a decimal")
    return Decimal(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("not a boolean")
    return text == "true"


def _date(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("not a date")
    return text


def _timestamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "string": str,
    "enum": str,
    "uuid": lambda text: str(UUID(text)),
    "date": _date,
    "timestamp": _timestamp,
    "int": _integer,
    "long": _integer,
    "double": _finite,
    "decimal": _decimal,
    "boolean": _boolean,
}
_WANTED: Final[Mapping[str, str]] = {
    "string": "a text",
    "enum": "a code",
    "uuid": "a UUID",
    "date": "a date (2026-11-03)",
    "timestamp": "a time with its zone (2026-11-03T14:20:00Z)",
    "int": "a whole number",
    "long": "a whole number",
    "double": "a number",
    "decimal": "a decimal number",
    "boolean": "true or false",
}
