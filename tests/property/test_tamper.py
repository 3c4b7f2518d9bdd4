"""Whatever is changed in a record on its way is refused: each bit, each cut, each insertion, each mix of two records.

Exhaustive, on the smallest records that have every part: one event in one compartment for two recipients, first of two
bundles. The verified flush is kept between tries as a router and a receiver keep it (spec 10.1, step 2), so only tries
that change the flush or its signature pay for signatures. Refused means: an error of the project, with a code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import pytest

from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId
from hub.trust.kem import KemPrivateKey
from hub.trust.open import Opener
from hub.trust.verify import FlushCache, verify_ingest
from tests.support.authority import kem_key, signing_key
from tests.support.forge import Forged, array, blob, blobs, forge_bundle, forge_flush, leaf, long, tree_path
from tests.support.listing import encode_listing
from tests.support.stranger import Refused, Stranger
from tests.vectors import scenario as s

HUB: Final = AgencyId("HUB")
JCF: Final = AgencyId("JCF")
ATF: Final = AgencyId("ATF")
DIRECTORY: Final = s.world().directory()
Take = Callable[[bytes], object]


def small(recipients: tuple[str, ...] = ("ATF", "RSS"), **changes: object) -> Forged:
    """The smallest bundle with every part, first of two."""
    flush = changes.pop("flush", {})
    draft = s.bundle_draft(
        compartments=("core",),
        events=(s.event("event 1"),),
        grants=tuple(s.grant(agency, granted=("core",)) for agency in recipients),
    ).but(**changes)
    _, second = s.neighbours()
    assert isinstance(flush, dict)
    return forge_flush(s.flush_draft(**flush), [forge_bundle(draft), second])[0]


SMALL: Final = small()


def router(owner: AgencyId = JCF) -> Take:
    """A router that has verified SMALL's flush before."""
    flushes = FlushCache()

    def take(value: bytes) -> object:
        return verify_ingest(value, owner=owner, hub=HUB, directory=DIRECTORY, now_ms=s.NOW, flushes=flushes)

    return take


def receiver(recipient: AgencyId = ATF, keys: tuple[KemPrivateKey, ...] | None = None) -> Take:
    """A receiver that opens what it verifies."""
    opener = Opener(hub=HUB, recipient=recipient, kem_keys=(kem_key(recipient),) if keys is None else keys)

    def take(value: bytes) -> object:
        return opener.open(opener.verify(value, directory=DIRECTORY, now_ms=s.NOW))

    return take


WAYS: Final = {
    "ingest": (router, SMALL.ingest()),
    "delivered": (receiver, SMALL.delivered("ATF")),
}
both = pytest.mark.parametrize("way", WAYS)


def refuse_all(take: Take, value: bytes, tampered: Iterable[tuple[object, bytes]]) -> int:
    """How many were tried. Fails with the places of those that passed, or that ended in another exception."""
    take(value)
    passed: list[object] = []
    tried = 0
    for place, changed in tampered:
        tried += 1
        try:
            take(changed)
        except (RejectedError, UnavailableError):
            continue
        passed.append(place)
    assert passed == [], f"{len(passed)} of {tried} passed"
    return tried


def _flip(raw: bytes, bit: int) -> bytes:
    return raw[: bit >> 3] + bytes([raw[bit >> 3] ^ 1 << (bit & 7)]) + raw[(bit >> 3) + 1 :]


