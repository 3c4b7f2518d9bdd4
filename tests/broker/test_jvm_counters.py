"""The JVM of a real Kafka, by the file that it keeps."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from hub.adapters.jvm_counters import read_kafka_jvm
from tests.support.broker import Broker

pytestmark = pytest.mark.broker


def test_the_nodes_heap_is_seen(broker: Broker) -> None:
    assert broker.process.pid is not None
    found = read_kafka_jvm(Path("/tmp", f"hsperfdata_{getpass.getuser()}"))
    assert 10_000_000 < found.heap_used <= found.heap_most
    assert found.collections > 0
    assert 0 < found.collection_seconds < 600
    assert found.threads > 20
