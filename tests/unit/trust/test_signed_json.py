"""hub/trust/signed_json.py: one reading of signed JSON, or none (directory 2)."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hub.trust.signed_json import Base64, Strict, TimeMs, encode_base64, encode_json, read_strict_json


class Form(Strict):
    raw: Base64 = b""
    at_ms: TimeMs = 0


def test_what_is_written_is_read() -> None:
    form = {"b": [1, {"c": None}], "a": "é"}
    assert read_strict_json(encode_json(form)) == form
    assert encode_json(form) == b'{"a":"\\u00e9","b":[1,{"c":null}]}'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":1}',
        b'{"b":[{"a":1,"a":2}]}',
        b'{"a":1}{}',
        b'{"a":1}x',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_strict_json(raw)


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", " QQ==", "Q-==", "QQ=", "QQ==QQ==", 7, None])
def test_not_the_one_base64(text: object) -> None:
    with pytest.raises(ValidationError):
        Form.model_validate({"raw": text})


def test_base64() -> None:
    for raw in (b"", b"A", b"AB", b"\xff\xfb\xfe"):
        assert Form.model_validate({"raw": encode_base64(raw)}).raw == raw


@pytest.mark.parametrize("value", [-1, 253_402_300_800_000, True, "1", 1.0])
def test_not_a_time(value: object) -> None:
    with pytest.raises(ValidationError):
        Form.model_validate({"at_ms": value})


def test_an_unknown_member() -> None:
    with pytest.raises(ValidationError):
        Form.model_validate({"more": 1})
