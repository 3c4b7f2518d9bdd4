"""Composite signatures: ML-DSA-65 AND Ed25519 (LAMPS composite signatures draft, id-MLDSA65-Ed25519-SHA512).

Both halves must verify. Keys and signatures are raw concatenations, ML-DSA first: public key 1952 + 32 bytes, private
seeds 32 + 32, signature 3309 + 64. The component keys are used nowhere else. docs/spec 4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from hub.errors import RejectedError

_PREFIX: Final = b"CompositeAlgorithmSignatures2025"
_LABEL: Final = b"COMPSIG-MLDSA65-Ed25519-SHA512"

_MLDSA_PUBLIC: Final = 1952
_MLDSA_SIGNATURE: Final = 3309
PUBLIC_LENGTH: Final = _MLDSA_PUBLIC + 32
SIGNATURE_LENGTH: Final = _MLDSA_SIGNATURE + 64
SEED_LENGTH: Final = 64
MLDSA_SEED_LENGTH: Final = 32

_FIELD: Final = 2**255 - 19
# y of the eight points of small order (RFC 8032 5.1): under such a key anyone can make the Ed25519 half
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


def key_halves(raw: bytes) -> tuple[bytes, bytes]:
    """The post-quantum and the classical half of a raw public key, composite or KEM: each has one holder too (directory
    1.3)."""
    return raw[:-32], raw[-32:]


class SignatureInvalid(RejectedError):
    """One half of a composite signature, or both, do not verify."""

    code = "signature.invalid"


class KeyMalformed(RejectedError):
    """Bytes that are not a key of the kind that is wanted."""

    code = "key.malformed"


def _to_sign(context: bytes, message: bytes) -> bytes:
    if not 0 < len(context) <= 255:
        raise ValueError("a context of 1 to 255 bytes is wanted")
    return _PREFIX + _LABEL + bytes([len(context)]) + context + hashlib.sha512(message).digest()


class VerifyKey:
    """A composite public key. ``key_id`` is SHA-256 over a label and the raw key: 32 bytes.

    Raises :class:`KeyMalformed`: another length, or an Ed25519 half of small order or not canonical.
    """

    __slots__ = ("_ed25519", "_mldsa", "key_id", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PUBLIC_LENGTH:
            raise KeyMalformed("not a composite public key", length=len(raw), wanted=PUBLIC_LENGTH)
        y = int.from_bytes(raw[_MLDSA_PUBLIC:], "little") & (2**255 - 1)
        if y >= _FIELD or y in _SMALL_ORDER:
            raise KeyMalformed("not a composite public key: the Ed25519 half is of small order or not canonical")
        self.raw = raw
        self._mldsa = MLDSA65PublicKey.from_public_bytes(raw[:_MLDSA_PUBLIC])
        self._ed25519 = Ed25519PublicKey.from_public_bytes(raw[_MLDSA_PUBLIC:])
        self.key_id: bytes = hashlib.sha256(b"cgi-hub/v1/signing-key-id\0" + raw).digest()

    def verify(self, context: bytes, message: bytes, signature: bytes) -> None:
        """Raises :class:`SignatureInvalid` unless both halves verify under ``context``."""
        if len(signature) != SIGNATURE_LENGTH:
            raise SignatureInvalid("not a composite signature", length=len(signature), wanted=SIGNATURE_LENGTH)
        signed = _to_sign(context, message)
        try:
            self._ed25519.verify(signature[_MLDSA_SIGNATURE:], signed)
            self._mldsa.verify(signature[:_MLDSA_SIGNATURE], signed, _LABEL)
        except InvalidSignature as error:
            raise SignatureInvalid("the composite signature does not verify") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)


class Ed25519Signer(Protocol):
    """The Ed25519 half of a private key that is somewhere else: in a token (hub/adapters/token.py)."""

    @property
    def public(self) -> bytes:
        """The public half's 32 bytes."""

    def sign(self, message: bytes, /) -> bytes:
        """64 bytes, verified against :attr:`public`. Raises ``UnavailableError``, ``ConfigError``."""


class SigningKey:
    """A composite private key, from two seeds. ``seed`` is None where a half of it is in a token."""

    __slots__ = ("_mldsa", "_sign_ed25519", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_LENGTH:
            raise KeyMalformed("not a composite private key", length=len(seed), wanted=SEED_LENGTH)
        ed25519 = Ed25519PrivateKey.from_private_bytes(seed[MLDSA_SEED_LENGTH:])
        self.seed: bytes | None = seed
        self._mldsa = MLDSA65PrivateKey.from_seed_bytes(seed[:MLDSA_SEED_LENGTH])
        self._sign_ed25519: Callable[[bytes], bytes] = ed25519.sign
        self.public = VerifyKey(self._mldsa.public_key().public_bytes_raw() + ed25519.public_key().public_bytes_raw())

    @classmethod
    def of_halves(cls, mldsa_seed: bytes, ed25519: Ed25519Signer) -> SigningKey:
        """The key whose ML-DSA half is here, and whose Ed25519 half signs elsewhere. Raises :class:`KeyMalformed`."""
        if len(mldsa_seed) != MLDSA_SEED_LENGTH:
            raise KeyMalformed("not an ML-DSA private key", length=len(mldsa_seed), wanted=MLDSA_SEED_LENGTH)
        key = cls.__new__(cls)
        key.seed = None
        key._mldsa = MLDSA65PrivateKey.from_seed_bytes(mldsa_seed)
        key._sign_ed25519 = ed25519.sign
        key.public = VerifyKey(key._mldsa.public_key().public_bytes_raw() + ed25519.public)
        return key

    def sign(self, context: bytes, message: bytes) -> bytes:
        """3373 bytes over ``message``. ``context`` names the kind of thing that is signed: one for each.

        Raises what the token raises, where a half is in one.
        """
        signed = _to_sign(context, message)
        return self._mldsa.sign(signed, _LABEL) + self._sign_ed25519(signed)

    def __repr__(self) -> str:
        return f"SigningKey(key_id={self.public.key_id.hex()[:16]})"
