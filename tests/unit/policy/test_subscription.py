"""hub/policy/subscription.py: by labels at the hub, by content in the client, and nothing without asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.model import HUB, AgencyId, EventId, OpenedEvent, Priority, Purpose, Route, parse_handling
from hub.policy import subscription as subscription_module
from hub.policy.source import PolicyInvalid
from hub.policy.subscription import Subscription, Subscriptions, load_subscription, parse_subscription
from tests.support.authority import NOW_MS
from tests.support.small_catalog import SMALL_CATALOG, firearm_body

JCF, ATF, RSS = AgencyId("JCF"), AgencyId("ATF"), AgencyId("RSS")
ASKED = """\
agency: ATF
accept:
  - name: stolen in Jamaica
    types: [firearm.notice]
    from: [JCF]
    priorities: [URGENT]
    purposes: [INVESTIGATION, PROSECUTION]
    handling: {at_least: TLP:GREEN, at_most: TLP:AMBER}
    when: {field: kind, equals: STOLEN}
  - name: cases
    types: case.update
    from: "*"
"""


def subscription(text: str = ASKED) -> Subscription:
    return parse_subscription(text, SMALL_CATALOG)


def route(
    event_type: str = "firearm.notice",
    handling: str = "TLP:AMBER",
    priority: Priority = Priority.URGENT,
    purpose: Purpose = Purpose.INVESTIGATION,
) -> Route:
    return Route(event_type, 1, parse_handling(handling), priority, purpose)


def opened(body: dict[str, Any], *, publisher: AgencyId = JCF, **labels: Any) -> OpenedEvent:
    return OpenedEvent(publisher, EventId(bytes(16)), route(**labels), NOW_MS, NOW_MS, bytes(16), None, body, (), ())


@pytest.mark.parametrize(
    ("publisher", "labels", "code"),
    [
        (JCF, {}, "subscription.asked"),
        (JCF, {"handling": "TLP:GREEN"}, "subscription.asked"),
        (JCF, {"purpose": Purpose.PROSECUTION}, "subscription.asked"),
        (RSS, {}, "subscription.labels"),
        (JCF, {"handling": "TLP:CLEAR"}, "subscription.labels"),
        (JCF, {"handling": "TLP:RED"}, "subscription.labels"),
        (JCF, {"handling": "TLP:AMBER H1"}, "subscription.labels"),
        (JCF, {"priority": Priority.ROUTINE}, "subscription.labels"),
        (JCF, {"purpose": Purpose.STATISTICS}, "subscription.labels"),
        (RSS, {"event_type": "case.update", "priority": Priority.ROUTINE}, "subscription.asked"),
        (JCF, {"event_type": "trace.request"}, "subscription.labels"),
        (HUB, {"event_type": "hub.notice"}, "subscription.hub_notice"),
        (JCF, {"event_type": "hub.notice"}, "subscription.labels"),
    ],
)
def test_by_labels(publisher: AgencyId, labels: dict[str, Any], code: str) -> None:
    found = subscription().decide_labels(publisher, route(**labels))
    assert found.code == code
    assert found.allowed is (code in ("subscription.asked", "subscription.hub_notice"))


def test_the_clause_is_told() -> None:
    assert subscription().decide_labels(JCF, route()).clause == 'subscription.yaml:3 accept "stolen in Jamaica"'


def test_by_content() -> None:
    asked = subscription()
    assert asked.matches(opened(firearm_body())).code == "subscription.asked"
    assert asked.matches(opened(firearm_body(kind="LOST"))).code == "subscription.content"
    assert asked.matches(opened(firearm_body(), publisher=RSS)).code == "subscription.labels"
    assert asked.matches(opened({"sealed": True}, event_type="case.update")).allowed
    assert asked.matches(opened({}, event_type="hub.notice", publisher=HUB)).allowed


@pytest.mark.parametrize("when", ["{field: kind, equals: LOST}", "{not: {field: kind, equals: LOST}}"])
def test_what_is_withheld_does_not_match(when: str) -> None:
    clause = f"{{name: x, types: firearm.notice, from: '*', when: {when}}}"
    asked = subscription(f"agency: ATF\naccept:\n  - {clause}\n")
    body = firearm_body()
    del body["kind"]
    found = asked.matches(opened(body))
    assert (found.allowed, found.code) == (False, "subscription.unknown")


def test_one_clause_is_enough() -> None:
    asked = subscription(
        "agency: ATF\naccept:\n"
        "  - {name: a, types: firearm.notice, from: '*', when: {field: holder, equals: ATF}}\n"
        "  - {name: b, types: firearm.notice, from: '*', when: {field: kind, equals: STOLEN}}\n"
    )
    assert asked.matches(opened(firearm_body(holder=None))).clause.endswith('accept "b"')


def test_nothing_is_asked_for() -> None:
    found = subscription("agency: ATF\naccept: []").decide_labels(JCF, route())
    assert (found.allowed, found.code) == (False, "subscription.none")


class TestHubPart:
    def test_it_decides_the_same_by_labels_and_tells_no_content(self) -> None:
        whole = subscription()
        text = whole.hub_part()
        assert "when" not in text
        assert "STOLEN" not in text
        assert "stolen" not in text
        part = subscription(text)
        assert whole.has_content
        assert not part.has_content
        for publisher in (JCF, RSS):
            for handling in ("TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:RED", "TLP:AMBER H0"):
                for priority in Priority:
                    for purpose in Purpose:
                        for event_type in ("firearm.notice", "case.update", "hub.notice"):
                            asked = route(event_type, handling, priority, purpose)
                            assert (
                                whole.decide_labels(publisher, asked).allowed
                                == part.decide_labels(publisher, asked).allowed
                            )

    def test_of_nothing(self) -> None:
        assert subscription(subscription("agency: ATF\naccept: []").hub_part()).clauses == ()


class TestFolder:
    def write(self, folder: Path, name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    def test_loaded(self, tmp_path: Path) -> None:
        self.write(tmp_path, "ATF.yaml", subscription().hub_part())
        self.write(tmp_path, "readme.txt", "nothing")
        found = Subscriptions.load_folder(tmp_path, SMALL_CATALOG)
        assert list(found) == [ATF]
        assert found.decide_labels(ATF, JCF, route()).allowed
        assert found.decide_labels(RSS, JCF, route()).code == "subscription.none"
        assert found.decide_labels(RSS, HUB, route("hub.notice")).allowed
        assert found.decide_labels(RSS, JCF, route("hub.notice")).code == "subscription.none"
        assert RSS not in found

    def test_content_is_not_told_to_the_hub(self, tmp_path: Path) -> None:
        self.write(tmp_path, "ATF.yaml", ASKED)
        with pytest.raises(PolicyInvalid, match="hub-part"):
            Subscriptions.load_folder(tmp_path, SMALL_CATALOG)

    def test_a_file_of_another_name(self, tmp_path: Path) -> None:
        self.write(tmp_path, "RSS.yaml", subscription().hub_part())
        with pytest.raises(PolicyInvalid, match=r"ATF\.yaml"):
            Subscriptions.load_folder(tmp_path, SMALL_CATALOG)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyInvalid, match="no such folder"):
            Subscriptions.load_folder(tmp_path / "none", SMALL_CATALOG)
        with pytest.raises(PolicyInvalid, match="cannot be read"):
            load_subscription(tmp_path / "none.yaml", SMALL_CATALOG)


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "MAX_CLAUSES", 1)
    with pytest.raises(PolicyInvalid, match="over 1 clauses"):
        subscription()


CLAUSE = "agency: ATF\naccept:\n  - name: x\n    types: [firearm.notice]\n    from: [JCF]\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("accept: []", 1, "'agency' is missing"),
        ("agency: ATF", 1, "'accept' is missing"),
        ("agency: NCA\naccept: []", 1, "lists no agency"),
        (CLAUSE.replace("    from: [JCF]\n", ""), 3, "'from' is missing"),
        (CLAUSE.replace("    types: [firearm.notice]\n", ""), 3, "'types' is missing"),
        (CLAUSE.replace("JCF", "JFC"), 5, "did you mean 'JCF'"),
        (CLAUSE.replace("[JCF]", "[]"), 5, "empty list"),
        (CLAUSE.replace("firearm.notice", "firearm.notes"), 4, "did you mean 'firearm.notice'"),
        (CLAUSE + "    priorities: [URGNT]\n", 6, "did you mean 'URGENT'"),
        (CLAUSE + "    purposes: [INVESTIGATIONS]\n", 6, "did you mean 'INVESTIGATION'"),
        (CLAUSE + "    handling: {}\n", 6, "at_least, at_most"),
        (CLAUSE + "    handling: {at_most: AMBER}\n", 6, "handling label"),
        (CLAUSE + "    handling: {most: TLP:RED}\n", 6, "unknown key 'most'"),
        (CLAUSE + "    when: {field: kind, equals: STOLN}\n", 6, "did you mean 'STOLEN'"),
        (CLAUSE + "    wanted: 1\n", 6, "unknown key 'wanted'"),
        (CLAUSE + CLAUSE.partition("accept:\n")[2], 6, "stands at subscription.yaml:3 already"),
    ],
)
def test_faults_name_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        parse_subscription(text, SMALL_CATALOG, agencies={"ATF", "JCF"})
    assert message in caught.value.message
    assert caught.value.message.startswith(f"subscription.yaml:{line}: ")
