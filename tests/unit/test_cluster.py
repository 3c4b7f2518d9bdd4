"""hub/cluster.py: what a cluster should have by the directory, and what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.cluster import (
    AclKey,
    Applied,
    Cluster,
    DirectoryOlder,
    Plan,
    QuotaKey,
    Wanted,
    acl_key,
    applied_by,
    plan_changes,
    quota_key,
    wanted_by,
    wanted_for,
)
from hub.model import HUB, AgencyId
from hub.topics import Acl, Declaration, Quota, Topic
from tests.support.authority import World

TOPIC = Topic("ingest.ATF", 3, (("cleanup.policy", "delete"), ("retention.ms", "1000")))
CONFIGS = dict(TOPIC.configs)
ACL = Acl("ATF", "WRITE", "TOPIC", "ingest.ATF")
KEY: AclKey = ("User:ATF", "*", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF")
QUOTA = Quota("ATF", "producer_byte_rate", 5000)
RATES: dict[QuotaKey, float] = {((("user", "ATF"),), "producer_byte_rate"): 5000.0}
WANTED = Wanted((TOPIC,), (ACL,), (QUOTA,))
AS_WANTED = Cluster({"ingest.ATF": 3}, {"ingest.ATF": CONFIGS}, frozenset({KEY}), RATES)
DECLARATION = Declaration.load()


def lines(cluster: Cluster, wanted: Wanted = WANTED) -> list[str]:
    return [str(change) for change in plan_changes(cluster, wanted).changes]


def done(plan: Plan) -> Cluster:
    """The cluster when ``plan`` was carried out to the letter, and as its record says."""
    wanted = plan.wanted
    return Cluster(
        {topic.name: topic.partitions for topic in wanted.topics},
        {topic.name: dict(topic.configs) for topic in wanted.topics},
        frozenset(map(acl_key, wanted.acls)),
        {quota_key(quota): float(quota.rate) for quota in wanted.quotas},
        applied_by(plan, at_ms=7),
    )


# --- what differs -----------------------------------------------------------------------------------------------------


def test_an_empty_cluster_gets_everything() -> None:
    assert lines(Cluster({}, {}, frozenset())) == [
        "+ topic ingest.ATF: 3 partitions; cleanup.policy=delete retention.ms=1000",
        "+ quota user ATF producer_byte_rate: 5000",
        "+ acl User:ATF ALLOW WRITE TOPIC ingest.ATF",
    ]


def test_a_cluster_as_wanted_gets_nothing() -> None:
    plan = plan_changes(AS_WANTED, WANTED)
    assert plan.changes == ()
    assert plan.summary() == "nothing to change"


def test_each_difference_is_shown_with_before_and_after() -> None:
    drifted = {"retention.ms": "5", "compression.type": "gzip"}
    rates: dict[QuotaKey, float] = {next(iter(RATES)): 1.5, ((("user", None),), "consumer_byte_rate"): 9.0}
    cluster = Cluster({"ingest.ATF": 1}, {"ingest.ATF": drifted}, frozenset({KEY}), rates)
    assert lines(cluster) == [
        "~ partitions ingest.ATF: 1 -> 3",
        "+ config ingest.ATF cleanup.policy: delete",
        "- config ingest.ATF compression.type: gzip",
        "~ config ingest.ATF retention.ms: 5 -> 1000",
        "~ quota user ATF producer_byte_rate: 1.5 -> 5000",
        "- quota user (all others) consumer_byte_rate: 9",
    ]
    assert plan_changes(cluster, WANTED).summary() == "Plan: 1 to create, 3 to change, 2 to remove"


@pytest.mark.parametrize(
    "foreign",
    [
        ("User:ATF", "*", "READ", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "10.0.0.1", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "*", "WRITE", "DENY", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:ATF", "*", "WRITE", "ALLOW", "TOPIC", "PREFIXED", "ingest.ATF"),
        ("User:*", "*", "WRITE", "ALLOW", "TOPIC", "LITERAL", "ingest.ATF"),
        ("User:stranger", "*", "READ", "ALLOW", "GROUP", "LITERAL", "x"),
    ],
)
def test_an_acl_that_differs_in_anything_is_removed(foreign: AclKey) -> None:
    plan = plan_changes(replace(AS_WANTED, acls=frozenset({KEY, foreign})), WANTED)
    assert [(change.action, change.kind) for change in plan.changes] == [("remove", "acl")]
    assert plan.remove_acls == (foreign,)


def test_rights_are_taken_away_first_and_given_last() -> None:
    plan = plan_changes(Cluster({}, {}, frozenset({("User:X", *KEY[1:])})), WANTED)
    assert [(change.action, change.kind) for change in plan.changes] == [
        ("remove", "acl"),
        ("create", "topic"),
        ("create", "quota"),
        ("create", "acl"),
    ]


def test_a_topic_that_nobody_declared_is_named_and_left_alone() -> None:
    plan = plan_changes(replace(AS_WANTED, partitions={"ingest.ATF": 3, "old": 1}), WANTED)
    assert plan.changes == ()
    assert plan.undeclared == ("old",)


def test_partitions_cannot_be_taken_away_and_all_else_goes_on() -> None:
    plan = plan_changes(Cluster({"ingest.ATF": 5}, {"ingest.ATF": CONFIGS}, frozenset(), RATES), WANTED)
    (words,) = plan.cannot
    assert "5 partitions and 3 are declared" in words
    assert plan.create_acls == (KEY,)


def test_a_change_as_json() -> None:
    change = plan_changes(Cluster({}, {}, frozenset()), WANTED).changes[-1]
    assert change.as_json() == {
        "action": "create",
        "kind": "acl",
        "name": "User:ATF ALLOW WRITE TOPIC ingest.ATF",
        "before": None,
        "after": None,
        "drift": False,
    }


# --- what someone else has changed ------------------------------------------------------------------------------------

OTHER_KEY: AclKey = ("User:X", "*", "READ", "ALLOW", "TOPIC", "LITERAL", "deliver.ATF")


def drifted(**changes: object) -> list[tuple[str, str, bool]]:
    cluster = replace(done(plan_changes(Cluster({}, {}, frozenset()), WANTED)), **changes)  # type: ignore[arg-type]
    plan = plan_changes(cluster, WANTED)
    assert f"{len(plan.changes)} of them changed by someone else" in plan.summary()
    return [(change.action, change.kind, change.drift) for change in plan.changes]


def test_what_someone_else_did_is_said_to_be_someone_elses() -> None:
    assert drifted(acls=frozenset()) == [("create", "acl", True)]
    assert drifted(acls=frozenset({KEY, OTHER_KEY})) == [("remove", "acl", True)]
    assert drifted(partitions={}) == [("create", "topic", True)]
    assert drifted(partitions={"ingest.ATF": 2}) == [("change", "partitions", True)]
    assert drifted(configs={"ingest.ATF": {**CONFIGS, "retention.ms": "5"}}) == [("change", "config", True)]
    assert drifted(configs={"ingest.ATF": {**CONFIGS, "segment.ms": "5"}}) == [("remove", "config", True)]
    assert drifted(quotas={}) == [("create", "quota", True)]
    assert drifted(quotas={**RATES, ((("ip", "10.0.0.1"),), "connection_creation_rate"): 1.0}) == [
        ("remove", "quota", True)
    ]


def test_what_is_wanted_otherwise_now_is_nobodys_drift() -> None:
    cluster = done(plan_changes(Cluster({}, {}, frozenset()), WANTED))
    other = Wanted(
        (replace(TOPIC, partitions=4, configs=(("retention.ms", "7"), ("segment.ms", "5"))),),
        (replace(ACL, operation="READ"),),
        (replace(QUOTA, rate=6), replace(QUOTA, name="consumer_byte_rate")),
    )
    plan = plan_changes(cluster, other)
    assert len(plan.changes) == 8
    assert not any(change.drift for change in plan.changes)
    assert "someone" not in plan.summary()


def test_without_a_memory_nothing_is_called_drift() -> None:
    plan = plan_changes(replace(AS_WANTED, acls=frozenset({KEY, OTHER_KEY})), WANTED)
    assert [change.drift for change in plan.changes] == [False]


def test_a_drifted_change_says_so() -> None:
    applied = applied_by(plan_changes(AS_WANTED, WANTED), at_ms=1)
    (change,) = plan_changes(replace(AS_WANTED, acls=frozenset(), applied=applied), WANTED).changes
    assert str(change).endswith("# someone else has changed this")


# --- by the directory -------------------------------------------------------------------------------------------------


def test_a_suspended_agency_keeps_its_topics_and_nothing_else() -> None:
    world = World.of("ATF", "JCF")
    before = wanted_by(world.directory(), DECLARATION)
    world.suspend("JCF")
    after = wanted_by(world.directory(), DECLARATION)
    assert before.topics == after.topics
    assert {topic.name for topic in after.topics} >= {"ingest.JCF", "deliver.JCF"}
    assert {acl.principal for acl in before.acls} - {acl.principal for acl in after.acls} == {"JCF"}
    assert {quota.principal for quota in after.quotas} == {"ATF"}
    assert set(after.acls) < set(before.acls)
    assert (after.directory, before.directory) == (world.version, world.version - 1)


def test_a_directory_wants_what_the_same_list_of_agencies_wants() -> None:
    by_list = wanted_for([AgencyId("ATF"), AgencyId("JCF")], DECLARATION)
    assert replace(wanted_by(World.of("ATF", "JCF").directory(), DECLARATION), directory=None) == by_list


def test_a_suspended_hub_has_no_right_either() -> None:
    world = World.of("ATF")
    world.suspend(HUB)
    wanted = wanted_by(world.directory(), DECLARATION)
    principals = {acl.principal for acl in wanted.acls}
    assert "ATF" in principals
    assert HUB not in principals


def test_an_older_directory_is_refused_and_the_same_one_is_not() -> None:
    wanted = replace(WANTED, directory=5)
    cluster = done(plan_changes(Cluster({}, {}, frozenset()), wanted))
    assert cluster.applied is not None
    assert cluster.applied.directory == 5
    plan_changes(cluster, wanted).check_not_older()
    older = plan_changes(cluster, replace(wanted, directory=4))
    with pytest.raises(DirectoryOlder):
        older.check_not_older()
    older.forgetting_newer().check_not_older()


def test_a_list_of_agencies_does_not_make_the_cluster_forget_the_directory() -> None:
    cluster = done(plan_changes(Cluster({}, {}, frozenset()), replace(WANTED, directory=5)))
    by_list = plan_changes(cluster, WANTED)
    by_list.check_not_older()
    assert applied_by(by_list, at_ms=8).directory == 5


def test_what_was_applied_can_be_kept_and_read() -> None:
    from hub.adapters.kafka_applied import AppliedUnreadable, _encode, _parse

    agencies = [AgencyId("ATF"), AgencyId("JCF")]
    wanted = replace(wanted_for(agencies, DECLARATION), directory=3)
    applied: Applied = applied_by(plan_changes(Cluster({}, {}, frozenset()), wanted), at_ms=9)
    assert _parse(_encode(applied)) == applied
    for raw in (b"", b"{}", b"[]", _encode(applied).replace(b"/v1/", b"/v2/")):
        with pytest.raises(AppliedUnreadable):
            _parse(raw)
