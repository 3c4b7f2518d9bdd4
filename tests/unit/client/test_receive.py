"""What a publisher that lies cannot do: one number twice, one event id twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hub.client.receive import Received, Receiver, UnsafeEverything
from hub.model import HUB, Route, parse_handling
from hub.ports import IncomingRecord
from hub.trust.replay import EventIds
from hub.trust.seal import Draft, Group, Sealer
from hub.trust.sequence import Streams
from hub.trust.verify import FlushCache, verify_ingest
from tests.support.authority import NOW_MS
from tests.support.samples import catalog, sample_event, sample_sections
from tests.support.sites import ATF, JCF, Net

TRACE = catalog().get("trace.request")
COMPARTMENTS = TRACE.compartments


@pytest.fixture
def net() -> Net:
    return Net()


def make_sealer(net: Net) -> Sealer:
    return Sealer(
        hub=HUB,
        publisher=JCF,
        site_key=net.world.keys[JCF].signing,
        directory=net.directory.current(),
        policy_version="test",
        previous={},
    )


def draft(number: int) -> Draft:
    event_id = bytes.fromhex("0192a00000007000800000000000") + number.to_bytes(2, "big")
    return Draft(event_id, NOW_MS, b"c" * 16, None, NOW_MS + 10**9, sample_sections("trace.request"))  # type: ignore[arg-type]


def deliver(net: Net, sealer: Sealer, *drafts: Draft) -> bytes:
    event = sample_event("trace.request")
    route = Route("trace.request", TRACE.version, parse_handling("TLP:AMBER"), event.priority, event.purpose)
    [record] = sealer.seal([Group(route, COMPARTMENTS, ((ATF, COMPARTMENTS),), drafts)], now_ms=NOW_MS).records
    bundle = verify_ingest(
        record.value,
        owner=JCF,
        hub=HUB,
        directory=net.directory.current(),
        now_ms=NOW_MS,
        flushes=FlushCache(),
    )
    return bundle.delivery(ATF)


def read(net: Net, values: Sequence[bytes]) -> tuple[Received, Receiver]:
    receiver = Receiver(
        hub=HUB,
        agency=ATF,
        kem_keys=lambda: net.world.keys[ATF].kem_all,
        catalog=catalog(),
        content=UnsafeEverything(),
        streams=Streams(),
        event_ids=EventIds(),
    )
    records = [IncomingRecord("deliver.ATF", 0, offset, 0, None, value) for offset, value in enumerate(values)]
    return receiver.read(records, directory=net.directory.current(), now_ms=NOW_MS), receiver


def test_one_number_for_two_bundles_is_an_alarm(net: Net) -> None:
    honest, twin = make_sealer(net), make_sealer(net)
    twin.instance, twin._owner = honest.instance, honest._owner
    first = deliver(net, honest, draft(1))
    received, receiver = read(net, [first, deliver(net, twin, draft(2)), first])
    assert len(received.arrivals) == 1
    assert received.bundles[JCF, "trace.request", "duplicate", ""] == 1, "what came first is what is remembered"
    assert [row.code for row in received.rejected] == ["sequence.equivocation"]
    assert received.alarms == {(JCF, "sequence.equivocation"): 1}
    [stream] = receiver.streams
    assert (stream.high, stream.missing) == (1, [])


def test_one_event_id_for_two_events_is_an_alarm_and_no_gap(net: Net) -> None:
    sealer = make_sealer(net)
    received, receiver = read(net, [deliver(net, sealer, draft(1)), deliver(net, sealer, draft(1))])
    assert len(received.arrivals) == 1
    assert [row.code for row in received.rejected] == ["event_id.reused"]
    assert received.alarms == {(JCF, "event_id.reused"): 1}
    assert receiver.streams.gaps() == ()
    [stream] = receiver.streams
    assert stream.high == 2


def test_every_record_moves_the_offset_on(net: Net) -> None:
    sealer = make_sealer(net)
    value = deliver(net, sealer, draft(1))
    received, _ = read(net, [b"nonsense", value, value])
    assert received.next_offsets == {("deliver.ATF", 0): 3}
    assert received.bundles[JCF, "trace.request", "duplicate", ""] == 1
