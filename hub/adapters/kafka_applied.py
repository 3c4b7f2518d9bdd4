"""What was applied last, kept in the cluster (topic ``hub.applied``), so that every machine of the operator knows it.

One record: the newest. It is a memory, not a proof: whoever can write it is the operator, who can change everything.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from hub.cluster import Applied
from hub.errors import BusUnavailable, ConfigError
from hub.topics import APPLIED

_SECONDS: Final = 10.0
_KEY: Final = b"applied"
_KIND: Final = "cgi-hub/v1/applied"


class AppliedUnreadable(ConfigError):
    """The cluster's memory of what was applied last is of another form: a later release of hub wrote it."""

    code = "broker.applied_unreadable"


def read_applied(configuration: dict[str, Any]) -> Applied | None:
    """The newest record of the topic, which must be there; ``None`` where nothing was applied yet.

    ``configuration`` is a client's, with its TLS. Raises ``KafkaException``, :class:`BusUnavailable`,
    :class:`AppliedUnreadable`.
    """
    consumer = Consumer({**configuration, "group.id": "operator", "enable.auto.commit": False})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(APPLIED, 0), timeout=_SECONDS)
        if high <= low:
            return None
        consumer.assign([TopicPartition(APPLIED, 0, high - 1)])
        message = consumer.poll(_SECONDS)
        if message is None:
            raise BusUnavailable("what was applied cannot be read now", topic=APPLIED)
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        return _parse(message.value())
    finally:
        consumer.close()


def write_applied(configuration: dict[str, Any], applied: Applied) -> None:
    """Replace it; returns when it is acknowledged. Raises ``KafkaException``."""
    failed: list[KafkaError] = []
    producer = Producer({**configuration, "acks": "all", "message.max.bytes": 4_000_000, "message.timeout.ms": 20_000})
    producer.produce(
        APPLIED, _encode(applied), _KEY, on_delivery=lambda error, _message: failed.append(error) if error else None
    )
    if producer.flush(30) or failed:
        raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))


def now_ms() -> int:
    """The time of a record."""
    return int(time.time() * 1000)


def _encode(applied: Applied) -> bytes:
    return json.dumps(
        {
            "kind": _KIND,
            "at_ms": applied.at_ms,
            "directory": applied.directory,
            "topics": {
                name: {"partitions": count, "configs": applied.configs[name]}
                for name, count in applied.partitions.items()
            },
            "acls": sorted(applied.acls),
            "quotas": [[entity, name, value] for (entity, name), value in applied.quotas.items()],
        },
        separators=(",", ":"),
    ).encode()


def _parse(raw: bytes | None) -> Applied:
    try:
        value = json.loads(raw or b"")
        if value["kind"] != _KIND:
            raise ValueError(value["kind"])
        return Applied(
            value["at_ms"],
            value["directory"],
            {name: topic["partitions"] for name, topic in value["topics"].items()},
            {name: topic["configs"] for name, topic in value["topics"].items()},
            frozenset(tuple(acl) for acl in value["acls"]),
            {(tuple((kind, one) for kind, one in entity), name): rate for entity, name, rate in value["quotas"]},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise AppliedUnreadable(
            "what was applied last stands there in a form that we do not know", topic=APPLIED
        ) from error
