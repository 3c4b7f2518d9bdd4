"""A fingerprint as words, to be read out by phone: 128 bits of a key id as twelve words of a BIP-39 list.

The word lists (2048 words each, in English, French and Spanish) come from the package ``mnemonic``; here they are a way
to read out public bytes, and nothing is derived from them. The last word has a checksum of four bits: a word that was
misheard is mostly told from another key. Why twelve words are enough: docs/adr/0087.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from mnemonic import Mnemonic

from hub.errors import RejectedError
from hub.trust.root import Root
from hub.trust.signed_json import encode_json

LANGUAGES: Final = ("english", "french", "spanish")
WORDS: Final = 12
_BYTES: Final = 16
_LEAST: Final = 32
"""Bytes of a key id: nothing shorter is taken, so that no short thing seems to be as good as a fingerprint."""


class WordsDiffer(RejectedError):
    """What was read out is not the fingerprint: of another key, or misheard."""

    code = "fingerprint.differs"


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of twelve words that were told. ``wrong`` are the places, from 1, where they differ."""

    language: str
    wrong: tuple[int, ...]
    unknown: tuple[str, ...]
    is_another: bool
    """Whether the words are by themselves a whole fingerprint: then they are another key's, and nobody misheard."""

    @property
    def same(self) -> bool:
        """Whether this is the key."""
        return not self.wrong


def fingerprint_words(key_id: bytes, language: str = "english") -> tuple[str, ...]:
    """Twelve words for the first 128 bits of ``key_id`` (a SHA-256)."""
    if len(key_id) < _LEAST:
        raise ValueError("a key id of 32 bytes is wanted")
    return tuple(unicodedata.normalize("NFC", _list(language).to_mnemonic(key_id[:_BYTES])).split())


def root_id(root: Root) -> bytes:
    """What the fingerprint of a root is made from: hub, version, threshold, the custodians' keys and the operator's."""
    said = encode_json(
        {
            "hub": root.hub,
            "version": root.version,
            "threshold": root.threshold,
            "custodians": sorted(custodian.key.key_id.hex() for custodian in root.custodians),
            "online": sorted(key.key_id.hex() for key in root.online),
        }
    )
    return hashlib.sha256(b"cgi-hub/v1/root-id\0" + said).digest()


def certificate_id(pem: bytes) -> bytes:
    """What the fingerprint of a CA is made from: SHA-256 of its certificate. Raises ``ValueError``."""
    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256())


def hear_words(key_id: bytes, told: str) -> Heard:
    """Compare what was read out with ``key_id``: accents, case, numbers and signs between the words do not count.

    Raises :class:`WordsDiffer` where it is not twelve words.
    """
    words = [_plain(word) for word in re.split(r"[\W\d_]+", unicodedata.normalize("NFC", told)) if word]
    if len(words) != WORDS:
        raise WordsDiffer(f"a fingerprint has {WORDS} words, these are {len(words)}")
    language = max(LANGUAGES, key=lambda name: sum(word in _plain_list(name) for word in words))
    expected = [_plain(word) for word in fingerprint_words(key_id, language)]
    places = tuple(place for place, pair in enumerate(zip(words, expected, strict=True), 1) if pair[0] != pair[1])
    unknown = tuple(word for word in words if word not in _plain_list(language))
    original = [_plain_list(language).get(word, "") for word in words]
    is_another = bool(places) and not unknown and _list(language).check(" ".join(original))
    return Heard(language, places, unknown, is_another)


def check_words(key_id: bytes, told: str) -> str:
    """The language of ``told`` where it is the fingerprint of ``key_id``. Raises :class:`WordsDiffer`."""
    heard = hear_words(key_id, told)
    if heard.same:
        return heard.language
    if heard.is_another:
        raise WordsDiffer("these words are another key's fingerprint: do not go on before you know whose")
    places = ", ".join(str(place) for place in heard.wrong)
    raise WordsDiffer(
        f"these words are not the fingerprint: it differs at {places}",
        **({"in_no_list": " ".join(heard.unknown)} if heard.unknown else {}),
    )


@cache
def _list(language: str) -> Mnemonic:
    return Mnemonic(language)


@cache
def _plain_list(language: str) -> dict[str, str]:
    """The list's words without accents, and as they stand in it."""
    return {_plain(word): word for word in _list(language).wordlist}


def _plain(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
