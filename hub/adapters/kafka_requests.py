"""Two questions that no client library of ours asks: how full the disks are, and who leads the controllers.

The layouts are Kafka's protocol, DescribeLogDirs version 4 and DescribeQuorum version 0. Both are answered from what
the nodes know of themselves; neither reads a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_TEXT: Final = CompactString("utf-8")
_METADATA: Final = "__cluster_metadata"


class _LogDirsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 35
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            CompactArray(
                ("error_code", Int16),
                ("log_dir", _TEXT),
                (
                    "topics",
                    CompactArray(
                        ("name", _TEXT),
                        (
                            "partitions",
                            CompactArray(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("total_bytes", Int64),
                ("usable_bytes", Int64),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _LogDirsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 35
    API_VERSION = 4
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class LogDirs(Request[_LogDirsStruct]):  # type: ignore[misc]
    """For one node: its volumes, and on each the size of every partition. ``results`` in the answer."""

    API_KEY = 35

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(None, {})  # None: of all topics


@dataclass(frozen=True, slots=True)
class Volume:
    """One place where a node keeps topics: its size, what is left, the bytes of each topic. ``failed``: it is gone."""

    failed: bool
    total: int
    usable: int
    sizes: Mapping[str, int]


def parse_volumes(answer: Any) -> tuple[Volume, ...]:
    """The volumes in the answer to :class:`LogDirs`, which comes as tuples in the order of the layout."""
    found: list[Volume] = []
    for error_code, _log_dir, topics, total, usable, _tags in answer.results:
        sizes = {name: sum(size for _, size, *_ in partitions) for name, partitions, _ in topics}
        found.append(Volume(error_code != 0, total, usable, sizes))
    return tuple(found)


_REPLICAS: Final = CompactArray(("replica_id", Int32), ("log_end_offset", Int64), ("tags", TaggedFields))


class _QuorumResponse(Response):  # type: ignore[misc]
    API_KEY = 55
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic_name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 55
    API_VERSION = 0
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_name", _TEXT),
                ("partitions", CompactArray(("partition_index", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class Quorum(Request[_QuorumStruct]):  # type: ignore[misc]
    """For any node: who leads the controllers. ``topics`` in the answer; a node that is no controller asks theirs."""

    API_KEY = 55

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(_METADATA, [(0, {})], {})], {})


def parse_leader(answer: Any) -> int | None:
    """The node that leads the controllers, from the answer to :class:`Quorum`; None: none does."""
    for _topic, partitions, _tags in answer.topics:
        for _index, error_code, leader, *_rest in partitions:
            if error_code == 0 and leader >= 0:
                return int(leader)
    return None
