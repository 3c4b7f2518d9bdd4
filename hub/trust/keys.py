"""Key files as bytes: private keys (a seed with its use) and public keys. Reading the disk is hub/adapters/files.py.

A key file says what its key is for, and is taken for nothing else: a custodian's key never signs a flush, an identity
key never opens a wrap. docs/spec/directory.md, section 7.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, StrictStr, ValidationError

from hub.errors import ConfigError
from hub.trust import composite, kem
from hub.trust.composite import KeyMalformed, SigningKey, VerifyKey
from hub.trust.kem import KemPrivateKey, KemPublicKey
from hub.trust.signed_json import Base64, Strict, encode_base64, encode_json, first_fault, read_strict_json


class KeyFileInvalid(ConfigError):
    """Not a key file, damaged, or a key for another use."""

    code = "key_file.invalid"


class KeyUse(str, Enum):
    """What a key is for. All but ``KEM`` are composite signing keys."""

    CUSTODIAN = "custodian"
    IDENTITY = "identity"
    SIGNING = "signing"
    KEM = "kem"


class _PrivateForm(Strict):
    kind: Literal["cgi-hub/v1/private-key"]
    use: KeyUse
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    seed: Base64


class _PublicForm(Strict):
    kind: Literal["cgi-hub/v1/public-key"]
    use: KeyUse
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    key: Base64


def generate_seed(use: KeyUse) -> bytes:
    """A fresh private key, from the operating system's randomness."""
    return os.urandom(kem.SEED_LENGTH if use is KeyUse.KEM else composite.SEED_LENGTH)


def encode_private_key(use: KeyUse, seed: bytes) -> bytes:
    """The bytes of a private key's file. Whoever writes them must see to it that nobody else can read them."""
    key_id = KemPrivateKey(seed).public.kem_id if use is KeyUse.KEM else SigningKey(seed).public.key_id
    return (
        encode_json(
            {
                "kind": "cgi-hub/v1/private-key",
                "use": use.value,
                "key_id": key_id.hex(),
                "seed": encode_base64(seed),
            }
        )
        + b"\n"
    )


def encode_public_key(use: KeyUse, key: VerifyKey | KemPublicKey) -> bytes:
    """The bytes of a public key's file."""
    key_id = key.kem_id if isinstance(key, KemPublicKey) else key.key_id
    return (
        encode_json(
            {
                "kind": "cgi-hub/v1/public-key",
                "use": use.value,
                "key_id": key_id.hex(),
                "key": encode_base64(key.raw),
            }
        )
        + b"\n"
    )


def parse_signing_key(raw: bytes, use: KeyUse) -> SigningKey:
    """The composite private key in a key file's bytes, for ``use``. Raises :class:`KeyFileInvalid`."""
    form = _private(raw, use)
    try:
        key = SigningKey(form.seed)
    except KeyMalformed as error:
        raise KeyFileInvalid(error.message) from error
    _check_id(form.key_id, key.public.key_id)
    return key


def parse_kem_key(raw: bytes) -> KemPrivateKey:
    """The KEM private key in a key file's bytes. Raises :class:`KeyFileInvalid`."""
    form = _private(raw, KeyUse.KEM)
    try:
        key = KemPrivateKey(form.seed)
    except KeyMalformed as error:
        raise KeyFileInvalid(error.message) from error
    _check_id(form.key_id, key.public.kem_id)
    return key


def parse_verify_key(raw: bytes, use: KeyUse) -> VerifyKey:
    """The composite public key in a public key's file, for ``use``. Raises :class:`KeyFileInvalid`."""
    form = _public(raw, use)
    try:
        key = VerifyKey(form.key)
    except KeyMalformed as error:
        raise KeyFileInvalid(error.message) from error
    _check_id(form.key_id, key.key_id)
    return key


def parse_kem_public_key(raw: bytes) -> KemPublicKey:
    """The KEM public key in a public key's file. Raises :class:`KeyFileInvalid`."""
    form = _public(raw, KeyUse.KEM)
    try:
        key = KemPublicKey(form.key)
    except KeyMalformed as error:
        raise KeyFileInvalid(error.message) from error
    _check_id(form.key_id, key.kem_id)
    return key


def describe_key(raw: bytes) -> tuple[KeyUse, str, bool]:
    """Use, key id and whether it is private, of any key file, after checking that the file is whole.

    Raises :class:`KeyFileInvalid`.
    """
    try:
        private = read_strict_json(raw).get("kind") == "cgi-hub/v1/private-key"
    except ValueError as error:
        raise KeyFileInvalid(f"not a key file: {error}") from error
    form = _private(raw, None) if private else _public(raw, None)
    if form.use is KeyUse.KEM:
        key_id = (parse_kem_key(raw).public if private else parse_kem_public_key(raw)).kem_id
    else:
        key_id = (parse_signing_key(raw, form.use).public if private else parse_verify_key(raw, form.use)).key_id
    return form.use, key_id.hex(), private


def _private(raw: bytes, use: KeyUse | None) -> _PrivateForm:
    try:
        form = _PrivateForm.model_validate(read_strict_json(raw))
    except ValidationError as error:
        # Not `from error`: pydantic's error holds the input, and the input is a key.
        raise KeyFileInvalid(f"not a private key file: {first_fault(error)}") from None
    except ValueError as error:
        raise KeyFileInvalid(f"not a private key file: {error}") from None
    _check_use(form.use, use)
    return form


def _public(raw: bytes, use: KeyUse | None) -> _PublicForm:
    try:
        form = _PublicForm.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise KeyFileInvalid(f"not a public key file: {first_fault(error)}") from error
    except ValueError as error:
        raise KeyFileInvalid(f"not a public key file: {error}") from error
    _check_use(form.use, use)
    return form


def _check_use(found: KeyUse, wanted: KeyUse | None) -> None:
    if wanted is not None and found is not wanted:
        raise KeyFileInvalid(f"the key is for {found.value!r}, not for {wanted.value!r}: keys have one use each")


def _check_id(told: str, found: bytes) -> None:
    if told != found.hex():
        raise KeyFileInvalid("the key file is damaged: its key_id is not its key's")
