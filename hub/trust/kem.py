"""HPKE single shot (RFC 9180 6.1) with MLKEM768-X25519 (X-Wing, 0x647A), HKDF-SHA256 and ChaCha20-Poly1305.

Public keys are ML-KEM first: 1184 + 32 bytes. The private key is a 32-byte seed, expanded by SHAKE256 to 64 + 32 bytes
(X-Wing draft, 5.2). The library has no public ``aad``, so everything is bound in ``info``. docs/spec 4.3, 6.6.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from hub.errors import RejectedError
from hub.trust.composite import KeyMalformed

_MLKEM_PUBLIC: Final = 1184
PUBLIC_LENGTH: Final = _MLKEM_PUBLIC + 32
SEED_LENGTH: Final = 32
OVERHEAD: Final = 1120 + 16
"""Bytes that a wrap is longer than what it wraps: ``enc`` and the tag."""

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)

_PROBE: Final = X25519PrivateKey.from_private_bytes(b"\x01" * 32)


class WrapUnopenable(RejectedError):
    """The wrap does not open with this key under this ``info``."""

    code = "wrap.unopenable"


class KemPublicKey:
    """A recipient's public key. ``kem_id`` is SHA-256 over a label and the raw key: 32 bytes.

    Raises :class:`KeyMalformed`: another length, or a half out of range or of small order.
    """

    __slots__ = ("_key", "kem_id", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PUBLIC_LENGTH:
            raise KeyMalformed("not an X-Wing public key", length=len(raw), wanted=PUBLIC_LENGTH)
        self.raw = raw
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC])
        except ValueError as error:
            raise KeyMalformed("not an X-Wing public key: the ML-KEM half is out of range") from error
        x25519 = X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC:])
        try:  # RFC 7748 6.1: a point of small order. Found here, it costs its agency a key; in seal(), everyone's flush
            _PROBE.exchange(x25519)
        except ValueError as error:
            raise KeyMalformed("not an X-Wing public key: the X25519 half is of small order") from error
        self._key = MLKEM768X25519PublicKey(mlkem, x25519)
        self.kem_id: bytes = hashlib.sha256(b"cgi-hub/v1/kem-key-id\0" + raw).digest()

    def seal(self, info: bytes, plaintext: bytes) -> bytes:
        """``enc || ciphertext || tag``, fresh each time."""
        return _SUITE.encrypt(plaintext, self._key, info)


class KemPrivateKey:
    """A recipient's private key, from a 32-byte seed."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_LENGTH:
            raise KeyMalformed("not an X-Wing private key", length=len(seed), wanted=SEED_LENGTH)
        self.seed = seed
        expanded = hashlib.shake_256(seed).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = KemPublicKey(mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def open(self, info: bytes, wrap: bytes) -> bytes:
        """What was wrapped. Raises :class:`WrapUnopenable`."""
        try:
            return _SUITE.decrypt(wrap, self._key, info)
        except InvalidTag as error:
            raise WrapUnopenable("the wrap does not open with this key") from error

    def __repr__(self) -> str:
        return f"KemPrivateKey(kem_id={self.public.kem_id.hex()[:16]})"
