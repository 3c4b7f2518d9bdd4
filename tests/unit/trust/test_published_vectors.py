"""What others published, run against hub/trust/composite.py and hub/trust/kem.py.

``tests/vectors/published/`` has what an independent implementation (Bouncy Castle) made; ``cryptography-vectors``
brings the HPKE and the ML-DSA files. The LAMPS draft's own file and wycheproof's run where the environment's
``CGI_HUB_PUBLISHED_VECTORS`` names a folder with their clones in it (docs/spec/vectors.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hub.trust import composite
from hub.trust.composite import KeyMalformed, SigningKey, VerifyKey
from hub.trust.kem import KemPrivateKey

PUBLISHED = Path(__file__).parents[2] / "vectors" / "published"
LIBRARY = Path(cryptography_vectors.__file__).parent
ELSEWHERE = os.environ.get("CGI_HUB_PUBLISHED_VECTORS", "")

unhex = bytes.fromhex


def _bouncy_castle() -> dict[str, Any]:
    return dict(json.loads((PUBLISHED / "composite_bouncycastle.json").read_text()))


@pytest.mark.parametrize("case", _bouncy_castle()["cases"], ids=lambda case: case["name"])
def test_composite_signatures_of_bouncy_castle_verify(case: dict[str, str]) -> None:
    key = VerifyKey(unhex(_bouncy_castle()["public"]))
    key.verify(unhex(case["context"]), unhex(case["message"]), unhex(case["signature"]))


def test_composite_seeds_are_expanded_as_bouncy_castle_does() -> None:
    vectors = _bouncy_castle()
    assert SigningKey(unhex(vectors["seed"])).public.raw == unhex(vectors["public"])


@pytest.mark.skipif(not ELSEWHERE, reason="CGI_HUB_PUBLISHED_VECTORS names no folder (docs/spec/vectors.md)")
def test_composite_signatures_of_the_lamps_draft_verify() -> None:
    vectors = json.loads((Path(ELSEWHERE) / "draft-composite-sigs" / "src" / "testvectors.json").read_text())
    unbase64 = base64.b64decode
    message = unbase64(vectors["m"])
    (case,) = [case for case in vectors["tests"] if case["tcId"] == "id-MLDSA65-Ed25519-SHA512"]
    key = VerifyKey(unbase64(case["pk"]))
    assert SigningKey(unbase64(case["sk"])).public == key
    key.verify(unbase64(vectors["ctx"]), message, unbase64(case["sWithContext"]))
    # The empty context is the draft's, never ours: its signature is taken apart by hand.
    signed = composite._PREFIX + composite._LABEL + b"\0" + hashlib.sha512(message).digest()
    signature = unbase64(case["s"])
    key._mldsa.verify(signature[:3309], signed, composite._LABEL)
    key._ed25519.verify(signature[3309:], signed)


def test_mldsa_keys_grow_from_seeds_as_in_the_known_answers() -> None:
    text = (LIBRARY / "asymmetric" / "MLDSA" / "kat_MLDSA_65_det_pure.rsp").read_text()
    pairs = re.findall(r"^xi = (\w+)\n(?:.*\n)*?pk = (\w+)$", text, re.MULTILINE)
    assert len(pairs) == 100
    for seed, public in pairs:
        assert SigningKey(unhex(seed) + bytes(32)).public.raw[:1952] == unhex(public)


def _hpke_case() -> dict[str, Any]:
    vectors = json.loads((LIBRARY / "HPKE" / "hpke-pq-test-vectors.json").read_text())
    suite = {"mode": 0, "kem_id": 0x647A, "kdf_id": 1, "aead_id": 3}  # base, X-Wing, HKDF-SHA256, ChaCha20-Poly1305
    (case,) = [case for case in vectors if suite.items() <= case.items()]
    return dict(case)


def test_hpke_private_seed_gives_the_published_public_key() -> None:
    case = _hpke_case()
    assert KemPrivateKey(unhex(case["skRm"])).public.raw == unhex(case["pkRm"])


def test_hpke_decapsulates_and_schedules_as_published() -> None:
    """The published ciphertexts carry an aad, which the library's public call has not.

    So the same text is sealed again without one, under the published key and nonce: it opens only where the
    decapsulation and the key schedule arrive at exactly these.
    """
    case = _hpke_case()
    first = case["encryptions"][0]
    aead, nonce = ChaCha20Poly1305(unhex(case["key"])), unhex(case["base_nonce"])
    text = aead.decrypt(nonce, unhex(first["ct"]), unhex(first["aad"]))
    assert (text, nonce) == (unhex(first["pt"]), unhex(first["nonce"]))
    wrap = unhex(case["enc"]) + aead.encrypt(nonce, text, b"")
    assert KemPrivateKey(unhex(case["skRm"])).open(unhex(case["info"]), wrap) == text


def _wycheproof(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    file = Path(ELSEWHERE) / "wycheproof" / "testvectors_v1" / f"{name}_test.json"
    for group in json.loads(file.read_text())["testGroups"]:
        for case in group["tests"]:
            yield group, case


@pytest.mark.skipif(not ELSEWHERE, reason="CGI_HUB_PUBLISHED_VECTORS names no folder (docs/spec/vectors.md)")
def test_the_halves_of_a_signature_are_as_strict_as_wycheproof() -> None:
    """Mostly negative: each half of a composite key, as our own class holds it."""
    whole = VerifyKey(unhex(_bouncy_castle()["public"]))
    wrong = []
    for group, case in _wycheproof("mldsa_65_verify"):
        try:
            key = VerifyKey(unhex(group["publicKey"]) + whole.raw[1952:])
            key._mldsa.verify(unhex(case["sig"]), unhex(case["msg"]), unhex(case.get("ctx", "")))
            verified = True
        except (InvalidSignature, KeyMalformed, ValueError):
            verified = False
        wrong += [case["tcId"]] if verified != (case["result"] == "valid") else []
    for group, case in _wycheproof("ed25519"):
        try:
            key = VerifyKey(whole.raw[:1952] + unhex(group["publicKey"]["pk"]))
            key._ed25519.verify(unhex(case["sig"]), unhex(case["msg"]))
            verified = True
        except (InvalidSignature, KeyMalformed):
            verified = False
        wrong += [case["tcId"]] if verified != (case["result"] == "valid") else []
    assert wrong == []
