"""What the broker itself refuses: a stranger's certificate, and an agency at another agency's topics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hub.adapters.kafka import KafkaConsumer, KafkaProducer
from hub.adapters.kafka_reader import read_topic
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles
from hub.errors import BusNotAuthorized, HubError
from hub.model import AgencyId
from hub.ports import OutgoingRecord
from hub.topics import consumer_group, deliver_topic, ingest_topic


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt, whether it was refused, and in which words."""

    attempt: str
    refused: bool
    words: str


async def attempt_all(bootstrap: str, files: dict[AgencyId, TlsFiles], folder: Path) -> list[Refusal]:
    """Tries each in turn. ``folder`` takes the stranger's certificates."""
    jcf, atf, hub = AgencyId("JCF"), AgencyId("ATF"), AgencyId("HUB")
    stranger = Authority.load_or_create(folder / "ca").issue_client(jcf, folder / "JCF")
    # The stranger trusts the real broker, and shows a certificate in JCF's name by an authority of its own.
    stranger = TlsFiles(files[jcf].ca, stranger.certificate, stranger.key)
    attempts = [
        _try("a certificate in JCF's name from a stranger's authority", lambda: _write(bootstrap, stranger, jcf)),
        _try("JCF writes to ingest.ATF", lambda: _write(bootstrap, files[jcf], atf)),
        _try("JCF reads deliver.ATF", lambda: _read(bootstrap, files[jcf], deliver_topic(atf), jcf)),
        _try("JCF reads its own topic in ATF's group", lambda: _read(bootstrap, files[jcf], deliver_topic(jcf), atf)),
        _try("ATF reads what JCF published", lambda: _read(bootstrap, files[atf], ingest_topic(jcf), atf)),
        _try("JCF writes to its own deliver.JCF", lambda: _deliver(bootstrap, files[jcf], jcf)),
        _try(
            "the router's certificate reads deliver.ATF", lambda: _read_all(bootstrap, files[hub], deliver_topic(atf))
        ),
    ]
    return await asyncio.gather(*attempts)


async def _try(attempt: str, act: Callable[[], Awaitable[None]]) -> Refusal:
    try:
        await act()
    except BusNotAuthorized as error:
        return Refusal(attempt, True, error.diagnostics())
    except HubError as error:
        return Refusal(attempt, False, f"it failed, but not for want of a right: {error.diagnostics()}")
    return Refusal(attempt, False, "it was allowed")


async def _write(bootstrap: str, tls: TlsFiles, agency: AgencyId) -> None:
    await _send(bootstrap, tls, ingest_topic(agency))


async def _deliver(bootstrap: str, tls: TlsFiles, agency: AgencyId) -> None:
    await _send(bootstrap, tls, deliver_topic(agency))


async def _send(bootstrap: str, tls: TlsFiles, topic: str) -> None:
    producer = KafkaProducer(bootstrap, tls, seconds=10)
    try:
        await producer.start()
        await producer.send([OutgoingRecord(topic, None, b"not a bundle")])
    finally:
        await producer.stop()


async def _read(bootstrap: str, tls: TlsFiles, topic: str, group_of: AgencyId) -> None:
    consumer = KafkaConsumer(bootstrap, tls, topics=[topic], group=consumer_group(group_of, "curious"))
    try:
        await consumer.start()
        await consumer.poll(max_records=1, wait=5)
    finally:
        await consumer.stop()


async def _read_all(bootstrap: str, tls: TlsFiles, topic: str) -> None:
    """Outside every group: the router has one group alone, and is refused here for the topic's sake."""
    async for _ in read_topic(bootstrap, tls, topic):
        return
