"""When the broker appended a bundle first: the one header of a delivered record that a check rests on (spec 12.3).

The router may be away for days, so a delivered record's own append time can be much later than the ingest record's. The
router hands on the earlier one beside the record, not in it: a delivered record stays a function of the ingest record.
"""

from __future__ import annotations

import re
from typing import Final

from hub.ports import IncomingRecord

APPENDED: Final = "appended"
_DECIMAL: Final = re.compile(rb"0|[1-9][0-9]{0,14}")


def encode_appended(record: IncomingRecord) -> tuple[tuple[str, bytes], ...]:
    """The headers of what is delivered of the ingest ``record``; none where its append time is not known."""
    return () if record.appended_ms is None else ((APPENDED, b"%d" % record.appended_ms),)


def first_appended_ms(record: IncomingRecord) -> int | None:
    """When the broker appended the bundle first, in ms since 1970: by the router's header, never later than its own.

    None where the broker does not say when it appended this record: then what a header says is worth nothing. A header
    that is missing, malformed or there twice counts for nothing.
    """
    if record.appended_ms is None:
        return None
    said = [value for name, value in record.headers if name == APPENDED]
    if len(said) != 1 or not _DECIMAL.fullmatch(said[0]):
        return record.appended_ms
    return min(int(said[0]), record.appended_ms)
