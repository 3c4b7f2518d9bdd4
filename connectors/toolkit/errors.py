"""What may be wrong with a row or with a whole file of an agency: one leaf and one code for each."""

from __future__ import annotations

from collections.abc import Sequence

from hub.catalog import EventInvalid
from hub.errors import ConfigError, RejectedError


class RowRejected(RejectedError):
    """One row cannot be taken. ``details["column"]`` names the column where one is to blame.

    Unlike other errors, the text may quote the row: it goes to the agency's own report, never to a log or the hub.
    """

    code = "row.rejected"


class CellMissing(RowRejected):
    """A cell that must be filled is empty."""

    code = "row.cell_missing"


class DateRefused(RowRejected):
    """Not a date in a form that the profile declares, or no such day."""

    code = "row.date"


class NumberRefused(RowRejected):
    """Not a number in the form that the profile declares, or out of range."""

    code = "row.number"


class BooleanRefused(RowRejected):
    """Neither one of the profile's words for yes nor one of those for no."""

    code = "row.boolean"


class CodeUnknown(RowRejected):
    """The profile translates no such word, or the schema lists no such code."""

    code = "row.code_unknown"


class IdentifierRefused(RowRejected):
    """Not a UUID or not an agency's code where one is wanted."""

    code = "row.identifier"


class ControlCharacter(RowRejected):
    """A cell has a control character other than tab and line ends: the file is damaged or not what it says."""

    code = "row.control_character"


class BytesUndecodable(RowRejected):
    """A cell has bytes that are not of the file's declared encoding."""

    code = "row.encoding"


class ColumnsMiscounted(RowRejected):
    """More filled cells than columns, or fewer cells than columns."""

    code = "row.columns"


class QuoteBroken(RowRejected):
    """A quotation mark is opened and not closed, or stands inside a cell."""

    code = "row.quote"


class JsonBroken(RowRejected):
    """A line is not one JSON object with unique names."""

    code = "row.json"


class KeyMissing(RowRejected):
    """A column of the natural key is empty, so the row could not be told from another."""

    code = "row.key_missing"


class KeyRepeated(RowRejected):
    """Two rows of one file have the same natural key and say different things."""

    code = "row.key_repeated"


class KindUnknown(RowRejected):
    """The row is of none of the kinds that the profile knows."""

    code = "row.kind_unknown"


class GroupConflict(RowRejected):
    """Rows of one event disagree on what they should have in common."""

    code = "row.group_conflict"


class GroupIncomplete(RowRejected):
    """The row is fine, but another row of the same event is not, and half an event is not sent."""

    code = "row.group_incomplete"


class FieldRefused(RowRejected):
    """The event made from the row breaks its schema. ``details["event_code"]`` is the schema's own code."""

    code = "row.field"


def as_row_errors(error: RejectedError) -> list[RowRejected]:
    """A refusal by the schema as refusals of the row, one for each field that is wrong, with the schema's codes."""
    if not isinstance(error, EventInvalid) or not error.problems:
        return [FieldRefused(error.message, event_code=error.code, field=str(error.details.get("field", "")))]
    return [
        FieldRefused(f"{problem.field}: {problem.message}", event_code=problem.code, field=problem.field)
        for problem in error.problems
    ]


def first_of(faults: Sequence[RowRejected]) -> RowRejected:
    """The first fault, with the others beside it (``also``), so that a row is mended in one go."""
    first = faults[0]
    if len(faults) == 1:
        return first
    also = [
        {
            "column": error.details.get("column"),
            "field": error.details.get("field"),
            "code": error.code,
            "reason": error.message,
        }
        for error in faults[1:]
    ]
    return type(first)(first.message, **{**first.details, "also": also})


class FileRejected(RejectedError):
    """A whole file cannot be read."""

    code = "file.rejected"


class HeaderMissing(FileRejected):
    """A column that the profile uses is not in the file's header."""

    code = "file.header_missing"


class HeaderRepeated(FileRejected):
    """Two columns of the file answer to the same name."""

    code = "file.header_repeated"


class HeaderUnknown(FileRejected):
    """The file has a column that the profile does not know and is not told to ignore."""

    code = "file.header_unknown"


class FileUndecodable(FileRejected):
    """The file is not in its declared encoding at all."""

    code = "file.encoding"


class FileUnmatched(FileRejected):
    """No rule of the folder says how to read the file; it is left where it is."""

    code = "file.unmatched"


class FileTooLarge(FileRejected):
    """The file is larger than the connector reads."""

    code = "file.too_large"


class ProfileInvalid(ConfigError):
    """A mapping profile is wrong; the message begins with ``file:line``."""

    code = "config.profile"


class ConnectorInvalid(ConfigError):
    """A connector's settings are wrong."""

    code = "config.connector"
