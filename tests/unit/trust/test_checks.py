"""hub/trust/checks.py: what stands by itself; the steps are in test_verify, test_open and test_stub."""

import hashlib
import os

from hub.model import Compartment
from hub.trust.checks import granted_numbers, hash_ciphertext
from hub.trust.listing import Listing
from hub.wire.labels import labelled_hash
from tests.support.sealed import COMPARTMENTS, CORE, PERSONAL, SENSITIVE, world_directory


def test_the_directory_is_a_listing() -> None:
    listing: Listing = world_directory()
    assert listing.version == world_directory().version


def test_hash_of_a_ciphertext_is_the_labelled_hash() -> None:
    ciphertext = os.urandom(3000)
    assert hash_ciphertext(CORE, ciphertext) == labelled_hash(b"cgi-hub/v1/ciphertext", b"core", ciphertext)
    assert hash_ciphertext(CORE, ciphertext) != hash_ciphertext(PERSONAL, ciphertext)
    assert hash_ciphertext(CORE, b"") != hashlib.sha256(b"").digest()


def test_grants_are_sorted_unique_and_within_the_lane() -> None:
    assert granted_numbers(COMPARTMENTS, (CORE, SENSITIVE)) == (0, 2)
    assert granted_numbers(COMPARTMENTS, COMPARTMENTS) == (0, 1, 2)
    assert granted_numbers(COMPARTMENTS, ()) == ()
    for bad in ((SENSITIVE, CORE), (CORE, CORE), (CORE, Compartment("other")), (Compartment("other"),)):
        assert granted_numbers(COMPARTMENTS, bad) is None
