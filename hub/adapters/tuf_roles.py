"""A delegated role of the directory as it travels between agencies and custodians: one signed file, one target in it.

An agency signs its key statement (role ``agency.<CODE>``), two parties their agreement (role ``agreement.<slug>``).
What a role may list is said in the directory: one path, so that one role's metadata passes for no other's.
docs/spec/directory.md, sections 4, 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, StrictStr, ValidationError
from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, TargetFile, Targets

from hub.adapters.tuf_keys import CompositeKey, CompositeSigner
from hub.errors import RejectedError
from hub.model import AgencyId
from hub.trust.agreement import AgreementDocument, encode_agreement, parse_agreement
from hub.trust.composite import SigningKey, VerifyKey
from hub.trust.signed_json import Base64, Strict, encode_base64, encode_json, first_fault, read_strict_json
from hub.trust.statement import KeyStatement, encode_statement, parse_statement

MAX_ROLE_FILE: Final = 4 * 1024 * 1024
STATEMENT_LIFETIME: Final = timedelta(days=800)
"""After which a key statement that nobody signed again counts no more."""
_AFTER_AGREEMENT: Final = timedelta(days=30)
"""How long the file of an agreement outlives it, so that its end is the agreement's own."""


class SignedRoleMalformed(RejectedError):
    """Bytes that are not a signed role, or one that lists something else than it should."""

    code = "role.malformed"


class SignedRoleUnsigned(RejectedError):
    """A role that a key which must sign it has not signed."""

    code = "role.unsigned"


@dataclass(frozen=True, slots=True)
class SignedRole:
    """``metadata`` as signed so far, and ``payload``, the bytes of the one target at ``path``."""

    role: str
    metadata: bytes
    payload: bytes

    @property
    def path(self) -> str:
        """Of the target in the repository."""
        return target_path(self.role)

    @property
    def version(self) -> int:
        """Of the metadata, which is the statement's or the agreement's too."""
        return _read(self.metadata).signed.version

    @property
    def key_ids(self) -> tuple[str, ...]:
        """In whose names there are signatures, in hexadecimal; none of them is verified."""
        return tuple(_read(self.metadata).signatures)

    def signed_by(self, keys: Iterable[VerifyKey]) -> tuple[VerifyKey, ...]:
        """Those of ``keys`` whose signature over the metadata verifies."""
        metadata = _read(self.metadata)
        return tuple(key for key in keys if _verifies(metadata, key))


def agency_role(agency: AgencyId) -> str:
    """The role's name."""
    return f"agency.{agency}"


def agreement_role(slug: str) -> str:
    """The role's name."""
    return f"agreement.{slug}"


def target_path(role: str) -> str:
    """The one path that ``role`` may list."""
    kind, _, name = role.partition(".")
    return f"agency/{name}/keys.json" if kind == "agency" else f"agreement/{name}.json"


def sign_agency_role(statement: KeyStatement, identity: SigningKey) -> SignedRole:
    """An agency's key statement, signed by its identity key. Raises ``StatementMalformed``."""
    expires = _time(statement.issued_at_ms) + STATEMENT_LIFETIME
    role = _make(agency_role(statement.agency), encode_statement(statement), statement.version, expires)
    return _add_signature(role, identity)


def sign_agreement_role(
    document: AgreementDocument, identity: SigningKey, *, existing: SignedRole | None = None
) -> SignedRole:
    """One party's signature over an agreement: a new file, or one more signature in ``existing``, which the other
    party sent. Raises :class:`SignedRoleMalformed` where ``existing`` holds another agreement than ``document``."""
    expires = (_time(document.not_after_ms) + _AFTER_AGREEMENT).replace(microsecond=0)
    if existing is None:
        role = _make(agreement_role(document.slug), encode_agreement(document), document.version, expires)
        return _add_signature(role, identity)
    if read_agreement(existing) != document or existing.role != agreement_role(document.slug):
        raise SignedRoleMalformed("the file holds another agreement than the one to sign", agreement=document.slug)
    signed = _read(existing.metadata).signed
    # What is signed is the metadata: nothing may stand there that nobody was shown.
    if signed.expires != expires or signed.unrecognized_fields or signed.targets[existing.path].unrecognized_fields:
        raise SignedRoleMalformed("the file says more than its agreement, or ends otherwise", agreement=document.slug)
    return _add_signature(existing, identity)


def read_statement(role: SignedRole) -> KeyStatement:
    """What an agency's role says; its signature is not verified here (``signed_by``).

    Raises :class:`SignedRoleMalformed`, ``StatementMalformed``.
    """
    check_role(role)
    statement = parse_statement(role.payload)
    if role.role != agency_role(statement.agency) or role.version != statement.version:
        raise SignedRoleMalformed("the role speaks for another agency or version than its statement", role=role.role)
    return statement


