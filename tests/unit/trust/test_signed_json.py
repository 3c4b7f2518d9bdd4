"""Signed JSON is read in one way only (docs/spec/directory.md, section 2)."""

from __future__ import annotations

import pytest

from hub.trust.signed_json import encode_json, read_strict_json


def test_reads_what_it_writes() -> None:
    value = {"b": [1, True, None], "a": "ü"}
    assert encode_json(value) == b'{"a":"\\u00fc","b":[1,true,null]}'
    assert read_strict_json(encode_json(value)) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b'{"a":1}{"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0.0}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' * 100_000,
    ],
)
def test_refuses(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_strict_json(raw)
