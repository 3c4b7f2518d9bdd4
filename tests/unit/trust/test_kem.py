"""HPKE wraps: they open with the key and the info that they were made for, whole, or not at all."""

from __future__ import annotations

import pytest

from hub.trust.composite import KeyMalformed
from hub.trust.kem import OVERHEAD, PUBLIC_LENGTH, SEED_LENGTH, KemPrivateKey, KemPublicKey, WrapUnopenable

KEY = KemPrivateKey(bytes(range(32)))
OTHER = KemPrivateKey(bytes(range(1, 33)))
INFO = b"cgi-hub/v1/test"
DEKS = bytes(range(64))
WRAP = KEY.public.seal(INFO, DEKS)


def test_opens_its_own() -> None:
    assert KEY.open(INFO, WRAP) == DEKS
    assert len(WRAP) == OVERHEAD + len(DEKS)
    assert KEY.public.seal(INFO, DEKS) != WRAP


def test_refuses_another_key_and_another_info() -> None:
    for key, info in ((OTHER, INFO), (KEY, INFO + b"\0"), (KEY, b"")):
        with pytest.raises(WrapUnopenable):
            key.open(info, WRAP)


@pytest.mark.parametrize("length", [0, 1, 31, 1087, 1088, 1119, 1120, 1135, 1136, len(WRAP) - 1, len(WRAP) + 1])
def test_refuses_other_lengths(length: int) -> None:
    with pytest.raises(WrapUnopenable):
        KEY.open(INFO, WRAP[:length].ljust(length, b"\0"))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32])
def test_refuses_small_order_points_in_a_wrap(point: bytes) -> None:
    with pytest.raises(WrapUnopenable):
        KEY.open(INFO, WRAP[:1088] + point + WRAP[1120:])


def test_refuses_every_flipped_bit() -> None:
    """The X25519 point's top bit among them: RFC 7748 5 ignores it, but X-Wing hashes the point's bytes."""
    for bit in range(len(WRAP) * 8):
        flipped = bytearray(WRAP)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrapUnopenable):
            KEY.open(INFO, bytes(flipped))


@pytest.mark.parametrize(
    "raw",
    {
        "short": KEY.public.raw[:-1],
        "long": KEY.public.raw + b"\0",
        "empty": b"",
        "ML-KEM half out of range": b"\xff" * 1184 + KEY.public.raw[1184:],
        "X25519 half zero": KEY.public.raw[:1184] + bytes(32),
        "X25519 half of order 4": KEY.public.raw[:1184] + b"\x01" + bytes(31),
        "halves swapped": KEY.public.raw[1184:] + KEY.public.raw[:1184],
    }.items(),
    ids=lambda pair: pair[0],
)
def test_refuses_public_key(raw: tuple[str, bytes]) -> None:
    with pytest.raises(KeyMalformed):
        KemPublicKey(raw[1])


@pytest.mark.parametrize("length", [0, SEED_LENGTH - 1, SEED_LENGTH + 1, 64])
def test_refuses_seeds_of_another_length(length: int) -> None:
    with pytest.raises(KeyMalformed):
        KemPrivateKey(bytes(length))


def test_ids_tell_keys_apart_and_repr_shows_no_seed() -> None:
    assert KEY.public.kem_id == KemPublicKey(KEY.public.raw).kem_id != OTHER.public.kem_id
    assert len(KEY.public.raw) == PUBLIC_LENGTH
    assert KEY.seed.hex()[:16] not in repr(KEY)
