"""hub/stubs.py: the one entry that is asked for, from among all that stands on the topic."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.model import HUB, AgencyId
from hub.ports import IncomingRecord
from hub.stubs import StubNotFound, Wanted, has_entry, make_stub
from hub.trust.composite import SignatureInvalid
from hub.trust.stub import verify_stub
from hub.wire.bundle import parse_ingest
from tests.support.authority import World
from tests.support.routing import Site

JCF, ATF, RSS = AgencyId("JCF"), AgencyId("ATF"), AgencyId("RSS")


@pytest.fixture
def world() -> World:
    return World.of("JCF", "ATF", "RSS")


async def stream(*values: bytes) -> AsyncIterator[IncomingRecord]:
    for offset, value in enumerate(values):
        yield IncomingRecord("ingest.JCF", 0, offset, 0, b"k", value)


async def test_the_stub_of_the_entry_that_is_asked_for(world: World) -> None:
    site, other = Site(world, "JCF"), Site(world, "JCF")
    records = [s.seal(["ATF", "RSS"]).value for s in (site, other, site, other, site)]
    wanted = Wanted(JCF, site.sealer.instance, RSS, 2)
    value = await make_stub(
        stream(b"garbage", site.heartbeat(["RSS"]).value, *records),
        wanted,
        hub=HUB,
        directory=world.directory(),
        now_ms=world.now_ms,
    )
    stub = verify_stub(value, hub=HUB, recipient=RSS, directory=world.directory(), now_ms=world.now_ms)
    assert (stub.publisher, stub.instance, stub.recipient_seq) == (JCF, site.sealer.instance, 2)
    assert len(value) < len(records[2])


@pytest.mark.parametrize(
    "other",
    [
        {"publisher": ATF},
        {"instance": bytes(16)},
        {"recipient": AgencyId("NCA")},
        {"recipient_seq": 2},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_one_is_not_found(world: World, other: dict) -> None:
    site = Site(world, "JCF")
    facts = {"publisher": JCF, "instance": site.sealer.instance, "recipient": RSS, "recipient_seq": 1}
    value = site.seal(["RSS"]).value
    assert has_entry(value, Wanted(**facts))
    with pytest.raises(StubNotFound):
        await make_stub(
            stream(value), Wanted(**{**facts, **other}), hub=HUB, directory=world.directory(), now_ms=world.now_ms
        )


async def test_no_stub_is_made_of_what_does_not_verify(world: World) -> None:
    site = Site(world, "JCF")
    wanted = Wanted(JCF, site.sealer.instance, RSS, 1)
    value = site.seal(["RSS"]).value
    record = parse_ingest(value)
    forged = value.replace(record.proof.signature, bytes(len(record.proof.signature)))
    with pytest.raises(SignatureInvalid):
        await make_stub(stream(forged), wanted, hub=HUB, directory=world.directory(), now_ms=world.now_ms)
