"""pydantic validators and models, derived from a type's tree.

The hot path uses pydantic-core on dicts (a typed dict a record): faster than a ``BaseModel``, and the very dict that
comes out goes into the encoder. Absent fields that have a default are filled in. Texts of dates, times and decimals
come out in their one canonical form.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import pydantic
from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from hub.catalog import primitives
from hub.catalog.errors import EventInvalid, Problem, event_invalid
from hub.catalog.fields import NO_DEFAULT, UUID_PATTERN, Array, Node, Record, Scalar
from hub.model import Compartment

_TIME_CHARACTERS: Final = 40
_PROBLEMS_MAX: Final = 50


def compile_validator(root: Record, granted: frozenset[Compartment]) -> SchemaValidator:
    """The validator of a body that has the fields of ``granted``."""
    return SchemaValidator(_record_schema(root, granted))


def _record_schema(record: Record, granted: frozenset[Compartment]) -> core.CoreSchema:
    fields = {}
    for node in record.fields:
        if node.visible(granted):
            inner = _node_schema(node, granted)
            if node.default is not NO_DEFAULT:
                inner = _with_default(node, inner)
            fields[node.name] = core.typed_dict_field(inner, required=node.default is NO_DEFAULT)
    return core.typed_dict_schema(fields, extra_behavior="forbid", strict=True)


def _with_default(node: Node, inner: core.CoreSchema) -> core.CoreSchema:
    if isinstance(node.type, Record) and not node.nullable:
        return core.with_default_schema(inner, default_factory=dict, validate_default=True)
    if isinstance(node.type, Array) and not node.nullable:
        return core.with_default_schema(inner, default_factory=list)
    return core.with_default_schema(inner, default=node.default)


def _node_schema(node: Node, granted: frozenset[Compartment]) -> core.CoreSchema:
    if isinstance(node.type, Array):
        inner: core.CoreSchema = core.list_schema(
            _inner_schema(node.type.item, granted),
            strict=True,
            min_length=node.type.min_items or None,
            max_length=node.type.max_items,
        )
    else:
        inner = _inner_schema(node.type, granted)
    return core.nullable_schema(inner) if node.nullable else inner


def _inner_schema(inner: Scalar | Record, granted: frozenset[Compartment]) -> core.CoreSchema:
    return _record_schema(inner, granted) if isinstance(inner, Record) else scalar_schema(inner)


def scalar_schema(scalar: Scalar) -> core.CoreSchema:
    """The pydantic-core schema of a leaf."""
    kind = scalar.kind
    if kind == "string":
        return _text_schema(scalar)
    if kind == "enum":
        return core.literal_schema(list(scalar.symbols))
    if kind in ("int", "long"):
        low, high = scalar.minimum, scalar.maximum
        return core.int_schema(
            strict=True, ge=None if low is None else int(low), le=None if high is None else int(high)
        )
    if kind == "double":
        low, high = scalar.minimum, scalar.maximum
        return core.float_schema(
            strict=True,
            allow_inf_nan=False,
            ge=None if low is None else float(low),
            le=None if high is None else float(high),
        )
    if kind == "boolean":
        return core.bool_schema(strict=True) if scalar.const is None else core.literal_schema([scalar.const])
    if kind == "uuid":
        return core.str_schema(strict=True, pattern=UUID_PATTERN)
    if kind == "date":
        text = core.str_schema(strict=True, max_length=_TIME_CHARACTERS)
        return core.no_info_after_validator_function(_date, text)
    if kind == "timestamp":
        return core.no_info_after_validator_function(
            _timestamp, core.str_schema(strict=True, max_length=_TIME_CHARACTERS)
        )
    return core.no_info_before_validator_function(_Decimals(scalar), core.str_schema(strict=True))


def _text_schema(scalar: Scalar) -> core.CoreSchema:
    if scalar.codes is not None:
        return core.literal_schema(sorted(scalar.codes))
    text = core.str_schema(
        strict=True, min_length=scalar.min_length, max_length=scalar.max_length, pattern=scalar.pattern
    )
    return core.no_info_after_validator_function(_Characters(scalar), text) if scalar.char_codes else text


def _date(text: str) -> str:
    try:
        return primitives.CANONICAL_DATES[text]
    except ValueError:
        raise PydanticCustomError("date_invalid", "not a date of the calendar, written 2026-11-03") from None


def _timestamp(text: str) -> str:
    try:
        return primitives.canonical_timestamp(text)
    except (ValueError, OverflowError):
        raise PydanticCustomError("date_invalid", "not a time with its offset, written 2026-11-03T14:20:00Z") from None


class _Decimals:
    """Takes ``"412.50"`` or a whole number, never a float: that would not be exact."""

    def __init__(self, scalar: Scalar) -> None:
        self._scalar = scalar
        self._low = primitives.canonical_decimal(str(scalar.minimum), scalar.precision, scalar.scale)
        high = "9" * (scalar.precision - scalar.scale) or "0"
        self._high = primitives.canonical_decimal(
            str(scalar.maximum) if scalar.maximum is not None else high, scalar.precision, scalar.scale
        )

    def __call__(self, value: Any) -> str:
        if type(value) not in (str, int) or (isinstance(value, str) and len(value) > _TIME_CHARACTERS):
            raise PydanticCustomError("string_type", 'a decimal is a text like "412.50", or a whole number')
        try:
            text = primitives.canonical_decimal(value, self._scalar.precision, self._scalar.scale)
        except ValueError as error:
            raise PydanticCustomError("decimal_range", str(error).replace("{", "").replace("}", "")) from None
        unscaled = int(text.replace(".", ""))
        if not int(self._low.replace(".", "")) <= unscaled <= int(self._high.replace(".", "")):
            raise PydanticCustomError("decimal_range", f"between {self._low} and {self._high}")
        return text


class _Characters:
    """Each of the first characters is of its own code list (NCIC TYP); what follows is as the pattern says."""

    def __init__(self, scalar: Scalar) -> None:
        self._lists = scalar.char_codes
        self._names = scalar.char_lists

    def __call__(self, text: str) -> str:
        for index, (character, codes) in enumerate(zip(text, self._lists, strict=False)):
            if character not in codes:
                raise PydanticCustomError("char_code", f"character {index + 1} is not in {self._names[index]}")
        return text


# --- models for programmers ----------------------------------------------------------------------------------------


class _Leaf:
    """Gives pydantic the schema of a leaf through ``Annotated``."""

    def __init__(self, schema: core.CoreSchema) -> None:
        self._schema = schema

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core.CoreSchema:
        return self._schema


_PYTHON: Final[Mapping[str, type]] = {"int": int, "long": int, "double": float, "boolean": bool}


def build_model(record: Record, name: str) -> type[pydantic.BaseModel]:
    """A frozen ``BaseModel`` of the whole record, nested records as models of their own."""
    fields: dict[str, Any] = {}
    for node in record.fields:
        annotation = _annotation(node, name)
        info: dict[str, Any] = {"description": node.doc}
        if node.default is not NO_DEFAULT:
            if node.nullable or isinstance(node.type, Scalar):
                info["default"] = node.default
            else:
                info |= {"default_factory": list if isinstance(node.type, Array) else dict, "validate_default": True}
        fields[node.name] = (annotation, pydantic.Field(**info))
    config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)
    return pydantic.create_model(name, __config__=config, **fields)


def _annotation(node: Node, name: str) -> Any:
    inner = node.type.item if isinstance(node.type, Array) else node.type
    if isinstance(inner, Record):
        annotation: Any = build_model(inner, f"{name}{''.join(part.title() for part in node.name.split('_'))}")
    else:
        annotation = Annotated[_PYTHON.get(inner.kind, str), _Leaf(scalar_schema(inner))]
    if isinstance(node.type, Array):
        limited = pydantic.Field(min_length=node.type.min_items or None, max_length=node.type.max_items)
        annotation = Annotated[list[annotation], limited]
    return annotation | None if node.nullable else annotation


# --- from pydantic's errors to ours --------------------------------------------------------------------------------

_CODES: Final[Mapping[str, str]] = {
    "missing": "event.field_missing",
    "extra_forbidden": "event.field_unknown",
    "literal_error": "event.code_unknown",
    "char_code": "event.code_unknown",
    "date_invalid": "event.date_invalid",
    "string_pattern_mismatch": "event.field_pattern",
    "string_too_short": "event.field_range",
    "string_too_long": "event.field_range",
    "greater_than_equal": "event.field_range",
    "less_than_equal": "event.field_range",
    "too_short": "event.field_range",
    "too_long": "event.field_range",
    "finite_number": "event.field_range",
    "decimal_range": "event.field_range",
    "int_parsing_size": "event.field_range",
}


def translate(error: ValidationError, root: Record, event_type: str, *, suggest: bool) -> EventInvalid:
    """pydantic's errors as ours, unknown fields first (a typo also shows as a missing field).

    ``suggest`` adds "did you mean" for codes: right where the author of the event reads it, not in a recipient's log.
    """
    problems = [
        _problem(each, root, suggest) for each in error.errors(include_url=False, include_context=True)[:_PROBLEMS_MAX]
    ]
    problems.sort(key=lambda problem: problem.code != "event.field_unknown")
    return event_invalid(event_type, tuple(problems))


def _problem(error: Any, root: Record, suggest: bool) -> Problem:
    location: tuple[str | int, ...] = error["loc"]
    code = _CODES.get(error["type"], "event.field_type")
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    message = _MESSAGES.get(code, error["msg"])
    if code == "event.field_unknown":
        known = [node.name for node in _fields_at(root, location[:-1])]
        message += _did_you_mean(str(location[-1]), known)
        # the name of an unknown field is the author's text: it is cut, and kept to what a name can be
        path = _safe(path)
    elif error["type"] == "literal_error":
        scalar = _scalar_at(root, location)
        if scalar is not None:
            message = _code_message(scalar, error["input"] if suggest else None)
    elif code == "event.field_type" and error["type"] != "string_type":
        message = _type_message(error)
    elif code == "event.field_pattern":
        scalar = _scalar_at(root, location)
        if scalar is not None and scalar.pattern:
            message = f"not of the form {scalar.pattern}"
    return Problem(code, path, message)


_MESSAGES: Final = {
    "event.field_missing": "it is missing",
    "event.field_unknown": "there is no such field",
    "event.field_pattern": "not of the schema's form",
}


def _type_message(error: Any) -> str:
    return str(error["msg"]).removeprefix("Input should be ").replace("Value error, ", "")


def _code_message(scalar: Scalar, value: Any) -> str:
    if scalar.const is not None:
        return f"it must be {str(scalar.const).lower()}"
    known: Sequence[str] = scalar.symbols or sorted(scalar.codes or ())
    where = f"the code list {scalar.code_list}" if scalar.code_list else f"{', '.join(known)}"
    return f"not one of {where}" + (_did_you_mean(value, known) if isinstance(value, str) else "")


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    upper = {each.upper(): each for each in known}
    close = difflib.get_close_matches(word[:64].upper(), list(upper), 1)
    return f" (did you mean {upper[close[0]]}?)" if close else ""


def _safe(path: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in path)[:120]


def _fields_at(root: Record, location: Sequence[str | int]) -> tuple[Node, ...]:
    fields = root.fields
    for step in location:
        if isinstance(step, str):
            record = next((node.record for node in fields if node.name == step), None)
            if record is None:
                return ()
            fields = record.fields
    return fields


def _scalar_at(root: Record, location: Sequence[str | int]) -> Scalar | None:
    names = [step for step in location if isinstance(step, str)]
    for node in _fields_at(root, names[:-1]):
        if names and node.name == names[-1]:
            inner = node.type.item if isinstance(node.type, Array) else node.type
            return inner if isinstance(inner, Scalar) else None
    return None
