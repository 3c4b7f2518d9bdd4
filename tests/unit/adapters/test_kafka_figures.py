"""What is made of the broker's answers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hub.adapters.kafka_figures import NodeFigures, node_figures, partition_state
from hub.adapters.kafka_requests import Volume, parse_leader, parse_volumes


@pytest.mark.parametrize(
    ("leader", "replicas", "isrs", "minimum", "state"),
    [
        (1, [1, 2, 3], [1, 2, 3], 2, "healthy"),
        (1, [1, 2, 3], [1, 2], 2, "under_replicated"),
        (1, [1, 2, 3], [1], 2, "under_min_isr"),
        (-1, [1, 2, 3], [], 2, "offline"),
        (1, [1], [1], 2, "healthy"),  # one node alone, as on a developer's machine
    ],
)
def test_the_worst_that_is_true(leader: int, replicas: list[int], isrs: list[int], minimum: int, state: str) -> None:
    assert partition_state(SimpleNamespace(leader=leader, replicas=replicas, isrs=isrs), minimum) == state


def test_the_fullest_volume_is_told_and_all_sizes() -> None:
    volumes = [
        Volume(False, 1000, 900, {"a": 50}),
        Volume(False, 1000, 100, {"a": 850, "b": 50}),
        Volume(True, 0, 0, {}),
    ]
    assert node_figures(volumes, 0.5) == NodeFigures(0.5, 1000, 100, {"a": 900, "b": 50})
    assert node_figures([Volume(True, 0, 0, {})], 0.5) == NodeFigures(0.5, 0, 0, {})


def test_answers_as_they_come() -> None:
    told = [(0, "/data", [("deliver.ATF", [(0, 70, 0, False, {}), (1, 30, 0, False, {})], {})], 500, 200, {})]
    assert parse_volumes(SimpleNamespace(results=told)) == (Volume(False, 500, 200, {"deliver.ATF": 100}),)
    assert parse_leader(SimpleNamespace(topics=[("m", [(0, 0, 3, 1, 9, [], [], {})], {})])) == 3
    assert parse_leader(SimpleNamespace(topics=[("m", [(0, 0, -1, 1, 9, [], [], {})], {})])) is None
    assert parse_leader(SimpleNamespace(topics=[("m", [(0, 6, 3, 1, 9, [], [], {})], {})])) is None
