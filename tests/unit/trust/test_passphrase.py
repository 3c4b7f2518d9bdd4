"""hub/trust/passphrase.py: derived once for a salt, within limits, and wrong is told from damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hub.trust import passphrase as p

WORDS = "correct horse battery staple"
CHEAP = p.Cost(memory_kib=19 * 1024, iterations=2, lanes=1)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p, "NEW_COST", CHEAP)


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The salts of every derivation."""
    salts: list[bytes] = []

    def counted(**values: object) -> Argon2id:
        salts.append(values["salt"])  # type: ignore[arg-type]
        return Argon2id(**values)  # type: ignore[arg-type]

    monkeypatch.setattr(p, "Argon2id", counted)
    return salts


def test_what_is_encrypted_comes_back() -> None:
    key = p.Passphrase(WORDS).new_key()
    sealed = key.encrypt(b"secret", header=b"h", nonce=bytes(12))
    assert b"secret" not in sealed
    again = p.Passphrase(WORDS).key(key.derivation)
    assert again.decrypt(sealed, header=b"h", nonce=bytes(12)) == b"secret"
    assert again.pem_password() == key.pem_password()
    assert WORDS.encode() not in key.pem_password()
    with pytest.raises(ValueError, match="decrypt"):
        again.decrypt(sealed, header=b"i", nonce=bytes(12))


def test_sixty_files_with_one_salt_cost_one_derivation(derived: list[bytes]) -> None:
    first = p.Passphrase(WORDS).new_key()
    reader = p.Passphrase(WORDS)
    derived.clear()
    for _ in range(60):
        reader.key(first.derivation)
    assert len(derived) == 1
    assert reader.new_key().derivation == first.derivation  # and a file made next has it too
    assert len(derived) == 1


def test_each_passphrase_has_its_salt() -> None:
    assert p.Passphrase(WORDS).new_key().derivation.salt != p.Passphrase(WORDS).new_key().derivation.salt


def test_a_cheaper_cost_is_not_taken_over_for_a_new_file(monkeypatch: pytest.MonkeyPatch) -> None:
    old = p.Passphrase(WORDS).new_key().derivation
    monkeypatch.setattr(p, "NEW_COST", replace(CHEAP, iterations=3))
    reader = p.Passphrase(WORDS)
    reader.key(old)
    assert reader.new_key().derivation.cost.iterations == 3


def test_the_wrong_one() -> None:
    key = p.Passphrase(WORDS).new_key()
    with pytest.raises(p.PassphraseWrong) as caught:
        p.Passphrase(WORDS + "r").key(key.derivation)
    assert WORDS not in caught.value.diagnostics()


def test_one_text_in_two_forms_of_unicode() -> None:
    key = p.Passphrase("clés de l'agence e\u0301").new_key()
    p.Passphrase("clés de l'agence \u00e9").key(key.derivation)


@pytest.mark.parametrize("cost", ["memory_kib", "iterations", "lanes"])
@pytest.mark.parametrize("factor", [0, -1, 10_000])
def test_a_foreign_cost_is_refused_before_anything_is_derived(cost: str, factor: int, derived: list[bytes]) -> None:
    foreign = replace(CHEAP, **{cost: getattr(CHEAP, cost) * factor})
    with pytest.raises(p.DerivationRefused, match=cost):
        p.Derivation(bytes(16), foreign, bytes(16))
    assert derived == []


@pytest.mark.parametrize(("salt", "check"), [(15, 16), (0, 16), (16, 0), (16, 17)])
def test_a_foreign_salt_is_refused(salt: int, check: int) -> None:
    with pytest.raises(p.DerivationRefused):
        p.Derivation(bytes(salt), CHEAP, bytes(check))


@pytest.mark.parametrize("text", ["", "x" * 1025])
def test_no_passphrase(text: str) -> None:
    with pytest.raises(p.PassphraseInvalid):
        p.Passphrase(text)


def test_a_short_one_opens_and_makes_nothing_new() -> None:
    with pytest.raises(p.PassphraseInvalid, match="at least 12"):
        p.Passphrase("short").new_key()


def test_never_shown() -> None:
    phrase = p.Passphrase(WORDS)
    assert WORDS not in f"{phrase!r}{phrase}{phrase.new_key()!r}"


def test_the_real_cost_is_that_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert p.Cost(memory_kib=65_536, iterations=3, lanes=4) == p.NEW_COST
