"""What a register's words say of a serial number; the number itself stays as it is."""

from __future__ import annotations

import pytest

from connectors.mapping.serials import SerialWords, derive_pattern, derive_raw, derive_status

WORDS = SerialWords(
    none=("NONE", "SANS NUMÉRO"), obliterated=("OBLITERATED", "LIMÉ"), restored=("(RESTORED)",), unread="?*_#"
)

WIDE = "\uff22\uff2b\uff34\uff14\uff18\uff12"
"""BKT482 in the wide forms of a Chinese keyboard."""


@pytest.mark.parametrize(
    ("cell", "status", "raw", "pattern"),
    [
        ("BKT482", "LEGIBLE", "BKT482", None),
        (" bkt-482  ", "LEGIBLE", " bkt-482  ", None),
        ("369J257", "LEGIBLE", "369J257", None),
        ("T6472-21 A 00123", "LEGIBLE", "T6472-21 A 00123", None),
        ("", "NONE", None, None),
        ("   ", "NONE", None, None),
        ("none", "NONE", None, None),
        ("sans numéro", "NONE", None, None),
        ("OBLITERATED", "OBLITERATED", None, None),
        ("Limé", "OBLITERATED", None, None),
        ("BKT OBLITERATED 82", "OBLITERATED", "BKT OBLITERATED 82", None),
        ("????", "OBLITERATED", None, None),
        ("---", "OBLITERATED", None, None),
        ("BK?4_2", "PARTIAL", "BK?4_2", "BK?4?2"),
        ("bk*-48 2", "PARTIAL", "bk*-48 2", "BK?482"),
        ("BKT482 (Restored)", "RESTORED_FULL", "BKT482 (Restored)", None),
        ("BK#482 (RESTORED)", "RESTORED_PARTIAL", "BK#482 (RESTORED)", "BK?482"),
        ("000000", "SUSPECT_MARK", "000000", None),
        ("XXX-XXX", "SUSPECT_MARK", "XXX-XXX", None),
        ("11", "LEGIBLE", "11", None),
        (WIDE, "LEGIBLE", WIDE, None),
    ],
)
def test_status_number_and_pattern(cell: str, status: str, raw: str | None, pattern: str | None) -> None:
    assert derive_status(cell, WORDS) == status
    assert derive_raw(cell, WORDS) == raw
    assert derive_pattern(cell, WORDS) == pattern
