"""Compiles one cell rule against one field of a schema into a function that reads a row. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from connectors.mapping.profile import CellRule, Profile, ValueForms
from connectors.mapping.serials import STATUSES, derive_pattern, derive_raw, derive_status
from connectors.mapping.values import (
    check_text,
    parse_boolean,
    parse_date,
    parse_integer,
    parse_number,
    parse_timestamp,
    show,
)
from connectors.toolkit.errors import CodeUnknown, IdentifierRefused, RowRejected
from connectors.toolkit.suggest import suggest
from hub.catalog.fields import Array, Node, Scalar

Row = Mapping[str, str]
"""A row by the profile's own column names. Every column of the profile is there."""

Reader = Callable[[Row], tuple[Any, bool]]
"""The value (``None``: nothing) and whether a cell said so (not a constant, not a default). Raises ``RowRejected``."""

_DIRECTIVE = re.compile(r"%[A-Za-z]")


class RuleFault(Exception):
    """What is wrong with a rule; plan.py adds the line. Never leaves the package."""


def compile_reader(rule: CellRule, node: Node, profile: Profile) -> Reader:
    """Raises :class:`RuleFault`."""
    many = isinstance(node.type, Array)
    scalar = node.type.item if isinstance(node.type, Array) else node.type
    if not isinstance(scalar, Scalar):
        raise RuleFault(f"{node.path} is a record: map its fields, such as {node.path}.{_first_name(node)}")
    return compile_scalar(rule, scalar, many=many, profile=profile)


def compile_scalar(rule: CellRule, scalar: Scalar, *, many: bool, profile: Profile) -> Reader:
    """A reader for a leaf, or with ``many`` for a list of them. Raises :class:`RuleFault`."""
    if rule.split and not many:
        raise RuleFault("split is for a field that is a list")
    if rule.value is not None:
        constant: Any = _constant(rule.value, scalar)
        result = [constant] if many else constant
        return lambda row: (result, False)
    convert = _converter(rule, scalar, profile)
    default: Any = None if rule.default is None else _constant(rule.default, scalar)
    if rule.derive:
        return _derived(rule, scalar, profile)
    if many:
        return _list_reader(rule, convert, default, profile.values)
    return _text_reader(rule, convert, default, profile.values)


def _first_name(node: Node) -> str:
    return node.record.fields[0].name if node.record is not None else ""


def clean(text: str, forms: ValueForms) -> str:
    """A cell without outer spaces; empty where it is one of the profile's words for nothing."""
    stripped = text.strip()
    folded = stripped.casefold()
    return "" if any(folded == word.casefold() for word in forms.empty) else stripped


def _text_reader(rule: CellRule, convert: Callable[[str], Any], default: Any, forms: ValueForms) -> Reader:
    columns, join, untouched = rule.used_columns, rule.join, rule.untouched

    def read(row: Row) -> tuple[Any, bool]:
        cells = []
        for column in columns:
            text = row[column]
            check_text(text)
            cell = text if untouched and text.strip() else clean(text, forms)
            if cell:
                cells.append(cell)
        if not cells:
            return default, False
        return convert(join.join(cells)), True

    return read


def _list_reader(rule: CellRule, convert: Callable[[str], Any], default: Any, forms: ValueForms) -> Reader:
    columns, split = rule.used_columns, rule.split

    def read(row: Row) -> tuple[Any, bool]:
        items = []
        for column in columns:
            check_text(row[column])
            cell = clean(row[column], forms)
            parts = cell.split(split) if split else [cell]
            items += [convert(part) for part in (clean(part, forms) for part in parts) if part]
        items = [item for item in items if item is not None]
        if not items:
            return (None if default is None else [default]), False
        return items, True

    return read


def _derived(rule: CellRule, scalar: Scalar, profile: Profile) -> Reader:
    derive = {"serial_raw": derive_raw, "serial_status": derive_status, "serial_pattern": derive_pattern}[
        rule.derive or "serial_status"
    ]
    speaks = rule.derive == "serial_raw"
    words = profile.serial
    column = rule.column or ""
    if rule.derive == "serial_status":
        for status in STATUSES:
            _constant(status, scalar)

    def read(row: Row) -> tuple[Any, bool]:
        check_text(row[column])
        value = derive(row[column], words)
        return value, speaks and value is not None

    return read


# --- text to value ----------------------------------------------------------------------------------------------------


def _known_codes(scalar: Scalar) -> tuple[str, ...]:
    return scalar.symbols or tuple(sorted(scalar.codes or ()))


def _converter(rule: CellRule, scalar: Scalar, profile: Profile) -> Callable[[str], Any]:
    if rule.codes is not None:
        return _translation(rule, scalar, profile)
    if rule.unknown_code is not None or rule.unknown != "refuse":
        raise RuleFault("unknown and unknown_code go with codes")
    if rule.dates and scalar.kind not in ("date", "timestamp"):
        raise RuleFault(f"dates is for a date or a timestamp; this field is of kind {scalar.kind}")
    if rule.add_days is not None and scalar.kind != "date":
        raise RuleFault(f"add_days is for a date; this field is of kind {scalar.kind}")
    known = _known_codes(scalar)
    if known:
        return _code_check(known)
    return _converter_of_kind(rule, scalar, profile.values)


