"""hub/trust/keys.py: a key file is whole, and for one use."""

from __future__ import annotations

import json

import pytest

from hub.trust import keys as k
from hub.trust import passphrase
from hub.trust.signed_json import encode_base64, encode_json
from tests.support.authority import kem_key, signing_key

SIGNING = signing_key("a site")
KEM = kem_key("an agency")
COMPOSITE_USES = [k.KeyUse.CUSTODIAN, k.KeyUse.IDENTITY, k.KeyUse.SIGNING]


@pytest.mark.parametrize("use", COMPOSITE_USES)
def test_composite_keys_come_back(use: k.KeyUse) -> None:
    private = k.encode_private_key(use, SIGNING.seed)
    public = k.encode_public_key(use, SIGNING.public)
    assert k.parse_signing_key(private, use).seed == SIGNING.seed
    assert k.parse_verify_key(public, use) == SIGNING.public
    assert k.describe_key(private) == k.KeyDescription(use, SIGNING.public.key_id.hex(), private=True)
    assert k.describe_key(public) == k.KeyDescription(use, SIGNING.public.key_id.hex(), private=False)


def test_kem_keys_come_back() -> None:
    private = k.encode_private_key(k.KeyUse.KEM, KEM.seed)
    public = k.encode_public_key(k.KeyUse.KEM, KEM.public)
    assert k.parse_kem_key(private).seed == KEM.seed
    assert k.parse_kem_public_key(public).raw == KEM.public.raw
    assert k.describe_key(private) == k.KeyDescription(k.KeyUse.KEM, KEM.public.kem_id.hex(), private=True)
    assert k.describe_key(public) == k.KeyDescription(k.KeyUse.KEM, KEM.public.kem_id.hex(), private=False)


@pytest.mark.parametrize("use", COMPOSITE_USES)
@pytest.mark.parametrize("wanted", COMPOSITE_USES)
def test_a_key_has_one_use(use: k.KeyUse, wanted: k.KeyUse) -> None:
    if use is wanted:
        return
    with pytest.raises(k.KeyFileInvalid, match="one use"):
        k.parse_signing_key(k.encode_private_key(use, SIGNING.seed), wanted)
    with pytest.raises(k.KeyFileInvalid, match="one use"):
        k.parse_verify_key(k.encode_public_key(use, SIGNING.public), wanted)


def test_a_damaged_key_is_noticed() -> None:
    form = json.loads(k.encode_private_key(k.KeyUse.SIGNING, SIGNING.seed))
    form["key_id"] = "0" * 64
    with pytest.raises(k.KeyFileInvalid, match="damaged"):
        k.parse_signing_key(encode_json(form), k.KeyUse.SIGNING)
    with pytest.raises(k.KeyFileInvalid, match="damaged"):
        k.describe_key(encode_json(form))


@pytest.mark.parametrize("raw", [b"", b"{}", b"\x00", b'{"kind":"cgi-hub/v1/private-key"}'])
def test_not_a_key_file(raw: bytes) -> None:
    for parse in (k.parse_kem_key, k.parse_kem_public_key, k.describe_key):
        with pytest.raises(k.KeyFileInvalid):
            parse(raw)


def test_a_seed_of_another_length() -> None:
    form = json.loads(k.encode_private_key(k.KeyUse.SIGNING, SIGNING.seed))
    form["seed"] = "AAAA"
    with pytest.raises(k.KeyFileInvalid):
        k.parse_signing_key(encode_json(form), k.KeyUse.SIGNING)


def test_no_message_holds_the_seed() -> None:
    form = json.loads(k.encode_private_key(k.KeyUse.SIGNING, SIGNING.seed))
    secret = form["seed"]
    form["key_id"] = secret  # a fault in another member
    with pytest.raises(k.KeyFileInvalid) as caught:
        k.parse_signing_key(encode_json(form), k.KeyUse.SIGNING)
    assert secret not in caught.value.diagnostics()


def test_seeds_are_fresh() -> None:
    for use, length in ((k.KeyUse.KEM, 32), (k.KeyUse.SIGNING, 64)):
        assert len(k.generate_seed(use)) == length
        assert k.generate_seed(use) != k.generate_seed(use)


