"""A passphrase, and the key that Argon2id (RFC 9106) makes of it: what private key files are encrypted with.

Deriving is slow on purpose (0.2 s, 64 MiB), so one derivation serves all files that share a salt: a :class:`Passphrase`
remembers what it derived. Pure: where a passphrase comes from is hub/adapters/passphrase.py. docs/spec/directory.md,
section 11.
"""

from __future__ import annotations

import base64
import hmac
import os
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hub.errors import ConfigError

SALT_LENGTH: Final = 16
CHECK_LENGTH: Final = 16
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
MIN_NEW_PASSPHRASE: Final = 12
"""Characters that a passphrase has at least where something new is encrypted with it."""
MAX_PASSPHRASE: Final = 1024
"""Bytes."""


class PassphraseNeeded(ConfigError):
    """A key file is encrypted, and nothing says where its passphrase is."""

    code = "passphrase.needed"


class PassphraseInvalid(ConfigError):
    """No passphrase: empty, too long, too short for a new one, or not UTF-8."""

    code = "passphrase.invalid"


class PassphraseWrong(ConfigError):
    """The passphrase is not the one that the file was encrypted with."""

    code = "passphrase.wrong"


class DerivationRefused(ConfigError):
    """A key file asks for a derivation that is cheaper or dearer than any that we make or would wait for."""

    code = "key_file.derivation_refused"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess costs: KiB of memory, passes over it, lanes (RFC 9106 3.1: m, t, p)."""

    memory_kib: int
    iterations: int
    lanes: int


NEW_COST: Final = Cost(memory_kib=64 * 1024, iterations=3, lanes=4)
"""RFC 9106 4, the second recommended option."""
_LEAST: Final = Cost(memory_kib=19 * 1024, iterations=2, lanes=1)
_MOST: Final = Cost(memory_kib=512 * 1024, iterations=10, lanes=16)


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a file's key is derived. ``check`` is derived too: it tells a wrong passphrase from a damaged file.

    Raises :class:`DerivationRefused` where the cost is out of its limits: before anything is derived.
    """

    salt: bytes
    cost: Cost
    check: bytes

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_LENGTH or len(self.check) != CHECK_LENGTH:
            raise DerivationRefused(f"a salt of {SALT_LENGTH} and a check of {CHECK_LENGTH} bytes are wanted")
        for name in ("memory_kib", "iterations", "lanes"):
            least, found, most = (getattr(cost, name) for cost in (_LEAST, self.cost, _MOST))
            if not least <= found <= most:
                raise DerivationRefused(f"Argon2id with {name} of {found}: {least} to {most} are taken")


class FileKey:
    """What was derived from a passphrase: encrypts key files, and gives the password of an encrypted PEM file."""

    __slots__ = ("_aead", "_root", "derivation")

    def __init__(self, root: bytes, derivation: Derivation) -> None:
        self._root = root
        self._aead = ChaCha20Poly1305(_expand(root, b"wrap"))
        self.derivation = derivation

    def encrypt(self, plain: bytes, *, header: bytes, nonce: bytes) -> bytes:
        """ChaCha20-Poly1305 of ``plain``, bound to ``header``. A nonce is used once: take a random one."""
        return self._aead.encrypt(nonce, plain, header)

    def decrypt(self, sealed: bytes, *, header: bytes, nonce: bytes) -> bytes:
        """Raises ``ValueError`` where these bytes, under this header, were not encrypted with this key."""
        try:
            return self._aead.decrypt(nonce, sealed, header)
        except InvalidTag as error:
            raise ValueError("does not decrypt") from error

    def pem_password(self) -> bytes:
        """The password of an encrypted PKCS #8 file: 43 characters of base64url.

        The passphrase itself would be easier to guess there: PKCS #8 as our library writes it derives 2,000 times
        cheaper.
        """
        return base64.urlsafe_b64encode(_expand(self._root, b"pem")).rstrip(b"=")

    def __repr__(self) -> str:
        return "FileKey()"


class Passphrase:
    """A passphrase, as text in NFC, and every key that was derived from it. Holds secrets: never in a message.

    Raises :class:`PassphraseInvalid`.
    """

    __slots__ = ("_keys", "_text")

    def __init__(self, text: str) -> None:
        text = unicodedata.normalize("NFC", text)
        if not text:
            raise PassphraseInvalid("the passphrase is empty")
        if len(text.encode()) > MAX_PASSPHRASE:
            raise PassphraseInvalid(f"the passphrase is longer than {MAX_PASSPHRASE} bytes")
        self._text = text
        self._keys: dict[tuple[bytes, Cost], bytes] = {}

    def key(self, derivation: Derivation) -> FileKey:
        """The key of a file. Derived once for each salt. Raises :class:`PassphraseWrong`."""
        root = self._derive(derivation.salt, derivation.cost)
        if not hmac.compare_digest(_expand(root, b"check")[:CHECK_LENGTH], derivation.check):
            raise PassphraseWrong("the passphrase does not open this key file")
        return FileKey(root, derivation)

    def pem_password(self) -> bytes:
        """The password of a PEM file that somebody else's tool encrypted with this passphrase."""
        return self._text.encode()

    def new_key(self) -> FileKey:
        """The key for a new file: with the salt that was last used, or else a fresh one.

        Raises :class:`PassphraseInvalid` for a passphrase that is too short.
        """
        if len(self._text) < MIN_NEW_PASSPHRASE:
            raise PassphraseInvalid(f"a passphrase has at least {MIN_NEW_PASSPHRASE} characters")
        salt, cost = next(reversed(self._keys), (os.urandom(SALT_LENGTH), NEW_COST))
        if cost != NEW_COST:
            salt, cost = os.urandom(SALT_LENGTH), NEW_COST
        root = self._derive(salt, cost)
        return FileKey(root, Derivation(salt, cost, _expand(root, b"check")[:CHECK_LENGTH]))

    def _derive(self, salt: bytes, cost: Cost) -> bytes:
        known = self._keys.get((salt, cost))
        if known is None:
            known = self._keys[salt, cost] = Argon2id(
                salt=salt, length=32, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
            ).derive(self._text.encode())
        return known

    def __repr__(self) -> str:
        return "Passphrase()"


def _expand(root: bytes, use: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=b"cgi-hub/v1/key-file/" + use).derive(root)
