"""hub/adapters/token.py on SoftHSM2: a half of a key that never leaves its token, and every way that it can fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.adapters import token as t
from hub.adapters.key_files import KeyAccess, encrypt_key_file, load_signing_key, write_key_file
from hub.errors import UnavailableError
from hub.trust.composite import SigningKey
from hub.trust.keys import KeyFileInvalid, KeyUse, TokenHalf, TokenNeeded, encode_token_key
from hub.trust.passphrase import Passphrase
from tests.support.softhsm import PIN, SoftToken, make_token

CONTEXT = b"cgi-hub/v1/test"
SEED = bytes(range(32))


@pytest.fixture
def soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    return make_token(tmp_path, monkeypatch)


def slot(soft: SoftToken, pin: Callable[[], str] = lambda: PIN) -> t.TokenSlot:
    return t.TokenSlot(soft.library, pin)


def objects(soft: SoftToken) -> list[Any]:
    import pkcs11

    with pkcs11.lib(str(soft.library)).get_token(token_label=soft.label).open() as session:
        return list(session.get_objects())


def test_signs_as_any_composite_key_does(soft: SoftToken) -> None:
    opened = slot(soft)
    half = opened.make(soft.label, b"\x01\x02", "signing")
    key = SigningKey.of_halves(SEED, opened.open(half))
    assert key.seed is None
    key.public.verify(CONTEXT, b"what is signed", key.sign(CONTEXT, b"what is signed"))
    assert half.uri.startswith("pkcs11:token=JCF;serial=")


def test_the_private_half_cannot_be_read(soft: SoftToken) -> None:
    import pkcs11

    opened = slot(soft)
    half = opened.make(soft.label, b"\x01", "signing")
    private = opened._key(half)
    assert private[pkcs11.Attribute.SENSITIVE]
    assert not private[pkcs11.Attribute.EXTRACTABLE]
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        private[pkcs11.Attribute.VALUE]


def test_made_once(soft: SoftToken) -> None:
    first = slot(soft).make(soft.label, b"\x01", "signing")
    assert slot(soft).make(soft.label, b"\x01", "signing") == first
    assert slot(soft).make(soft.label, b"\x02", "signing").public != first.public


def test_destroyed(soft: SoftToken) -> None:
    opened = slot(soft)
    half = opened.make(soft.label, b"\x01", "signing")
    kept = opened.make(soft.label, b"\x02", "signing")
    opened.destroy(half)
    opened.destroy(half)
    with pytest.raises(t.TokenKeyMissing):
        opened.open(half)
    opened.open(kept)


def test_pulled_and_put_back(soft: SoftToken) -> None:
    opened = slot(soft)
    signer = opened.open(opened.make(soft.label, b"\x01", "signing"))
    signer.sign(b"x")
    soft.pull()
    for _ in range(2):
        with pytest.raises(t.TokenAbsent) as caught:
            signer.sign(b"x")
        assert isinstance(caught.value, UnavailableError)  # waited for, nothing is lost
    soft.put_back()
    signer.sign(b"x")


def test_a_wrong_pin_is_tried_once(soft: SoftToken) -> None:
    half = slot(soft).make(soft.label, b"\x01", "signing")
    asked = []

    def wrong() -> str:
        asked.append(1)
        return "999999"

    from tests.support.softhsm import forget_library

    forget_library(soft.library)
    opened = slot(soft, wrong)
    for _ in range(3):
        with pytest.raises(t.TokenPinRefused, match="not tried again") as caught:
            opened.open(half)
        assert "999999" not in caught.value.diagnostics()
    assert asked == [1]


@pytest.mark.parametrize(
    ("flag", "told"), [("USER_PIN_LOCKED", "locked"), ("USER_PIN_FINAL_TRY", "one more wrong PIN")]
)
def test_a_token_that_locks_or_is_locked_is_not_asked(
    soft: SoftToken, monkeypatch: pytest.MonkeyPatch, flag: str, told: str
) -> None:
    import pkcs11

    class Locked:
        flags = pkcs11.TokenFlag[flag]

        def open(self, **_: object) -> None:
            pytest.fail("it was asked")

    opened = slot(soft)
    monkeypatch.setattr(opened, "_load", lambda: type("L", (), {"get_token": staticmethod(lambda **_: Locked())}))
    with pytest.raises(t.TokenPinRefused, match=told):
        opened.make(soft.label, b"\x01", "signing")


def test_no_such_token(soft: SoftToken) -> None:
    with pytest.raises(t.TokenAbsent):
        slot(soft).make("another", b"\x01", "signing")


def test_another_key_under_the_id(soft: SoftToken) -> None:
    opened = slot(soft)
    half = opened.make(soft.label, b"\x01", "signing")
    with pytest.raises(t.TokenKeyMissing, match="another one"):
        opened.open(TokenHalf(half.uri, bytes(32)))
    with pytest.raises(t.TokenKeyMissing):
        opened.open(TokenHalf(half.uri.replace("id=%01", "id=%07"), half.public))
    with pytest.raises(t.TokenKeyMissing, match="names no token"):
        opened.open(TokenHalf("pkcs11:id=%01", half.public))


def test_a_signature_that_does_not_verify_is_never_given(soft: SoftToken) -> None:
    opened = slot(soft)
    half = opened.make(soft.label, b"\x01", "signing")
    other = opened.make(soft.label, b"\x02", "signing")
    opened._keys[half.uri] = opened._key(other)
    with pytest.raises(t.TokenKeyMissing, match="signs with another key"):
        opened.sign(half, b"x")


@pytest.mark.parametrize("path", ["/nowhere/lib.so", "pin"])
def test_no_library(soft: SoftToken, tmp_path: Path, path: str) -> None:
    with pytest.raises(t.TokenLibraryInvalid):
        t.TokenSlot(tmp_path / path, lambda: PIN).make(soft.label, b"\x01", "signing")


class TestKeyFile:
    """The other half is in an encrypted file, which names the token and is bound to it."""

    @pytest.fixture
    def path(self, soft: SoftToken, tmp_path: Path) -> Path:
        opened = slot(soft)
        half = opened.make(soft.label, os.urandom(8), "signing")
        raw = encode_token_key(KeyUse.SIGNING, SEED, half, Passphrase("correct horse battery").new_key())
        public = SigningKey.of_halves(SEED, opened.open(half)).public
        write_key_file(tmp_path / "signing.key", KeyUse.SIGNING, raw, public)
        return tmp_path / "signing.key"

    def access(self, soft: SoftToken) -> KeyAccess:
        phrase = Passphrase("correct horse battery")
        return KeyAccess(lambda: phrase, slot(soft).open)

    def test_comes_back(self, soft: SoftToken, path: Path) -> None:
        key = load_signing_key(path, access=self.access(soft))
        key.public.verify(CONTEXT, b"x", key.sign(CONTEXT, b"x"))

    def test_needs_both(self, soft: SoftToken, path: Path) -> None:
        with pytest.raises(TokenNeeded):
            load_signing_key(path, access=KeyAccess(self.access(soft).passphrase))

    def test_is_bound_to_its_token(self, soft: SoftToken, path: Path) -> None:
        form = json.loads(path.read_bytes())
        form["token"]["uri"] += ";object=x"
        path.write_text(json.dumps(form))
        with pytest.raises(KeyFileInvalid, match="damaged"):
            load_signing_key(path, access=self.access(soft))

    def test_keeps_its_token_under_a_new_passphrase(self, soft: SoftToken, path: Path) -> None:
        before = load_signing_key(path, access=self.access(soft)).public
        new = Passphrase("another long passphrase")
        encrypt_key_file(path, self.access(soft).passphrase, new.new_key())
        assert load_signing_key(path, access=KeyAccess(lambda: new, slot(soft).open)).public == before
