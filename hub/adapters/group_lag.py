"""What waits for whom: from the ends of the partitions and what each group has committed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.ports import Position
from hub.topics import RETRY, ROUTER_GROUP, flow_topic

GROUPS_OF_A_TOPIC: Final = 8
"""So many groups of one delivery topic are told apart, those for which most waits: an agency can make any number."""

NOBODY: Final = ""
"""The group of a topic that no group has ever read."""


@dataclass(frozen=True, slots=True)
class Offsets:
    """The first and the next offset of each partition; for each group its members and the next offset that it wants.

    A group that did not answer is in neither. ``complete``: all did, so that a group which is not there is none.
    """

    begins: Mapping[Position, int]
    ends: Mapping[Position, int]
    committed: Mapping[str, Mapping[Position, int]]
    members: Mapping[str, int]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class GroupLag:
    """What one group has yet to commit of one topic.

    ``waiting`` is the oldest such offset of each partition that has any; ``expired`` counts what was deleted before it
    was committed. ``members`` None: not known now.
    """

    group: str
    topic: str
    members: int | None
    records: int
    expired: int
    waiting: tuple[tuple[Position, int], ...]


def group_lags(offsets: Offsets) -> tuple[GroupLag, ...]:
    """The routers' lag on each ingest topic and on what is given back; that of each agency's groups on its own topic.

    A topic that no group has read yet waits from its start, for :data:`NOBODY`. A group that has committed nothing of a
    partition would begin at its start too.
    """
    partitions: dict[str, list[Position]] = defaultdict(list)
    for position in offsets.begins.keys() & offsets.ends.keys():
        partitions[position[0]].append(position)
    found: list[GroupLag] = []
    for topic, positions in sorted(partitions.items()):
        lags = [_lag(group, topic, sorted(positions), offsets) for group in _groups(topic, offsets)]
        found += sorted(lags, key=lambda lag: -lag.records)[:GROUPS_OF_A_TOPIC]
    return tuple(found)


def _groups(topic: str, offsets: Offsets) -> Sequence[str]:
    if topic == RETRY:
        return _routers(offsets)
    match flow_topic(topic):
        case ("ingest", _):
            return _routers(offsets)
        case ("deliver", agency):
            return list(_readers(topic, f"{agency}.", offsets)) or ([NOBODY] if offsets.complete else [])
        case _:
            return []


def _routers(offsets: Offsets) -> Sequence[str]:
    return [ROUTER_GROUP] if offsets.complete or ROUTER_GROUP in offsets.committed else []


def _readers(topic: str, prefix: str, offsets: Offsets) -> Iterator[str]:
    for group, committed in sorted(offsets.committed.items()):
        has_read = any(position[0] == topic for position in committed)
        if group.startswith(prefix) and (has_read or offsets.members.get(group)):
            yield group


def _lag(group: str, topic: str, positions: Sequence[Position], offsets: Offsets) -> GroupLag:
    records = expired = 0
    waiting: list[tuple[Position, int]] = []
    for position in positions:
        begin, end = offsets.begins[position], offsets.ends[position]
        committed = offsets.committed.get(group, {}).get(position)
        wanted = begin if committed is None else max(begin, committed)
        expired += max(0, begin - (begin if committed is None else committed))
        if end > wanted:
            records += end - wanted
            waiting.append((position, wanted))
    members = offsets.members.get(group) if group in offsets.committed else 0
    return GroupLag(group, topic, members, records, expired, tuple(waiting))
