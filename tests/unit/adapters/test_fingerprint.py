"""hub/adapters/fingerprint.py: what is read out by phone is the key's own, another key's, or misheard."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.adapters import fingerprint as f

KEY_ID = hashlib.sha256(b"an identity key").digest()
OTHER = hashlib.sha256(b"another").digest()


def test_the_vectors_of_bip_39() -> None:
    assert " ".join(f.fingerprint_words(bytes(32))) == "abandon " * 11 + "about"
    assert " ".join(f.fingerprint_words(b"\x7f" * 32)) == "legal winner thank year wave sausage worth useful " + (
        "legal winner thank yellow"
    )


@given(st.binary(min_size=32, max_size=32), st.sampled_from(f.LANGUAGES))
def test_what_is_read_out_is_heard(key_id: bytes, language: str) -> None:
    words = f.fingerprint_words(key_id, language)
    assert len(words) == 12
    assert f.hear_words(key_id, " ".join(words)).same


@given(st.integers(0, 127), st.sampled_from(f.LANGUAGES))
def test_each_of_128_bits_counts(bit: int, language: str) -> None:
    changed = bytearray(KEY_ID)
    changed[bit // 8] ^= 1 << bit % 8
    told = " ".join(f.fingerprint_words(bytes(changed), language))
    with pytest.raises(f.WordsDiffer):
        f.check_words(KEY_ID, told)


@pytest.mark.parametrize("language", f.LANGUAGES)
def test_said_as_people_say_it(language: str) -> None:
    words = f.fingerprint_words(KEY_ID, language)
    said = "; ".join(f"{place}. {word.upper()}" for place, word in enumerate(words, 1))
    assert f.check_words(KEY_ID, said) == language


def test_accents_do_not_count() -> None:
    key_ids = (hashlib.sha256(bytes([n])).digest() for n in range(256))
    key_id, words = next(
        (k, w) for k in key_ids for w in [" ".join(f.fingerprint_words(k, "spanish"))] if not w.isascii()
    )
    assert f.check_words(key_id, f._plain(words)) == "spanish"


def test_another_key() -> None:
    with pytest.raises(f.WordsDiffer, match="another key's"):
        f.check_words(KEY_ID, " ".join(f.fingerprint_words(OTHER)))


def test_misheard_says_where() -> None:
    words = list(f.fingerprint_words(KEY_ID))
    words[2] = "aardvark"
    with pytest.raises(f.WordsDiffer, match="differs at 3") as caught:
        f.check_words(KEY_ID, " ".join(words))
    assert caught.value.details["in_no_list"] == "aardvark"


@pytest.mark.parametrize("told", ["", "abandon", "abandon " * 13])
def test_not_twelve_words(told: str) -> None:
    with pytest.raises(f.WordsDiffer, match="12 words"):
        f.check_words(KEY_ID, told)


def test_nothing_short_has_a_fingerprint() -> None:
    with pytest.raises(ValueError, match="32"):
        f.fingerprint_words(bytes(16))
