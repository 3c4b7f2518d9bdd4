"""An agency's key statement: its signing and KEM keys with their validity, signed by its identity key.

The statement is the one target of the agency's role in the directory (docs/spec/directory.md, section 4), whose
metadata is signed (hub/adapters/tuf_roles.py). Pure: bytes in, values out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import RejectedError
from hub.model import AgencyId
from hub.trust.composite import KeyMalformed, VerifyKey
from hub.trust.kem import KemPublicKey
from hub.trust.signed_json import Base64, Strict, TimeMs, encode_base64, encode_json, first_fault, read_strict_json

MAX_STATEMENT_KEYS: Final = 256
"""Keys of one kind in one statement."""


class StatementMalformed(RejectedError):
    """Bytes that are not a key statement."""

    code = "statement.malformed"


class StatementOfAnother(RejectedError):
    """A well-signed statement that speaks for another agency or another hub."""

    code = "statement.other_agency"


# --- the statement ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SigningKeyEntry:
    """A site's signing key. Valid from ``not_before_ms`` up to and without ``not_after_ms``, and not from
    ``revoked_at_ms`` on. ``site`` is a name for people."""

    key: VerifyKey
    not_before_ms: int
    not_after_ms: int
    revoked_at_ms: int | None = None
    site: str = ""


@dataclass(frozen=True, slots=True)
class KemKeyEntry:
    """A key that partners wrap to. Validity as for :class:`SigningKeyEntry`."""

    key: KemPublicKey
    not_before_ms: int
    not_after_ms: int
    revoked_at_ms: int | None = None

    @property
    def end_ms(self) -> int:
        """When it ends, by its listing or by its revocation."""
        return self.not_after_ms if self.revoked_at_ms is None else min(self.not_after_ms, self.revoked_at_ms)

    def usable(self, now_ms: int) -> bool:
        """Whether a publisher may wrap to it at ``now_ms``."""
        return self.not_before_ms <= now_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """What an agency says of its own keys, past ones too. ``version`` rises with each statement."""

    hub: AgencyId
    agency: AgencyId
    version: int
    issued_at_ms: int
    signing_keys: tuple[SigningKeyEntry, ...]
    kem_keys: tuple[KemKeyEntry, ...]


class _KeyForm(Strict):
    key: Base64
    not_before_ms: TimeMs
    not_after_ms: TimeMs
    revoked_at_ms: TimeMs | None = None


class _SigningKeyForm(_KeyForm):
    site: Annotated[StrictStr, Field(max_length=80)] = ""


class _StatementForm(Strict):
    kind: Literal["cgi-hub/v1/key-statement"]
    hub: StrictStr
    agency: StrictStr
    version: Annotated[StrictInt, Field(ge=1, lt=2**32)]
    issued_at_ms: TimeMs
    signing_keys: Annotated[tuple[_SigningKeyForm, ...], Field(max_length=MAX_STATEMENT_KEYS)]
    kem_keys: Annotated[tuple[_KeyForm, ...], Field(max_length=MAX_STATEMENT_KEYS)]


def parse_statement(payload: bytes) -> KeyStatement:
    """Statement bytes as values; nothing is verified here. Raises :class:`StatementMalformed`."""
    try:
        form = _StatementForm.model_validate(read_strict_json(payload))
        signing = tuple(
            SigningKeyEntry(VerifyKey(k.key), k.not_before_ms, k.not_after_ms, k.revoked_at_ms, k.site)
            for k in form.signing_keys
        )
        kem = tuple(
            KemKeyEntry(KemPublicKey(k.key), k.not_before_ms, k.not_after_ms, k.revoked_at_ms) for k in form.kem_keys
        )
    except ValidationError as error:
        raise StatementMalformed(f"not a key statement: {first_fault(error)}") from error
    except KeyMalformed as error:
        raise StatementMalformed(f"not a key statement: {error.message}", **error.details) from error
    except ValueError as error:
        raise StatementMalformed(f"not a key statement: {error}") from error
    every: tuple[SigningKeyEntry | KemKeyEntry, ...] = (*signing, *kem)
    for entry in every:
        if entry.not_before_ms >= entry.not_after_ms:
            raise StatementMalformed("a key that is never valid: not_before is not before not_after")
    # The current KEM key is the last that has begun (directory 4.7): the order must leave no doubt which one that is.
    if any(a.not_before_ms >= b.not_before_ms for a, b in itertools.pairwise(kem)):
        raise StatementMalformed("KEM keys do not stand in the order of their not_before, each later than the last")
    if len({e.key.raw for e in signing}) != len(signing) or len({e.key.raw for e in kem}) != len(kem):
        raise StatementMalformed("one key stands twice")
    return KeyStatement(AgencyId(form.hub), AgencyId(form.agency), form.version, form.issued_at_ms, signing, kem)


def _key_form(entry: SigningKeyEntry | KemKeyEntry) -> dict[str, Any]:
    form: dict[str, Any] = {
        "key": encode_base64(entry.key.raw),
        "not_before_ms": entry.not_before_ms,
        "not_after_ms": entry.not_after_ms,
    }
    if entry.revoked_at_ms is not None:
        form["revoked_at_ms"] = entry.revoked_at_ms
    if isinstance(entry, SigningKeyEntry) and entry.site:
        form["site"] = entry.site
    return form


def encode_statement(statement: KeyStatement) -> bytes:
    """A statement's bytes. Raises :class:`StatementMalformed` for one that a reader would refuse."""
    kem: Sequence[KemKeyEntry] = sorted(statement.kem_keys, key=lambda entry: entry.not_before_ms)
    payload = encode_json(
        {
            "kind": "cgi-hub/v1/key-statement",
            "hub": statement.hub,
            "agency": statement.agency,
            "version": statement.version,
            "issued_at_ms": statement.issued_at_ms,
            "signing_keys": [_key_form(entry) for entry in statement.signing_keys],
            "kem_keys": [_key_form(entry) for entry in kem],
        }
    )
    parse_statement(payload)  # never sign what a reader would refuse
    return payload
