"""hub/policy/release.py and recipients.py: allow adds, never takes away and wins, what is unknown releases nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hub.model import AgencyId, Decision, Event, EventId, EventRef
from hub.policy import release as release_module
from hub.policy import source as source_module
from hub.policy.release import Release, ReleaseTypeUnknown, load_release, parse_release
from hub.policy.source import PolicyInvalid
from tests.support.small_catalog import SMALL_CATALOG, an_event, firearm_body

ATF, RSS, JCF = AgencyId("ATF"), AgencyId("RSS"), AgencyId("JCF")


def release(text: str) -> Release:
    return parse_release(text, SMALL_CATALOG)


def decide(text: str, event: Event | None = None, to: AgencyId = ATF) -> Decision:
    return release(text).decide(an_event() if event is None else event, to)


def rule(
    name: str = "a rule",
    types: str = "[firearm.notice]",
    to: str = "[ATF]",
    compartments: str = "[core, personal]",
    when: str = "",
) -> str:
    lines = [f"  - rule: {name}", f"    types: {types}", f"    to: {to}", f"    compartments: {compartments}"]
    return "\n".join([*lines, f"    when: {when}"] if when else lines) + "\n"


def test_nothing_is_released_by_nothing() -> None:
    found = decide("allow: []")
    assert (found.allowed, found.code, found.compartments) == (False, "release.none", ())


def test_given_with_its_line() -> None:
    found = decide("agency: JCF\nallow:\n" + rule())
    assert (found.allowed, found.code) == (True, "release.given")
    assert found.compartments == ("core", "personal")
    assert found.clause == 'release.yaml:3 rule "a rule"'
    assert decide("allow:\n" + rule(), to=RSS).code == "release.none"
    assert decide("allow:\n" + rule(types="[case.update]", compartments="[core]")).code == "release.none"


def test_allow_rules_add_up_in_the_schemas_order() -> None:
    text = "allow:\n" + rule("b", compartments="[sensitive]") + rule("a", compartments="core")
    found = decide(text)
    assert found.compartments == ("core", "sensitive")
    assert found.clause == 'release.yaml:2 rule "b"; release.yaml:6 rule "a"'


@pytest.mark.parametrize("order", ["never first", "allow first"])
def test_never_always_wins(order: str) -> None:
    allow, never = "allow:\n" + rule(to='"*"'), "never:\n" + rule("no persons", compartments="[personal]")
    text = never + allow if order == "never first" else allow + never
    found = decide(text)
    assert found.compartments == ("core",)
    assert 'never "no persons"' in found.clause
    assert decide(text, to=RSS).compartments == ("core", "personal")


def test_never_takes_all() -> None:
    found = decide("allow:\n" + rule() + "never:\n" + rule("n", types='"*"', compartments="all"))
    assert (found.allowed, found.code, found.compartments) == (False, "release.taken", ())


def test_a_condition() -> None:
    text = "allow:\n" + rule(when="{field: kind, equals: STOLEN}")
    assert decide(text).allowed
    assert decide(text, an_event(firearm_body(kind="LOST"))).code == "release.none"


class TestUnknown:
    ASKED = "{field: holder, equals: NCA}"
    DENIED = "{not: {field: holder, equals: NCA}}"

    @pytest.mark.parametrize("when", [ASKED, DENIED])
    def test_an_allow_rule_gives_nothing(self, when: str) -> None:
        found = decide("allow:\n" + rule(when=when), an_event(firearm_body(holder=None)))
        assert (found.allowed, found.code) == (False, "release.unknown")
        assert found.clause == 'release.yaml:2 rule "a rule"'

    @pytest.mark.parametrize("when", [ASKED, DENIED])
    def test_a_never_rule_takes_away(self, when: str) -> None:
        text = "allow:\n" + rule(to='"*"') + "never:\n" + rule("n", compartments="[personal]", when=when)
        found = decide(text, an_event(firearm_body(holder=None)))
        assert found.compartments == ("core",)

    def test_a_never_rule_that_is_known_not_to_hold_takes_nothing(self) -> None:
        text = "allow:\n" + rule() + "never:\n" + rule("n", compartments="[personal]", when=self.DENIED)
        assert decide(text).compartments == ("core", "personal")


class TestRecipients:
    REPLY = EventRef(RSS, EventId(bytes(16)))

    def ask(self, to: str, agency: AgencyId = ATF, **event: Any) -> str:
        labels = {"in_reply_to": event.pop("in_reply_to", None)}
        return decide("allow:\n" + rule(to=to), an_event(firearm_body(**event), **labels), agency).code

    @pytest.mark.parametrize(
        ("to", "code"),
        [
            ("ATF", "release.given"),
            ("[RSS, ATF]", "release.given"),
            ('"*"', "release.given"),
            ("{other_than: RSS}", "release.given"),
            ("{other_than: [ATF]}", "release.none"),
            ("[{field: holder}]", "release.none"),
            ("{other_than: [{field: holder}]}", "release.given"),
        ],
    )
    def test_codes(self, to: str, code: str) -> None:
        assert self.ask(to) == code

    def test_the_agency_that_is_answered(self) -> None:
        assert self.ask("requester", RSS, in_reply_to=self.REPLY) == "release.given"
        assert self.ask("requester", ATF, in_reply_to=self.REPLY) == "release.none"
        assert self.ask("[requester]", RSS) == "release.unknown"

    @pytest.mark.parametrize("when", ["", "{field: kind, equals: STOLEN}"])
    @pytest.mark.parametrize("to", ["requester", "{other_than: requester}"])
    def test_whom_it_answers_is_not_known(self, to: str, when: str) -> None:
        found = decide("allow:\n" + rule(to=to, when=when), an_event())
        assert (found.allowed, found.code) == (False, "release.unknown")
        assert decide("allow:\n" + rule(to=to, when="{field: kind, equals: LOST}"), an_event()).code == "release.none"

    def test_the_agency_that_a_field_names(self) -> None:
        assert self.ask("{field: holder}", holder="ATF") == "release.given"
        assert self.ask("[{field: holder}, RSS]", RSS, holder="ATF") == "release.given"
        assert self.ask("{field: holder}", holder=None) == "release.unknown"

    def test_never_to_anyone_but_the_requester(self) -> None:
        text = "allow:\n" + rule(to='"*"') + "never:\n" + rule("n", to="{other_than: requester}", compartments="all")
        answer = an_event(in_reply_to=self.REPLY)
        assert decide(text, answer, RSS).allowed
        assert not decide(text, answer, ATF).allowed
        assert not decide(text, an_event(), RSS).allowed  # who asked is unknown: taken away

    @pytest.mark.parametrize(
        ("to", "message"),
        [
            ("[atf]", "did you mean 'ATF'"),
            ("[AFT]", "did you mean 'ATF'"),
            ("[requestor]", "did you mean 'requester'"),
            ("[]", "empty list"),
            ('["*", ATF]', "stands alone"),
            ('{other_than: "*"}', "nobody is other"),
            ("{others: ATF}", "did you mean 'other_than'"),
            ("{field: holdr}", "did you mean 'holder'"),
            ("{field: count}", "cannot hold"),
            ("{field: routes}", "cannot hold"),
        ],
    )
    def test_faults(self, to: str, message: str) -> None:
        with pytest.raises(PolicyInvalid, match=message) as caught:
            parse_release("allow:\n" + rule(to=to), SMALL_CATALOG, agencies={"ATF", "RSS"})
        assert caught.value.details["line"] == 4


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("never: []", 1, "'allow' is missing"),
        ("allow: []\nalways: []", 2, "unknown key 'always'"),
        ("alow: []", 1, "did you mean 'allow'"),
        ("agency: jcf\nallow: []", 1, "agency code"),
        ("agency: NCA\nallow: []", 1, "the directory lists no agency"),
        ("allow: {}", 1, "a list"),
        ("allow:\n" + rule(types="[firearm.notise]"), 3, "did you mean 'firearm.notice'"),
        ("allow:\n" + rule(types="[]"), 3, "empty list"),
        ("allow:\n" + rule(compartments="[core, personel]"), 5, "did you mean 'personal'"),
        ("allow:\n" + rule(compartments="[]"), 5, "empty list"),
        ("allow:\n" + rule(types="[firearm.notice, case.update]"), 5, "case.update has no compartment 'personal'"),
        ("allow:\n" + rule(types='"*"'), 5, "has no compartment 'personal'"),
        ("never:\n" + rule(types='"*"', compartments="[personel]") + "allow: []", 5, "did you mean 'personal'"),
        ("allow:\n" + rule(name='""'), 2, "printable"),
        ("allow:\n" + rule() + rule(), 6, "stands at release.yaml:2 already"),
        ("allow:\n" + rule() + "never:\n" + rule(), 7, "stands at release.yaml:2 already"),
        ("allow:\n" + rule(when="{field: kid, equals: LOST}"), 6, "did you mean 'kind'"),
        ("allow:\n" + rule(types="[case.update, hub.notice]", compartments="core", when="{field: stage, exists: true}"),
         6, "for hub.notice"),
        ("allow:\n  - rule: x\n    types: case.update\n    to: ATF\n", 2, "'compartments' is missing"),
        ("allow:\n" + rule() + "    wen: {}\n", 6, "did you mean 'when'"),
    ],
)  # fmt: skip
def test_faults_name_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        parse_release(text, SMALL_CATALOG, agencies={"ATF", "RSS"})
    assert message in caught.value.message
    assert caught.value.details == {"file": "release.yaml", "line": line}


def test_a_never_rule_for_all_types_passes_over_those_without_the_compartment() -> None:
    text = "allow:\n" + rule(types='"*"', compartments="all") + "never:\n" + rule("n", '"*"', compartments="personal")
    assert decide(text).compartments == ("core", "sensitive")
    assert decide(text, an_event({"sealed": True, "stage": None}, event_type="case.update")).compartments == (
        "core",
        "sensitive",
    )


def test_an_unknown_type() -> None:
    with pytest.raises(ReleaseTypeUnknown):
        decide("allow: []", an_event({}, event_type="case.closed"))


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        load_release(path, SMALL_CATALOG)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        load_release(path, SMALL_CATALOG)
    path.write_text("agency: JCF\nallow: []\n", encoding="utf-8")
    found = load_release(path, SMALL_CATALOG)
    assert found.agency == JCF
    assert found.version.startswith("sha256:")
    assert len(found.version) <= 128
    path.write_text("agency: JCF\nallow: [] # the same\n", encoding="utf-8")
    assert load_release(path, SMALL_CATALOG).version != found.version


class TestMemo:
    TEXT = "allow:\n" + rule(when="{any: [{field: kind, equals: STOLEN}, {field: ffl_theft, equals: true}]}")

    def test_the_same_facts_are_decided_once(self) -> None:
        found = release(self.TEXT)
        first = found.decide(an_event(), ATF)
        assert found.decide(an_event(firearm_body(title="another", owner=None)), ATF) is first
        assert found.decide(an_event(), RSS) is not first

    def test_what_the_rules_read_makes_the_difference(self) -> None:
        found = release(self.TEXT)
        assert found.decide(an_event(), ATF).allowed
        assert not found.decide(an_event(firearm_body(kind="LOST")), ATF).allowed
        assert found.decide(an_event(firearm_body(kind="LOST", ffl_theft=True)), ATF).allowed

    def test_one_and_true_are_not_the_same(self) -> None:
        found = release("allow:\n" + rule(when="{field: count, equals: 1}"))
        assert found.decide(an_event(firearm_body(count=1)), ATF).allowed
        assert not found.decide(an_event(firearm_body(count=True)), ATF).allowed
        found = release("allow:\n" + rule(when="{field: count, equals: 1}"))
        assert not found.decide(an_event(firearm_body(count=True)), ATF).allowed
        assert found.decide(an_event(firearm_body(count=1)), ATF).allowed

    def test_long_facts_are_not_kept(self) -> None:
        found = release("allow:\n" + rule(when="{field: narrative, contains: shop}"))
        long = an_event(firearm_body(narrative="shop" * 2000))
        assert found.decide(long, ATF) == found.decide(long, ATF)
        assert found.decide(long, ATF) is not found.decide(long, ATF)
        short = an_event(firearm_body(narrative="shop"))
        assert found.decide(short, ATF) is found.decide(short, ATF)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "allow:\n" + rule("a") + rule("b")
    monkeypatch.setattr(release_module, "MAX_RULES", 2)
    assert release(text)
    with pytest.raises(PolicyInvalid, match="over 2 rules"):
        release(text + rule("c"))
    monkeypatch.setattr(source_module, "MAX_POLICY", len(text) - 1)
    with pytest.raises(PolicyInvalid, match="characters"):
        release(text)


def test_two_thousand_rules_load_in_seconds() -> None:
    text = "allow:\n" + "".join(
        rule(f"rule {i}", to=f"[A{i % 60:02}]", when="{field: kind, equals: STOLEN}") for i in range(2_000)
    )
    begin = time.process_time()
    found = release(text)
    assert found.decide(an_event(), AgencyId("A07")).allowed
    assert time.process_time() - begin < 10