def read_agreement(role: SignedRole) -> AgreementDocument:
    """What an agreement's role says; signatures are not verified here. Raises as :func:`read_statement` does."""
    check_role(role)
    document = parse_agreement(role.payload)
    if role.role != agreement_role(document.slug) or role.version != document.version:
        raise SignedRoleMalformed("the role speaks for another agreement or version than its text", role=role.role)
    return document


def check_role(role: SignedRole) -> None:
    """That the metadata lists exactly the payload, at its path, and delegates nothing.

    Raises :class:`SignedRoleMalformed`.
    """
    check_lists(role.role, _read(role.metadata).signed, role.payload)


def check_lists(role: str, signed: Targets, payload: bytes) -> None:
    """:func:`check_role` for metadata that was read already."""
    path = target_path(role)
    found = signed.targets.get(path)
    if len(signed.targets) != 1 or found is None or signed.delegations is not None:
        raise SignedRoleMalformed("the metadata lists something else than its one target", role=role)
    if found.hashes.keys() != {"sha256"}:
        raise SignedRoleMalformed("the target is told by another hash than SHA-256", role=role)
    try:
        found.verify_length_and_hashes(payload)
    except RepositoryError as error:
        raise SignedRoleMalformed("the target is not the one that was signed", role=role) from error


def check_version(role: str, signed: Targets, payload: bytes) -> None:
    """That the statement or the agreement is of the version that its role is.

    Raises :class:`SignedRoleMalformed`, ``StatementMalformed``, ``AgreementMalformed``.
    """
    said = parse_statement(payload) if role.startswith("agency.") else parse_agreement(payload)
    if said.version != signed.version:
        raise SignedRoleMalformed("the target is of another version than its role", role=role)


# --- the file ---------------------------------------------------------------------------------------------------------


class _RoleForm(Strict):
    kind: Literal["cgi-hub/v1/signed-role"]
    role: Annotated[
        StrictStr, Field(pattern=r"^(agency\.[A-Z][A-Z0-9-]{1,31}|agreement\.[A-Za-z0-9][A-Za-z0-9._-]{0,63})$")
    ]
    metadata: Base64
    payload: Base64


def encode_signed_role(role: SignedRole) -> bytes:
    """The bytes of the file that is mailed or carried."""
    return (
        encode_json(
            {
                "kind": "cgi-hub/v1/signed-role",
                "role": role.role,
                "metadata": encode_base64(role.metadata),
                "payload": encode_base64(role.payload),
            }
        )
        + b"\n"
    )


def parse_signed_role(raw: bytes) -> SignedRole:
    """The file's bytes, its form and its target checked, no signature. Raises :class:`SignedRoleMalformed`."""
    try:
        form = _RoleForm.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise SignedRoleMalformed(f"not a signed role: {first_fault(error)}") from error
    except ValueError as error:
        raise SignedRoleMalformed(f"not a signed role: {error}") from error
    role = SignedRole(form.role, form.metadata, form.payload)
    check_role(role)
    return role


# --- metadata ---------------------------------------------------------------------------------------------------------


def _make(role: str, payload: bytes, version: int, expires: datetime) -> SignedRole:
    path = target_path(role)
    targets = Targets(version=version, expires=expires, targets={path: TargetFile.from_data(path, payload, ["sha256"])})
    return SignedRole(role, Metadata(targets).to_bytes(), payload)


def _add_signature(role: SignedRole, key: SigningKey) -> SignedRole:
    metadata = _read(role.metadata)
    metadata.sign(CompositeSigner(key), append=True)
    return SignedRole(role.role, metadata.to_bytes(), role.payload)


def _read(raw: bytes) -> Metadata[Targets]:
    try:
        read_strict_json(raw)  # what readers would refuse (directory 2.3) is not carried to them
        metadata = Metadata[Targets].from_bytes(raw)
    except (RepositoryError, ValueError) as error:
        raise SignedRoleMalformed(f"not the metadata of a role: {error}") from error
    if not isinstance(metadata.signed, Targets):
        raise SignedRoleMalformed("the metadata of another kind of role", found=metadata.signed.type)
    return metadata


def _verifies(metadata: Metadata[Targets], key: VerifyKey) -> bool:
    signature = metadata.signatures.get(key.key_id.hex())
    if signature is None:
        return False
    try:
        CompositeKey(key).verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError:
        return False
    return True


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
