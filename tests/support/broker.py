"""The real Kafka of the tests: one node for the whole session, with mutual TLS, the declared topics and ACLs.

The fixture ``broker`` is known to every test (tests/conftest.py). It takes about 4 s, when it is first asked for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from hub.adapters.broker_process import BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles
from hub.model import AgencyId, parse_agency_id
from hub.topics import Declaration

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "broker"
JARS = ROOT / "build" / "broker" / "jars"

AGENCIES = tuple(map(parse_agency_id, ("CCGIU", "ATF", "INTERPOL", "RSS", "HNP", "JCF", "JCF-X")))
"""Whom the session's broker knows from the start. ``JCF-X`` begins like ``JCF`` and must not be mistaken for it."""


class Broker:
    """A running node and what tests need of it."""

    def __init__(self, process: BrokerProcess, folder: Path) -> None:
        self.process = process
        self.bootstrap = process.bootstrap
        self.operator = process.operator
        self.authority: Authority = process.authority
        self.admin = KafkaAdmin(self.bootstrap, self.operator)
        self.declaration = Declaration.load()
        self._folder = folder
        self._agencies: set[AgencyId] = set()
        self._files: dict[str, TlsFiles] = {}

    def add_agencies(self, agencies: Iterable[AgencyId]) -> None:
        """Make these agencies' topics and ACLs; those that are there stay."""
        wanted = self._agencies | set(agencies)
        if wanted != self._agencies:
            self.admin.apply(self.admin.plan(self.declaration, wanted))
            self._agencies = wanted

    def client_files(self, principal: str) -> TlsFiles:
        """The certificate and key of an agency (or HUB), issued by the operator's CA; the same ones each time."""
        if principal not in self._files:
            self._files[principal] = self.authority.issue_client(principal, self._folder / "clients" / principal)
        return self._files[principal]

    def create_topic(self, name: str, partitions: int = 1, *, append_time: bool = True) -> None:
        """A topic without any ACL, for tests that use it as the operator."""
        tls = self.operator
        client = AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "security.protocol": "SSL",
                "ssl.ca.location": str(tls.ca),
                "ssl.certificate.location": str(tls.certificate),
                "ssl.key.location": str(tls.key),
            }
        )
        config = {"message.timestamp.type": "LogAppendTime" if append_time else "CreateTime"}
        for future in client.create_topics([NewTopic(name, num_partitions=partitions, config=config)]).values():
            future.result(10)


_API_VERSIONS = bytes.fromhex("0000001300120000000000010009") + b"tls-check"
"""A whole Kafka request, ApiVersions 0: a broker that lets us in answers it, even before it knows any right of ours."""


async def is_answered(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether the listener answers a request of ours."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                writer.write(_API_VERSIONS)
                await writer.drain()
                answer = await reader.readexactly(8)  # length, and the number that our request had
                return answer[4:] == _API_VERSIONS[8:12]
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """A node of one's own in ``folder``, with the topics and ACLs of :data:`AGENCIES`: for tests that leave behind what
    others must not find, records that are no bundles among them."""
    with BrokerProcess(folder / "kafka", deploy=DEPLOY, jars=JARS) as process:
        started = Broker(process, folder)
        started.add_agencies(AGENCIES)
        yield started


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's node, with the topics and ACLs of :data:`AGENCIES`."""
    with running_broker(tmp_path_factory.mktemp("broker")) as started:
        yield started
