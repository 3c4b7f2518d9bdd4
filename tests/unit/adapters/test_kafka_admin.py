from __future__ import annotations

import pytest

from hub.adapters.kafka_admin import AclKey, Cluster, plan_changes
from hub.errors import ConfigError
from hub.topics import Acl, Topic

TOPIC = Topic("ingest.ATF", 3, (("cleanup.policy", "delete"), ("retention.ms", "1000")))
CONFIGS = dict(TOPIC.configs)
ACL = Acl("ATF", "WRITE", "TOPIC", "ingest.ATF")
KEY: AclKey = ("User:ATF", "*", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF")


def lines(cluster: Cluster) -> list[str]:
    return [str(change) for change in plan_changes(cluster, [TOPIC], [ACL]).changes]


def test_an_empty_cluster_gets_everything() -> None:
    assert lines(Cluster({}, {}, frozenset())) == [
        "+ topic ingest.ATF: 3 partitions",
        "+ acl User:ATF ALLOW WRITE TOPIC ingest.ATF",
    ]


def test_a_cluster_as_declared_gets_nothing() -> None:
    assert lines(Cluster({"ingest.ATF": 3}, {"ingest.ATF": CONFIGS}, frozenset({KEY}))) == []


def test_each_drift_is_shown() -> None:
    drifted = {"retention.ms": "5", "compression.type": "gzip"}
    assert lines(Cluster({"ingest.ATF": 1}, {"ingest.ATF": drifted}, frozenset({KEY}))) == [
        "~ partitions ingest.ATF: 1 -> 3",
        "+ config ingest.ATF cleanup.policy: delete",
        "- config ingest.ATF compression.type: gzip",
        "~ config ingest.ATF retention.ms: 5 -> 1000",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        ("User:ATF", "*", "READ", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "10.0.0.1", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "*", "WRITE", "DENY", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "*", "WRITE", "ALLOW", "TOPIC", "PREFIXED", "ingest.ATF"),
        ("User:*", "*", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
    ],
)
def test_an_acl_that_differs_in_anything_is_removed(foreign: AclKey) -> None:
    plan = plan_changes(Cluster({"ingest.ATF": 3}, {"ingest.ATF": CONFIGS}, frozenset({KEY, foreign})), [TOPIC], [ACL])
    assert [(change.action, change.kind) for change in plan.changes] == [("remove", "acl")]
    assert plan._remove == (foreign,)


def test_a_topic_that_nobody_declared_is_named_and_left_alone() -> None:
    plan = plan_changes(Cluster({"ingest.ATF": 3, "old": 1}, {"ingest.ATF": CONFIGS}, frozenset({KEY})), [TOPIC], [ACL])
    assert plan.changes == ()
    assert plan.undeclared == ("old",)


def test_partitions_cannot_be_taken_away() -> None:
    with pytest.raises(ConfigError, match="more partitions"):
        lines(Cluster({"ingest.ATF": 5}, {"ingest.ATF": CONFIGS}, frozenset({KEY})))


def test_a_change_as_json() -> None:
    (change, _) = plan_changes(Cluster({}, {}, frozenset()), [TOPIC], [ACL]).changes
    assert change.as_json() == {
        "action": "create",
        "kind": "topic",
        "name": "ingest.ATF",
        "before": None,
        "after": "3 partitions",
    }
