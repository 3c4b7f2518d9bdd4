"""What waits for whom, from offsets alone."""

from __future__ import annotations

from typing import Any

from hub.adapters.group_lag import GROUPS_OF_A_TOPIC, GroupLag, Offsets, group_lags

BEGINS = {
    ("hub.quarantine", 0): 0,
    ("ingest.JCF", 0): 0,
    ("deliver.ATF", 0): 10,
    ("deliver.ATF", 1): 0,
    ("hub.retry", 0): 0,
}
ENDS = {
    ("hub.quarantine", 0): 9,
    ("ingest.JCF", 0): 7,
    ("deliver.ATF", 0): 30,
    ("deliver.ATF", 1): 4,
    ("hub.retry", 0): 2,
}


def lags(committed: dict[str, dict[Any, int]], members: dict[str, int] | None = None, **more: Any) -> list[GroupLag]:
    return list(group_lags(Offsets(BEGINS, ENDS, committed, members or {}, **more)))


def test_a_group_whose_members_are_gone_has_a_lag() -> None:
    found = lags(
        {"hub.router": {("ingest.JCF", 0): 7}, "ATF.site": {("deliver.ATF", 0): 25, ("deliver.ATF", 1): 4}},
        {"hub.router": 2, "ATF.site": 0},
    )
    assert found == [
        GroupLag("ATF.site", "deliver.ATF", 0, 5, 0, ((("deliver.ATF", 0), 25),)),
        GroupLag("hub.router", "hub.retry", 2, 2, 0, ((("hub.retry", 0), 0),)),
        GroupLag("hub.router", "ingest.JCF", 2, 0, 0, ()),
    ]


def test_where_no_group_has_read_all_waits_for_nobody() -> None:
    found = lags({})
    assert found == [
        GroupLag("", "deliver.ATF", 0, 24, 0, ((("deliver.ATF", 0), 10), (("deliver.ATF", 1), 0))),
        GroupLag("hub.router", "hub.retry", 0, 2, 0, ((("hub.retry", 0), 0),)),
        GroupLag("hub.router", "ingest.JCF", 0, 7, 0, ((("ingest.JCF", 0), 0),)),
    ]


def test_what_was_deleted_before_it_was_committed_is_counted() -> None:
    found = lags({"ATF.site": {("deliver.ATF", 0): 4}}, {"ATF.site": 1})[0]
    assert (found.group, found.records, found.expired) == ("ATF.site", 24, 6)
    assert found.waiting == ((("deliver.ATF", 0), 10), (("deliver.ATF", 1), 0))


def test_groups_of_others_and_members_that_have_committed_nothing() -> None:
    found = lags({"JCF.site": {("deliver.ATF", 0): 30}, "ATF.new": {}, "ATF.old": {}}, {"ATF.new": 1, "ATF.old": 0})
    assert [(lag.group, lag.records) for lag in found if lag.topic == "deliver.ATF"] == [("ATF.new", 24)]


def test_a_group_that_did_not_answer_is_no_group_that_never_read() -> None:
    assert lags({}, {"ATF.site": 1, "hub.router": 2}, complete=False) == []
    known = lags({"hub.router": {}}, {}, complete=False)
    assert [(lag.group, lag.members) for lag in known] == [("hub.router", None), ("hub.router", None)]


def test_an_agency_with_many_groups_fills_no_more_than_its_part() -> None:
    committed = {f"ATF.g{number}": {("deliver.ATF", 0): 30 - number, ("deliver.ATF", 1): 4} for number in range(20)}
    found = [lag for lag in lags(committed) if lag.topic == "deliver.ATF"]
    assert [lag.records for lag in found] == [*range(19, 19 - GROUPS_OF_A_TOPIC, -1)]