def _converter_of_kind(rule: CellRule, scalar: Scalar, forms: ValueForms) -> Callable[[str], Any]:
    kind, decimal, thousands = scalar.kind, forms.decimal, forms.thousands
    if kind == "string":
        return str
    if kind in ("int", "long"):
        return lambda text: parse_integer(text, decimal=decimal, thousands=thousands)
    if kind == "double":
        return lambda text: float(parse_number(text, decimal=decimal, thousands=thousands))
    if kind == "decimal":
        return lambda text: parse_number(text, decimal=decimal, thousands=thousands)
    if kind == "boolean":
        if not forms.yes or not forms.no:
            raise RuleFault("this field is yes or no: say the agency's words in values.yes and values.no")
        return lambda text: parse_boolean(text, yes=forms.yes, no=forms.no)
    if kind == "date":
        formats = _formats(rule.dates or forms.dates, forms, "values.dates")
        later = timedelta(days=rule.add_days or 0)
        return lambda text: (
            parse_date(text, formats, century_from=forms.two_digit_years_from, excel=forms.excel_dates) + later
        ).isoformat()
    if kind == "timestamp":
        return _timestamp_converter(rule, forms)
    if kind == "uuid":
        return parse_uuid
    raise RuleFault(f"fields of kind {kind} cannot be mapped from a cell")


def _timestamp_converter(rule: CellRule, forms: ValueForms) -> Callable[[str], Any]:
    formats = _formats(rule.dates or forms.timestamps, forms, "values.timestamps")
    zone = ZoneInfo(forms.timezone) if forms.timezone else None
    if zone is None and any("%z" not in form for form in formats):
        raise RuleFault("a time without %z needs values.timezone, such as America/Jamaica")
    return lambda text: format_timestamp(parse_timestamp(text, formats, zone, century_from=forms.two_digit_years_from))


def format_timestamp(moment: datetime) -> str:
    """A moment in UTC as documents have it: ``2026-11-03T14:20:00.000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _formats(formats: tuple[str, ...], forms: ValueForms, setting: str) -> tuple[str, ...]:
    if not formats and not forms.excel_dates:
        raise RuleFault(f'say how the agency writes dates: {setting}, such as "%d/%m/%Y"')
    for form in formats:
        directives = _DIRECTIVE.findall(form)
        if not {"%d", "%m"} <= set(directives) and not {"%d", "%b"} <= set(directives) and "%j" not in directives:
            raise RuleFault(f"{form!r} is no date format: it has %d, %m (or %b) and %Y")
        if "%y" in directives and forms.two_digit_years_from is None:
            raise RuleFault(f"{form!r} has a year of two digits: say values.two_digit_years_from, such as 1970")
        if "%y" not in directives and "%Y" not in directives:
            raise RuleFault(f"{form!r} has no year")
    ambiguous = {"%d/%m/%Y", "%m/%d/%Y"} <= set(formats) or {"%d-%m-%Y", "%m-%d-%Y"} <= set(formats)
    if ambiguous:
        raise RuleFault("day before month and month before day at once: 03/04/2025 would be a guess")
    return formats


def _translation(rule: CellRule, scalar: Scalar, profile: Profile) -> Callable[[str], Any]:
    if isinstance(rule.codes, str):
        if rule.codes not in profile.codes:
            raise RuleFault(f"no table {rule.codes!r} in codes{suggest(rule.codes, profile.codes)}")
        table = profile.codes[rule.codes]
    else:
        table = rule.codes or {}
    values = {word.strip().casefold(): _constant(code, scalar) for word, code in table.items()}
    if len(values) != len(table):
        raise RuleFault("two words of the table differ by letter case alone")
    omit = rule.unknown == "omit"
    other = None if rule.unknown_code is None else _constant(rule.unknown_code, scalar)

    def convert(text: str) -> Any:
        found = values.get(text.casefold(), other)
        if found is None and not omit:
            raise CodeUnknown(f"the profile's codes have no {show(text)}{suggest(text, table)}")
        return found

    return convert


def _code_check(known: tuple[str, ...]) -> Callable[[str], Any]:
    allowed = frozenset(known)

    def convert(text: str) -> Any:
        if text not in allowed:
            raise CodeUnknown(f"the schema has no code {show(text)}{suggest(text, known)}")
        return text

    return convert


def parse_uuid(text: str) -> str:
    """The usual form of a UUID. Raises ``IdentifierRefused``."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise IdentifierRefused(f"{show(text)} is not a UUID") from error


_CONSTANTS: dict[str, Callable[[str], Any]] = {
    "int": lambda text: parse_integer(text, decimal=".", thousands=""),
    "long": lambda text: parse_integer(text, decimal=".", thousands=""),
    "double": lambda text: float(parse_number(text, decimal=".", thousands="")),
    "decimal": lambda text: parse_number(text, decimal=".", thousands=""),
    "boolean": lambda text: parse_boolean(text, yes=("true",), no=("false",)),
    "date": lambda text: date.fromisoformat(text).isoformat(),
    "timestamp": lambda text: format_timestamp(datetime.fromisoformat(text)),
    "uuid": parse_uuid,
}


def _constant(text: str, scalar: Scalar) -> Any:
    """A value that the profile itself writes, in the schema's own form. Raises :class:`RuleFault`."""
    known = _known_codes(scalar)
    if known and text not in known:
        raise RuleFault(f"the schema has no code {text!r}{suggest(text, known)}")
    parse = _CONSTANTS.get(scalar.kind)
    if parse is not None:
        try:
            return parse(text)
        except (RowRejected, ValueError) as error:
            raise RuleFault(f"{text!r} is not of the kind {scalar.kind}") from error
    if scalar.pattern and not re.fullmatch(scalar.pattern, text):
        raise RuleFault(f"{text!r} is not of the schema's form {scalar.pattern}")
    _check_char_codes(text, scalar)
    return text


def _check_char_codes(text: str, scalar: Scalar) -> None:
    """NCIC types: each character has a code list of its own."""
    for character, codes, name in zip(text, scalar.char_codes, scalar.char_lists, strict=False):
        if character not in codes:
            raise RuleFault(f"{text!r}: {character!r} is not in {name}")
