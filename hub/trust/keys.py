"""Key files as bytes: private keys (a seed with its use), encrypted or not, and public keys.

A key file says what its key is for, and is taken for nothing else: a custodian's key never signs a flush, an identity
key never opens a wrap. Of a composite key the Ed25519 half may be in a token: its file then holds the other half.
Reading the disk is hub/adapters/key_files.py. docs/spec/directory.md, section 11.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.errors import ConfigError, InvariantError
from hub.trust import composite, kem
from hub.trust.composite import Ed25519Signer, KeyMalformed, SigningKey, VerifyKey
from hub.trust.kem import KemPrivateKey, KemPublicKey
from hub.trust.passphrase import NONCE_LENGTH, Cost, Derivation, FileKey, Passphrase, PassphraseNeeded
from hub.trust.signed_json import Base64, Strict, encode_base64, encode_json, first_fault, read_strict_json


class KeyFileInvalid(ConfigError):
    """Not a key file, damaged, or a key for another use."""

    code = "key_file.invalid"


class TokenNeeded(ConfigError):
    """A half of the key is in a PKCS #11 token, and nothing says how it is reached."""

    code = "token.needed"


class KeyUse(str, Enum):
    """What a key is for. All but ``KEM`` are composite signing keys."""

    CUSTODIAN = "custodian"
    IDENTITY = "identity"
    SIGNING = "signing"
    KEM = "kem"
    ONLINE = "online"


PUBLIC_KIND: Final = "cgi-hub/v1/public-key"
PRIVATE_KIND: Final = "cgi-hub/v1/private-key"
ENCRYPTED_KIND: Final = "cgi-hub/v1/encrypted-private-key"


@dataclass(frozen=True, slots=True)
class TokenHalf:
    """Where the Ed25519 half of a key is: ``uri`` (RFC 7512) names token and object, ``public`` is its public key.

    The library that speaks to the token is no part of it: a key file must not say what code is loaded.
    """

    uri: str
    public: bytes


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What a key file says of itself. ``key_id`` was checked against the key, but for an encrypted one."""

    use: KeyUse
    key_id: str
    private: bool
    encrypted: bool = False
    token: TokenHalf | None = None


PassphraseSource = Callable[[], Passphrase]
"""Gives the passphrase when a file needs it. Raises ``ConfigError``. Gives the same object each time: it remembers what
was derived."""
OpenToken = Callable[[TokenHalf], Ed25519Signer]
"""Opens the half in a token. Raises ``ConfigError``, ``UnavailableError``."""


class _KeyForm(Strict):
    use: KeyUse
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


class _PrivateForm(_KeyForm):
    kind: Literal["cgi-hub/v1/private-key"]
    seed: Base64


class _DerivationForm(Strict):
    name: Literal["argon2id"]
    salt: Base64
    memory_kib: StrictInt
    iterations: StrictInt
    lanes: StrictInt
    check: Base64


class _TokenForm(Strict):
    uri: Annotated[StrictStr, Field(pattern=r"^pkcs11:[\x21-\x7e]{1,500}$")]
    ed25519: Base64


class _EncryptedForm(_KeyForm):
    kind: Literal["cgi-hub/v1/encrypted-private-key"]
    kdf: _DerivationForm
    nonce: Base64
    token: _TokenForm | None = None
    sealed: Base64


class _PublicForm(_KeyForm):
    kind: Literal["cgi-hub/v1/public-key"]
    key: Base64


F = TypeVar("F", bound=_KeyForm)
K = TypeVar("K", SigningKey, KemPrivateKey, VerifyKey, KemPublicKey)


def generate_seed(use: KeyUse) -> bytes:
    """A fresh private key, from the operating system's randomness."""
    return os.urandom(kem.SEED_LENGTH if use is KeyUse.KEM else composite.SEED_LENGTH)


def encode_private_key(use: KeyUse, seed: bytes, file_key: FileKey | None = None) -> bytes:
    """The bytes of a private key's file, encrypted with ``file_key``.

    Without one, whoever writes them must see to it that nobody else can read them.
    """
    key_id = KemPrivateKey(seed).public.kem_id if use is KeyUse.KEM else SigningKey(seed).public.key_id
    if file_key is not None:
        return _encode_encrypted(use, key_id, seed, file_key, None)
    return (
        encode_json({"kind": PRIVATE_KIND, "use": use.value, "key_id": key_id.hex(), "seed": encode_base64(seed)})
        + b"\n"
    )


