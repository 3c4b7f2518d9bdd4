"""What is raised about schemas, events and sections. Messages and details hold field names, never a field's value."""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import ConfigError, RejectedError


class SchemaInvalid(ConfigError):
    """A schema or a code list is wrong. ``file`` and ``field`` say where."""

    code = "config.schema_invalid"


class TypeUnknown(RejectedError):
    """No event type of this name is in the catalog."""

    code = "event.type_unknown"


class VersionUnknown(RejectedError):
    """The type is known, this version of it is not: the catalog here is older, or the version never was."""

    code = "event.version_unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an event. ``field`` is a path with indexes: ``firearms[0].serial_raw``."""

    code: str
    field: str
    message: str


class EventInvalid(RejectedError):
    """The base of all that can be wrong with a body. ``problems`` has every one; the class is that of the first.

    ``details["field"]`` is the path of the first problem's field.
    """

    code = "event.invalid"
    problems: tuple[Problem, ...] = ()


class FieldMissing(EventInvalid):
    """A field that has no default is absent."""

    code = "event.field_missing"


class FieldUnknown(EventInvalid):
    """A field that the type does not have, or not in the compartments that were granted."""

    code = "event.field_unknown"


class FieldTypeWrong(EventInvalid):
    """A value of another type than the schema's."""

    code = "event.field_type"


class FieldRange(EventInvalid):
    """Too small, too large, too short, too long, too few or too many."""

    code = "event.field_range"


class FieldPattern(EventInvalid):
    """A text that is not of the schema's form."""

    code = "event.field_pattern"


class CodeUnknown(EventInvalid):
    """A value that its code list or enum does not have."""

    code = "event.code_unknown"


class DateInvalid(EventInvalid):
    """Not a date (``2026-11-03``) or a time (``2026-11-03T14:20:00Z``) of the calendar."""

    code = "event.date_invalid"


class RuleBroken(EventInvalid):
    """Fields that do not fit each other, or personal data without a legal basis."""

    code = "event.rule_broken"


class CompartmentUnknown(EventInvalid):
    """Granted are compartments that the type does not have, or none."""

    code = "event.compartment_unknown"


class SectionTooLarge(EventInvalid):
    """What falls in one compartment is over 64 KiB."""

    code = "event.section_too_large"


class SectionMalformed(EventInvalid):
    """Bytes that are not the one encoding of a part of this type."""

    code = "event.section_malformed"


_BY_CODE: dict[str, type[EventInvalid]] = {
    leaf.code: leaf
    for leaf in (
        FieldMissing,
        FieldUnknown,
        FieldTypeWrong,
        FieldRange,
        FieldPattern,
        CodeUnknown,
        DateInvalid,
        RuleBroken,
    )
}


def event_invalid(event_type: str, problems: tuple[Problem, ...]) -> EventInvalid:
    """The exception for ``problems`` (at least one), of the class that the first one's code names."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    error = _BY_CODE[first.code](
        f"{event_type}: {first.field or 'the body'}: {first.message}{more}", type=event_type, field=first.field
    )
    error.problems = problems
    return error
