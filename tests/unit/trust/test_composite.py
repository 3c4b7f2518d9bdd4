"""Composite signatures: both halves, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.trust.composite import (
    SIGNATURE_LENGTH,
    KeyMalformed,
    SignatureInvalid,
    SigningKey,
    VerifyKey,
)

KEY = SigningKey(bytes(range(64)))
OTHER = SigningKey(bytes(range(1, 65)))
CONTEXT = b"cgi-hub/v1/test"
MESSAGE = b"a message"
SIGNATURE = KEY.sign(CONTEXT, MESSAGE)
FOREIGN = OTHER.sign(CONTEXT, MESSAGE)
ML, ED = SIGNATURE[:3309], SIGNATURE[3309:]
ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 5.1: L


def _shifted_by_the_order(half: bytes) -> bytes:
    """The Ed25519 half with S + L: the same equation, other bytes (RFC 8032 8.4)."""
    return half[:32] + (int.from_bytes(half[32:], "little") + ORDER).to_bytes(32, "little")


def test_takes_its_own() -> None:
    KEY.public.verify(CONTEXT, MESSAGE, SIGNATURE)
    assert len(SIGNATURE) == SIGNATURE_LENGTH == 3373


def test_two_signatures_differ_and_both_verify() -> None:
    again = KEY.sign(CONTEXT, MESSAGE)
    assert again != SIGNATURE  # hedged ML-DSA (FIPS 204 3.4): why a record's identity is never its signature
    KEY.public.verify(CONTEXT, MESSAGE, again)


@pytest.mark.parametrize(
    "signature",
    {
        "empty": b"",
        "ML-DSA half alone": ML,
        "Ed25519 half alone": ED,
        "Ed25519 half zeroed": ML + bytes(64),
        "ML-DSA half zeroed": bytes(3309) + ED,
        "halves swapped": ED + ML,
        "ML-DSA half of another key": FOREIGN[:3309] + ED,
        "Ed25519 half of another key": ML + FOREIGN[3309:],
        "both of another key": FOREIGN,
        "one byte short": SIGNATURE[:-1],
        "one byte long": SIGNATURE + b"\0",
        "Ed25519 S plus the order": ML + _shifted_by_the_order(ED),
        "Ed25519 twice": ED + ED,
    }.items(),
    ids=lambda pair: pair[0],
)
def test_refuses_signature(signature: tuple[str, bytes]) -> None:
    with pytest.raises(SignatureInvalid):
        KEY.public.verify(CONTEXT, MESSAGE, signature[1])


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (b"cgi-hub/v1/other", MESSAGE),
        (CONTEXT + b"\0", MESSAGE),
        (CONTEXT[:-1], CONTEXT[-1:] + MESSAGE),
        (CONTEXT, MESSAGE + b"\0"),
        (CONTEXT, b""),
    ],
)
def test_refuses_other_context_or_message(context: bytes, message: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        KEY.public.verify(context, message, SIGNATURE)


def test_refuses_every_flipped_bit_of_the_ed25519_half_and_a_stride_of_the_other() -> None:
    bits = [*range(0, 3309 * 8, 97), *range(3309 * 8, SIGNATURE_LENGTH * 8)]
    for bit in bits:
        flipped = bytearray(SIGNATURE)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureInvalid):
            KEY.public.verify(CONTEXT, MESSAGE, bytes(flipped))


@pytest.mark.parametrize("context", [b"", b"x" * 256])
def test_wants_a_context(context: bytes) -> None:
    with pytest.raises(ValueError, match="context"):
        KEY.sign(context, MESSAGE)


@pytest.mark.parametrize(("make", "raw"), [(VerifyKey, KEY.public.raw), (SigningKey, KEY.seed)], ids=["public", "seed"])
def test_refuses_keys_of_another_length(make: Callable[[bytes], object], raw: bytes) -> None:
    make(raw)
    for other in (b"", raw[:-1], raw[1:], raw + b"\0", b"\0" + raw, raw + raw):
        with pytest.raises(KeyMalformed, match=r"not a composite (public|private) key$"):
            make(other)


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def _small_order_ys() -> set[int]:
    """The y of all points with 8P = 0, from the curve's equation: y = 0, +-1, and those with d y^4 + 2 y^2 - 1 = 0."""
    root = pow((1 + D) % P, (P + 3) // 8, P)
    if root * root % P != (1 + D) % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    ys = {0, 1, P - 1}
    for square in ((-1 + root) * pow(D, -1, P) % P, (-1 - root) * pow(D, -1, P) % P):
        y = pow(square, (P + 3) // 8, P)
        for candidate in (y, y * pow(2, (P - 1) // 4, P) % P):
            if candidate * candidate % P == square:
                ys |= {candidate, P - candidate}
    return ys


def test_refuses_ed25519_keys_of_small_order_and_other_spellings() -> None:
    ys = _small_order_ys()
    assert len(ys) == 5
    for y in ys | {P, P + 1, 2**255 - 1}:
        for sign in (0, 1):
            with pytest.raises(KeyMalformed):
                VerifyKey(KEY.public.raw[:1952] + (y | sign << 255).to_bytes(32, "little"))


def test_repr_shows_no_seed() -> None:
    assert KEY.seed.hex()[:16] not in repr(KEY)
    assert KEY.public == VerifyKey(KEY.public.raw)
    assert KEY.public != OTHER.public
    assert hash(KEY.public) == hash(VerifyKey(KEY.public.raw))


class TestHalves:
    """The Ed25519 half may sign elsewhere: the key is the same."""

    def test_the_same_key_in_two_places(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = bytes(range(64))

        class Elsewhere:
            key = Ed25519PrivateKey.from_private_bytes(seed[32:])
            public = key.public_key().public_bytes_raw()

            def sign(self, message: bytes) -> bytes:
                return self.key.sign(message)

        split = SigningKey.of_halves(seed[:32], Elsewhere())
        whole = SigningKey(seed)
        assert split.public == whole.public
        assert split.seed is None
        whole.public.verify(b"context", b"message", split.sign(b"context", b"message"))
        with pytest.raises(KeyMalformed):
            SigningKey.of_halves(seed, Elsewhere())
