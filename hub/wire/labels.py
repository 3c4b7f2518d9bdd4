"""Length-prefixed joining, and the label of everything that is hashed, bound or signed (docs/spec 1.2, 1.3, 1.5)."""

from __future__ import annotations

import hashlib
from typing import Final

COMMITMENT: Final = b"cgi-hub/v1/commitment"
LANE: Final = b"cgi-hub/v1/lane"
NONCE: Final = b"cgi-hub/v1/nonce"
AAD: Final = b"cgi-hub/v1/aad"
CIPHERTEXT: Final = b"cgi-hub/v1/ciphertext"
WRAP: Final = b"cgi-hub/v1/wrap"
HEAD: Final = b"cgi-hub/v1/head"
FLUSH: Final = b"cgi-hub/v1/flush"


def lp(*items: bytes) -> bytes:
    """Each item with its length, u32 big-endian, before it (spec 1.2)."""
    return b"".join([len(item).to_bytes(4, "big") + item for item in items])


def labelled_hash(label: bytes, *items: bytes) -> bytes:
    """``H(label, items...)``: SHA-256 over ``lp(label, items...)``, 32 bytes (spec 1.3)."""
    return hashlib.sha256(lp(label, *items)).digest()