def encode_token_key(use: KeyUse, mldsa_seed: bytes, half: TokenHalf, file_key: FileKey) -> bytes:
    """The bytes of the file of a composite key whose Ed25519 half is in a token: the ML-DSA half, always encrypted."""
    if use is KeyUse.KEM:
        raise ValueError("a KEM key has no half that a token could hold")
    return _encode_encrypted(
        use, SigningKey.of_halves(mldsa_seed, _Absent(half)).public.key_id, mldsa_seed, file_key, half
    )


def _encode_encrypted(use: KeyUse, key_id: bytes, seed: bytes, file_key: FileKey, half: TokenHalf | None) -> bytes:
    derivation, nonce = file_key.derivation, os.urandom(NONCE_LENGTH)
    header = _header(use, key_id.hex(), derivation, nonce, half)
    sealed = file_key.encrypt(seed, header=encode_json(header), nonce=nonce)
    return encode_json({**header, "sealed": encode_base64(sealed)}) + b"\n"


def _header(use: KeyUse, key_id: str, derivation: Derivation, nonce: bytes, half: TokenHalf | None) -> dict[str, Any]:
    """All of an encrypted key file but ``sealed``: what the encryption is bound to."""
    header: dict[str, Any] = {
        "kind": ENCRYPTED_KIND,
        "use": use.value,
        "key_id": key_id,
        "kdf": _derivation_members(derivation),
        "nonce": encode_base64(nonce),
    }
    if half is not None:
        header["token"] = {"uri": half.uri, "ed25519": encode_base64(half.public)}
    return header


def encode_public_key(use: KeyUse, key: VerifyKey | KemPublicKey) -> bytes:
    """The bytes of a public key's file."""
    key_id = key.kem_id if isinstance(key, KemPublicKey) else key.key_id
    return (
        encode_json({"kind": PUBLIC_KIND, "use": use.value, "key_id": key_id.hex(), "key": encode_base64(key.raw)})
        + b"\n"
    )


def parse_signing_key(
    raw: bytes, use: KeyUse, passphrase: PassphraseSource | None = None, token: OpenToken | None = None
) -> SigningKey:
    """The composite private key in a key file's bytes, for ``use``.

    ``passphrase`` is asked only for an encrypted file, ``token`` only for a key with a half in one. Raises
    :class:`KeyFileInvalid`, ``PassphraseNeeded``, ``PassphraseWrong``, ``DerivationRefused``, :class:`TokenNeeded`, and
    what the two raise.
    """
    form = _parse_private(raw, use)
    seed = _open_seed(form, passphrase)
    if isinstance(form, _PrivateForm) or form.token is None:
        return _parse_key(SigningKey, seed, form.key_id, lambda key: key.public.key_id)
    half = TokenHalf(form.token.uri, form.token.ed25519)
    # First with the public half alone: a damaged file must not ask the token for a PIN.
    _parse_key(lambda raw: SigningKey.of_halves(raw, _Absent(half)), seed, form.key_id, lambda key: key.public.key_id)
    if token is None:
        raise TokenNeeded("a half of this key is in a token, and nothing says how it is reached", token=half.uri)
    return SigningKey.of_halves(seed, token(half))


def parse_kem_key(raw: bytes, passphrase: PassphraseSource | None = None) -> KemPrivateKey:
    """The KEM private key in a key file's bytes. Raises as :func:`parse_signing_key` does."""
    form = _parse_private(raw, KeyUse.KEM)
    return _parse_key(KemPrivateKey, _open_seed(form, passphrase), form.key_id, lambda key: key.public.kem_id)


def reencode_private_key(raw: bytes, passphrase: PassphraseSource | None, file_key: FileKey) -> bytes:
    """A private key's file encrypted anew with ``file_key``. Raises as :func:`parse_signing_key` does."""
    form = _parse_private(raw, None)
    half = None
    if isinstance(form, _EncryptedForm) and form.token is not None:
        half = TokenHalf(form.token.uri, form.token.ed25519)
    return _encode_encrypted(form.use, bytes.fromhex(form.key_id), _open_seed(form, passphrase), file_key, half)


def encode_derivation(derivation: Derivation) -> bytes:
    """A derivation by itself, as one line of JSON: for files that have a form of their own."""
    return encode_json(_derivation_members(derivation))


def parse_derivation(raw: bytes) -> Derivation:
    """What :func:`encode_derivation` gave. Raises :class:`KeyFileInvalid`, ``DerivationRefused``."""
    try:
        return _derivation_of(_DerivationForm.model_validate(read_strict_json(raw)))
    except ValidationError as error:
        raise KeyFileInvalid(f"not a derivation: {first_fault(error)}") from None
    except ValueError as error:
        raise KeyFileInvalid(f"not a derivation: {error}") from None