def flips(value: bytes, bits: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    for bit in bits:
        yield bit, _flip(value, bit)


QUARTERS: Final = 4


@both
@pytest.mark.parametrize("quarter", range(QUARTERS))
def test_every_flipped_bit_is_refused(way: str, quarter: int) -> None:
    """In quarters, each with every fourth byte, so that a slow machine stays within a test's time."""
    make, value = WAYS[way]
    assert len(value) * 8 > 40_000
    bits = [byte * 8 + bit for byte in range(quarter, len(value), QUARTERS) for bit in range(8)]
    assert refuse_all(make(), value, flips(value, bits)) == len(bits)


@both
def test_every_cut_is_refused(way: str) -> None:
    make, value = WAYS[way]
    refuse_all(make(), value, ((end, value[:end]) for end in range(len(value))))
    refuse_all(make(), value, ((start, value[start:]) for start in range(1, len(value))))


@both
def test_every_byte_left_out_is_refused(way: str) -> None:
    make, value = WAYS[way]
    refuse_all(make(), value, ((at, value[:at] + value[at + 1 :]) for at in range(len(value))))


@both
@pytest.mark.parametrize("inserted", [b"\0", b"\x01", b"\x80", b"\xff", None], ids=str)
def test_every_insertion_is_refused(way: str, inserted: bytes | None) -> None:
    """``None``: the byte before stands twice."""
    make, value = WAYS[way]

    def tampered() -> Iterator[tuple[int, bytes]]:
        for at in range(len(value) + 1):
            yield at, value[:at] + (value[at - 1 : at] or value[:1] if inserted is None else inserted) + value[at:]

    refuse_all(make(), value, tampered())


@both
def test_every_block_in_another_place_is_refused(way: str) -> None:
    """32 bytes (a hash, mostly) zeroed, and put before, over and after the 32 that follow."""
    make, value = WAYS[way]

    def tampered() -> Iterator[tuple[int, bytes]]:
        for at in range(0, len(value) - 64, 3):
            block, after = value[at : at + 32], value[at + 32 : at + 64]
            for changed in (bytes(32) + after, after + block, block + block):
                if changed != block + after:
                    yield at, value[:at] + changed + value[at + 64 :]

    refuse_all(make(), value, tampered())


# --- mixes ------------------------------------------------------------------------------------------------------------

OTHERS: Final[dict[str, Forged]] = {
    "another sealing of the same": small(),
    "another lane": small(lane_name="lane 2"),
    "another bundle of the lane": small(bundle_seq=9, events=(s.event("event 9"),)),
    "another instance": small(instance=s.OTHER_INSTANCE, flush={"instance": s.OTHER_INSTANCE}),
    "another publisher": small(publisher="HNP", flush={"publisher": "HNP", "key": signing_key("HNP site")}),
    "another hub": small(hub="HUB2", flush={"hub": "HUB2"}),
    "another flush": small(flush={"flush_seq": 4}),
    "other recipients": small(("ATF", "INTERPOL")),
    "another handling": small(handling="TLP:GREEN"),
}


def ingest_parts(forged: Forged) -> list[tuple[bytes, ...]]:
    """What an ingest record is made of, in pieces that are mixed apart. Two fields that go together are one piece."""
    bundle = forged.bundle
    return [
        (blob(bundle.head),),
        (blob(bundle.headers),),
        (blobs(bundle.ciphertexts),),
        (blobs(bundle.entries),),
        (blob(forged.flush),),
        (blob(forged.signature),),
        (long(forged.index), array(forged.path)),
    ]


def delivered_parts(forged: Forged, agency: str = "ATF") -> list[tuple[bytes, ...]]:
    bundle = forged.bundle
    index = bundle.agencies.index(agency)
    leaves = [leaf(entry) for entry in bundle.entries]
    return [
        (blob(bundle.head),),
        (blob(bundle.headers),),
        (blobs(bundle.ciphertexts),),
        (blob(bundle.entries[index]),),
        (long(index), array(tree_path(index, leaves))),
        (blob(forged.flush),),
        (blob(forged.signature),),
        (long(forged.index), array(forged.path)),
    ]


def mixes(
    kind: bytes, ours: list[tuple[bytes, ...]], theirs: list[tuple[bytes, ...]]
) -> Iterator[tuple[object, bytes]]:
    """Every choice, piece by piece, between two records, but the two themselves."""

    def join(parts: Iterable[tuple[bytes, ...]]) -> bytes:
        return kind + b"".join(itertools.chain.from_iterable(parts))

    seen = {join(ours), join(theirs)}
    for choice in itertools.product((0, 1), repeat=len(ours)):
        value = join([(ours, theirs)[which][place] for place, which in enumerate(choice)])
        if value not in seen:
            seen.add(value)
            yield choice, value


@pytest.mark.parametrize("other", OTHERS)
def test_ingest_records_do_not_mix(other: str) -> None:
    tampered = mixes(b"ING1", ingest_parts(SMALL), ingest_parts(OTHERS[other]))
    assert refuse_all(router(), SMALL.ingest(), tampered) >= 2


@pytest.mark.parametrize("other", OTHERS)
def test_delivered_records_do_not_mix(other: str) -> None:
    tampered = mixes(b"DEL1", delivered_parts(SMALL), delivered_parts(OTHERS[other]))
    assert refuse_all(receiver(), SMALL.delivered("ATF"), tampered) >= 2


def test_the_parts_of_two_recipients_do_not_mix() -> None:
    """Even with both keys at hand: the hub cannot show ATF what is RSS's."""
    ours, theirs = delivered_parts(SMALL, "ATF"), delivered_parts(SMALL, "RSS")
    take = receiver(keys=(kem_key("ATF"), kem_key("RSS")))
    assert refuse_all(take, SMALL.delivered("ATF"), mixes(b"DEL1", ours, theirs)) == 2
    with pytest.raises(RejectedError):
        take(SMALL.delivered("RSS"))


@pytest.mark.parametrize("other", ["another publisher", "another hub"])
def test_whole_records_of_others_are_refused(other: str) -> None:
    """A whole honest record, on the wrong topic or at the wrong hub. A receiver takes any listed publisher's."""
    with pytest.raises(RejectedError):
        router()(OTHERS[other].ingest())
    if other == "another hub":
        with pytest.raises(RejectedError):
            receiver()(OTHERS[other].delivered("ATF"))


# --- what a dishonest publisher signs ---------------------------------------------------------------------------------


def hooked(step: str, change: Callable[[bytes], bytes]) -> Forged:
    """SMALL, with the bytes of ``step`` changed before all that is made from them."""

    def hook(value: list[bytes] | bytes) -> list[bytes] | bytes:
        return [change(value[0]), *value[1:]] if isinstance(value, list) else change(value)

    return small(flush={"hooks": {step: hook}}) if step == "flush" else small(hooks={step: hook})


STEPS: Final = ["lane", "core", "head", "entry.ATF", "headers", "flush"]


@pytest.mark.parametrize("step", STEPS)
def test_whatever_is_signed_ends_in_a_value_or_in_a_code(step: str) -> None:
    """A bit flipped before the signature: no other exception comes out of the router or of the receiver.

    What a receiver opens, the router has taken; and a receiver that shares no code with ours opens the same ones.
    """
    seen: list[bytes] = []
    hooked(step, lambda raw: seen.append(raw) or raw)
    bits = len(seen[0]) * 8
    stranger = Stranger(
        hub=HUB,
        recipient=ATF,
        kem_seeds=[kem_key("ATF").seed],
        snapshot=encode_listing(s.world().directory()),
        now_ms=s.NOW,
    )
    taken = 0
    for bit in range(0, bits, 1 + bits // 100):
        forged = hooked(step, lambda raw, bit=bit: _flip(raw, bit))
        ours = _takes(router(), forged.ingest())
        delivered = forged.delivered("ATF")
        opened = _takes(receiver(), delivered)
        assert opened == _takes(stranger.open, delivered), bit
        assert ours or not opened, bit
        taken += ours
    assert 0 < taken < bits


def _takes(take: Take, value: bytes) -> bool:
    try:
        take(value)
    except (RejectedError, UnavailableError, Refused):
        return False
    return True
