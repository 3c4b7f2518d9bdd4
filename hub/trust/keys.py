"""Key files as bytes: private keys (a seed with its use) and public keys. Reading the disk is hub/adapters/files.py.

A key file says what its key is for, and is taken for nothing else: a custodian's key never signs a flush, an identity
key never opens a wrap. docs/spec/directory.md, section 7.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Literal, TypeVar

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


class _KeyForm(Strict):
    use: KeyUse
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


class _PrivateForm(_KeyForm):
    kind: Literal["cgi-hub/v1/private-key"]
    seed: Base64


class _PublicForm(_KeyForm):
    kind: Literal["cgi-hub/v1/public-key"]
    key: Base64


F = TypeVar("F", bound=_KeyForm)
K = TypeVar("K", SigningKey, KemPrivateKey, VerifyKey, KemPublicKey)


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
    form = _parse_form(_PrivateForm, raw, use)
    return _parse_key(SigningKey, form.seed, form.key_id, lambda key: key.public.key_id)


def parse_kem_key(raw: bytes) -> KemPrivateKey:
    """The KEM private key in a key file's bytes. Raises :class:`KeyFileInvalid`."""
    form = _parse_form(_PrivateForm, raw, KeyUse.KEM)
    return _parse_key(KemPrivateKey, form.seed, form.key_id, lambda key: key.public.kem_id)


def parse_verify_key(raw: bytes, use: KeyUse) -> VerifyKey:
    """The composite public key in a public key's file, for ``use``. Raises :class:`KeyFileInvalid`."""
    form = _parse_form(_PublicForm, raw, use)
    return _parse_key(VerifyKey, form.key, form.key_id, lambda key: key.key_id)


def parse_kem_public_key(raw: bytes) -> KemPublicKey:
    """The KEM public key in a public key's file. Raises :class:`KeyFileInvalid`."""
    form = _parse_form(_PublicForm, raw, KeyUse.KEM)
    return _parse_key(KemPublicKey, form.key, form.key_id, lambda key: key.kem_id)


def describe_key(raw: bytes) -> tuple[KeyUse, str, bool]:
    """Use, key id and whether it is private, of any key file, after checking that the file is whole.

    Raises :class:`KeyFileInvalid`.
    """
    try:
        private = read_strict_json(raw).get("kind") == "cgi-hub/v1/private-key"
    except ValueError as error:
        raise KeyFileInvalid(f"not a key file: {error}") from error
    form: _KeyForm = _parse_form(_PrivateForm, raw, None) if private else _parse_form(_PublicForm, raw, None)
    use = form.use
    if use is KeyUse.KEM:
        key_id = (parse_kem_key(raw).public if private else parse_kem_public_key(raw)).kem_id
    else:
        key_id = (parse_signing_key(raw, use).public if private else parse_verify_key(raw, use)).key_id
    return use, key_id.hex(), private


def _parse_form(form: type[F], raw: bytes, wanted: KeyUse | None) -> F:
    what = "private" if form is _PrivateForm else "public"
    try:
        found = form.model_validate(read_strict_json(raw))
    except ValidationError as error:
        # Not `from error`: pydantic's error holds the input, and the input may be a key.
        raise KeyFileInvalid(f"not a {what} key file: {first_fault(error)}") from None
    except ValueError as error:
        raise KeyFileInvalid(f"not a {what} key file: {error}") from None
    if wanted is not None and found.use is not wanted:
        raise KeyFileInvalid(f"the key is for {found.use.value!r}, not for {wanted.value!r}: keys have one use each")
    return found


def _parse_key(make: Callable[[bytes], K], raw: bytes, told: str, key_id: Callable[[K], bytes]) -> K:
    try:
        key = make(raw)
    except KeyMalformed as error:
        raise KeyFileInvalid(error.message) from error
    if told != key_id(key).hex():
        raise KeyFileInvalid("the key file is damaged: its key_id is not its key's")
    return key