class TestEncrypted:
    """An encrypted key file is bound to all that it says, and opens with its passphrase alone."""

    @pytest.fixture
    def phrase(self, monkeypatch: pytest.MonkeyPatch) -> passphrase.Passphrase:
        monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))
        return passphrase.Passphrase("correct horse battery")

    @pytest.fixture
    def raw(self, phrase: passphrase.Passphrase) -> bytes:
        return k.encode_private_key(k.KeyUse.SIGNING, SIGNING.seed, phrase.new_key())

    def test_comes_back(self, phrase: passphrase.Passphrase, raw: bytes) -> None:
        assert k.parse_signing_key(raw, k.KeyUse.SIGNING, lambda: phrase).seed == SIGNING.seed
        kem = k.encode_private_key(k.KeyUse.KEM, KEM.seed, phrase.new_key())
        assert k.parse_kem_key(kem, lambda: phrase).seed == KEM.seed
        assert k.read_derivation(kem) == k.read_derivation(raw)

    def test_says_what_it_is_without_the_passphrase(self, raw: bytes) -> None:
        key_id = SIGNING.public.key_id.hex()
        assert k.describe_key(raw) == k.KeyDescription(k.KeyUse.SIGNING, key_id, private=True, encrypted=True)
        assert encode_base64(SIGNING.seed).encode() not in raw

    def test_needs_the_passphrase(self, raw: bytes) -> None:
        with pytest.raises(passphrase.PassphraseNeeded):
            k.parse_signing_key(raw, k.KeyUse.SIGNING)
        with pytest.raises(passphrase.PassphraseWrong):
            k.parse_signing_key(raw, k.KeyUse.SIGNING, lambda: passphrase.Passphrase("another horse"))

    def test_a_plain_file_asks_nobody(self) -> None:
        plain = k.encode_private_key(k.KeyUse.SIGNING, SIGNING.seed)
        k.parse_signing_key(plain, k.KeyUse.SIGNING, lambda: pytest.fail("asked"))
        assert k.read_derivation(plain) is None

    @pytest.mark.parametrize("member", ["use", "key_id", "nonce", "sealed"])
    def test_each_member_is_bound(self, phrase: passphrase.Passphrase, raw: bytes, member: str) -> None:
        form = json.loads(raw)
        other = json.loads(k.encode_private_key(k.KeyUse.SIGNING, signing_key("other").seed, phrase.new_key()))
        form[member] = "custodian" if member == "use" else other[member]
        with pytest.raises(k.KeyFileInvalid, match="damaged"):
            k.parse_signing_key(encode_json(form), k.KeyUse(form["use"]), lambda: phrase)

    @pytest.mark.parametrize(
        ("member", "value"), [("memory_kib", 4_000_000_000), ("iterations", 1), ("lanes", 10**9), ("salt", "AAAA")]
    )
    def test_foreign_parameters_ask_nobody(self, raw: bytes, member: str, value: object) -> None:
        form = json.loads(raw)
        form["kdf"][member] = value
        with pytest.raises(passphrase.DerivationRefused):
            k.parse_signing_key(encode_json(form), k.KeyUse.SIGNING, lambda: pytest.fail("asked"))
        with pytest.raises(passphrase.DerivationRefused):
            k.describe_key(encode_json(form))

    @pytest.mark.parametrize("change", [{"kdf": None}, {"nonce": "AAAA"}, {"seed": "AAAA"}, {"token": {}}])
    def test_another_form(self, phrase: passphrase.Passphrase, raw: bytes, change: dict[str, object]) -> None:
        with pytest.raises(k.KeyFileInvalid):
            k.parse_signing_key(encode_json(json.loads(raw) | change), k.KeyUse.SIGNING, lambda: phrase)

    def test_a_kem_key_has_no_half_in_a_token(self, phrase: passphrase.Passphrase) -> None:
        form = json.loads(k.encode_private_key(k.KeyUse.KEM, KEM.seed, phrase.new_key()))
        form["token"] = {"uri": "pkcs11:token=x", "ed25519": encode_base64(bytes(32))}
        with pytest.raises(k.KeyFileInvalid, match="no half"):
            k.parse_kem_key(encode_json(form), lambda: phrase)

    def test_encrypted_anew(self, phrase: passphrase.Passphrase, raw: bytes) -> None:
        new = passphrase.Passphrase("another horse battery")
        again = k.reencode_private_key(raw, lambda: phrase, new.new_key())
        assert k.parse_signing_key(again, k.KeyUse.SIGNING, lambda: new).seed == SIGNING.seed
        with pytest.raises(passphrase.PassphraseWrong):
            k.parse_signing_key(again, k.KeyUse.SIGNING, lambda: phrase)