def _derivation_members(derivation: Derivation) -> dict[str, Any]:
    return {
        "name": "argon2id",
        "salt": encode_base64(derivation.salt),
        "memory_kib": derivation.cost.memory_kib,
        "iterations": derivation.cost.iterations,
        "lanes": derivation.cost.lanes,
        "check": encode_base64(derivation.check),
    }


def _derivation_of(kdf: _DerivationForm) -> Derivation:
    return Derivation(kdf.salt, Cost(kdf.memory_kib, kdf.iterations, kdf.lanes), kdf.check)


def read_derivation(raw: bytes) -> Derivation | None:
    """How the key of an encrypted key file is derived; None for any other key file.

    Raises :class:`KeyFileInvalid`, ``DerivationRefused``.
    """
    if _read_kind(raw) != ENCRYPTED_KIND:
        return None
    return _derivation(_parse_form(_EncryptedForm, raw, None))


def parse_verify_key(raw: bytes, use: KeyUse) -> VerifyKey:
    """The composite public key in a public key's file, for ``use``. Raises :class:`KeyFileInvalid`."""
    form = _parse_form(_PublicForm, raw, use)
    return _parse_key(VerifyKey, form.key, form.key_id, lambda key: key.key_id)


def parse_kem_public_key(raw: bytes) -> KemPublicKey:
    """The KEM public key in a public key's file. Raises :class:`KeyFileInvalid`."""
    form = _parse_form(_PublicForm, raw, KeyUse.KEM)
    return _parse_key(KemPublicKey, form.key, form.key_id, lambda key: key.kem_id)


def describe_key(raw: bytes) -> KeyDescription:
    """What any key file says it is, after checking that it is whole: of an encrypted one as far as its header goes.

    Raises :class:`KeyFileInvalid`, ``DerivationRefused``.
    """
    kind = _read_kind(raw)
    if kind == ENCRYPTED_KIND:
        form = _parse_form(_EncryptedForm, raw, None)
        _derivation(form)
        half = None if form.token is None else TokenHalf(form.token.uri, form.token.ed25519)
        return KeyDescription(form.use, form.key_id, private=True, encrypted=True, token=half)
    private = kind == PRIVATE_KIND
    use = (_parse_form(_PrivateForm, raw, None) if private else _parse_form(_PublicForm, raw, None)).use
    if use is KeyUse.KEM:
        key_id = (parse_kem_key(raw).public if private else parse_kem_public_key(raw)).kem_id
    else:
        key_id = (parse_signing_key(raw, use).public if private else parse_verify_key(raw, use)).key_id
    return KeyDescription(use, key_id.hex(), private)


def _read_kind(raw: bytes) -> object:
    try:
        return read_strict_json(raw).get("kind")
    except ValueError as error:
        raise KeyFileInvalid(f"not a key file: {error}") from None


def _parse_private(raw: bytes, wanted: KeyUse | None) -> _PrivateForm | _EncryptedForm:
    if _read_kind(raw) == ENCRYPTED_KIND:
        return _parse_form(_EncryptedForm, raw, wanted)
    return _parse_form(_PrivateForm, raw, wanted)


def _derivation(form: _EncryptedForm) -> Derivation:
    if len(form.nonce) != NONCE_LENGTH:
        raise KeyFileInvalid(f"a nonce of {NONCE_LENGTH} bytes is wanted")
    if form.token is not None and form.use is KeyUse.KEM:
        raise KeyFileInvalid("a KEM key has no half in a token")
    return _derivation_of(form.kdf)


def _open_seed(form: _PrivateForm | _EncryptedForm, passphrase: PassphraseSource | None) -> bytes:
    if isinstance(form, _PrivateForm):
        return form.seed
    derivation = _derivation(form)  # its limits, before anybody is asked for a passphrase
    if passphrase is None:
        raise PassphraseNeeded("the key file is encrypted, and nothing says where its passphrase is")
    half = None if form.token is None else TokenHalf(form.token.uri, form.token.ed25519)
    header = encode_json(_header(form.use, form.key_id, derivation, form.nonce, half))
    try:
        return passphrase().key(derivation).decrypt(form.sealed, header=header, nonce=form.nonce)
    except ValueError:
        raise KeyFileInvalid("the key file is damaged: the passphrase is right, and it does not decrypt") from None


class _Absent:
    """The half in a token, while only its public key is needed."""

    def __init__(self, half: TokenHalf) -> None:
        self.public = half.public

    def sign(self, message: bytes) -> bytes:
        raise InvariantError("a key whose token was not opened signs nothing")


def _parse_form(form: type[F], raw: bytes, wanted: KeyUse | None) -> F:
    what = "public" if form is _PublicForm else "private"
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
