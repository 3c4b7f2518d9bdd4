"""The brokers and partitions of a cluster as whoever asks may see them, and the byte rates set on principals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException

from hub.adapters.kafka_admin import admin_client, translate
from hub.adapters.tls import TlsFiles

_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Node:
    """A broker that the cluster names."""

    node: int
    host: str
    port: int
    controller: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its leader (-1: none), its replicas, and those in sync."""

    topic: str
    partition: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What the cluster says of itself."""

    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]


class KafkaOverview:
    """Asks one cluster. Its calls block: for a thread."""

    def __init__(self, bootstrap: str, tls: TlsFiles) -> None:
        tls.check()
        self._bootstrap = bootstrap
        self._client = admin_client(bootstrap, tls)

    def read(self) -> Overview:
        """The cluster now; topics that this principal may not see are not in it. Raises ``BusUnavailable``."""
        try:
            metadata = self._client.list_topics(timeout=_SECONDS)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error
        return Overview(
            tuple(
                Node(broker.id, str(broker.host), broker.port, broker.id == metadata.controller_id)
                for broker in sorted(metadata.brokers.values(), key=lambda broker: broker.id)
            ),
            tuple(
                Partition(name, number, each.leader, tuple(each.replicas), tuple(each.isrs))
                for name, topic in sorted(metadata.topics.items())
                if not name.startswith("__")
                for number, each in sorted(topic.partitions.items())
            ),
        )
