"""Signed JSON: read strictly, because two readers who disagree on bytes that were signed are a hole.

docs/spec/directory.md, section 2. Nothing here verifies a signature; what is signed travels as base64 in its
envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Final, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StrictInt, ValidationError

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return result


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"a number that is not an integer: {text[:20]}")


def read_strict_json(raw: bytes) -> dict[str, Any]:
    """One JSON object: UTF-8, each member once, integers only. Raises ``ValueError`` with what is wrong."""
    try:
        value = json.loads(
            raw.decode("utf-8", "strict"),
            object_pairs_hook=_pairs_once,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what arrived is wrong, not the caller's type
    return value


def encode_json(value: Any) -> bytes:
    """Sorted, compact, ASCII: what this project writes. A reader never rests on the form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def encode_base64(raw: bytes) -> str:
    """Standard base64 with padding: the one text of these bytes."""
    return base64.b64encode(raw).decode("ascii")


def from_base64(value: object) -> bytes:
    """The bytes of their one base64 text (bytes are given back). Raises ``ValueError``."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("base64 text is wanted")  # noqa: TRY004 - pydantic wants ValueError
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if encode_base64(decoded) != value:
        raise ValueError("not the one base64 text of these bytes")
    return decoded


Base64 = Annotated[
    bytes,
    BeforeValidator(from_base64),
    PlainSerializer(encode_base64, return_type=str, when_used="json"),
]
"""Bytes that stand as standard base64 with padding in JSON."""

TimeMs = Annotated[StrictInt, Field(ge=0, le=MAX_TIME_MS)]
"""Milliseconds since 1970, UTC."""


class Strict(BaseModel):
    """The base of every signed JSON form: frozen, and no member that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_fault(error: ValidationError) -> str:
    """The first thing that pydantic found, as ``path: message``."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
