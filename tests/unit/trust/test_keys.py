"""hub/trust/keys.py: a key file is whole, and for one use."""

from __future__ import annotations

import json

import pytest

from hub.trust import keys as k
from hub.trust.signed_json import encode_json
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
