"""hub/policy: conditions. Every form, three-valued logic, and each fault with its line and a hint (docs/adr/0010)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.model import Priority, Purpose, parse_handling
from hub.policy.condition import Condition, Verdict, compile_condition, trace
from hub.policy.facts import MISSING, Facts, event_scope, read_facts
from hub.policy.source import PolicyInvalid, read_policy
from tests.support.small_catalog import SMALL_CATALOG, firearm_body

FIELDS = SMALL_CATALOG.get("firearm.notice").fields


def compiled(text: str) -> tuple[Condition, Any]:
    scope = event_scope(FIELDS)
    return compile_condition(read_policy(text, "rules.yaml"), scope), scope


def facts_of(scope: Any, body: dict[str, Any], handling: str = "TLP:AMBER") -> Facts:
    return read_facts(
        scope,
        body,
        handling=parse_handling(handling),
        priority=Priority.URGENT,
        purpose=Purpose.INVESTIGATION,
        requester=None,
    )


def verdict(text: str, body: dict[str, Any] | None = None, handling: str = "TLP:AMBER") -> Verdict:
    condition, scope = compiled(text)
    return condition.test(facts_of(scope, firearm_body() if body is None else body, handling))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{field: kind, equals: STOLEN}", True),
        ("{field: kind, equals: LOST}", False),
        ("{field: kind, in: [LOST, STOLEN]}", True),
        ("{field: kind, in: LOST}", False),
        ("{field: ffl_theft, equals: false}", True),
        ("{field: ffl_theft, equals: true}", False),
        ("{field: date, at_least: 2026-11-03}", True),
        ("{field: date, at_least: 2026-11-04}", False),
        ("{field: date, at_most: 2026-11-03}", True),
        ("{field: date, at_least: 2026-01-01, at_most: 2026-06-30}", False),
        ("{field: reported_at, at_least: '2026-11-03T09:20:00-05:00'}", True),
        ("{field: reported_at, at_least: '2026-11-03T09:20:00.001-05:00'}", False),
        ("{field: count, at_least: 1}", True),
        ("{field: count, at_least: 2}", False),
        ("{field: count, equals: 1}", True),
        ("{field: value_usd, at_most: 412.5}", True),
        ("{field: value_usd, at_least: 1000}", False),
        ("{field: weight_kg, at_least: 1.5}", True),
        ("{field: title, contains: PISTOL}", True),
        ("{field: title, starts_with: two}", True),
        ("{field: title, contains: rifle}", False),
        ("{field: title, starts_with: pistols}", False),
        ("{field: routes, contains: JM}", True),
        ("{field: routes, contains: TT}", False),
        ("{field: routes, exists: true}", True),
        ("{field: owner, exists: true}", True),
        ("{field: owner, exists: false}", False),
        ("{field: owner.nationality, equals: US}", True),
        ("{label: priority, equals: URGENT}", True),
        ("{label: purpose, in: [STATISTICS, PROSECUTION]}", False),
        ("{label: handling, at_most: TLP:AMBER}", True),
        ("{label: handling, at_least: TLP:AMBER}", True),
        ("{label: handling, at_least: TLP:RED}", False),
        ("{label: handling, equals: TLP:AMBER}", True),
        ("{label: handling, in: [TLP:GREEN, TLP:RED]}", False),
        ("{any_item: firearms, where: {field: serial_status, equals: PARTIAL}}", True),
        ("{any_item: firearms, where: {field: serial_status, equals: NONE}}", False),
        ("{every_item: firearms, where: {field: serial_raw, exists: true}}", True),
        ("{every_item: firearms, where: {field: serial_status, equals: LEGIBLE}}", False),
        ("{any_item: firearms, where: {any_item: marks, where: {field: place, contains: slide}}}", True),
        ("{not: {field: kind, equals: LOST}}", True),
        ("{all: [{field: kind, equals: STOLEN}, {field: count, at_least: 1}]}", True),
        ("{any: [{field: kind, equals: LOST}, {field: count, at_least: 1}]}", True),
        ("{any: [{field: kind, equals: LOST}, {field: count, at_least: 2}]}", False),
    ],
)
def test_known(text: str, wanted: bool) -> None:
    assert verdict(text) is wanted
    assert verdict(f"{{not: {text}}}") is not wanted


UNKNOWN_UNDER = {
    "kind": ["{field: kind, equals: STOLEN}", "{field: kind, in: [LOST]}"],
    "date": ["{field: date, at_least: 2026-01-01}", "{field: date, at_most: 2026-01-01}"],
    "count": ["{field: count, at_least: 0}", "{field: count, equals: 1}"],
    "value_usd": ["{field: value_usd, at_least: 1}"],
    "weight_kg": ["{field: weight_kg, at_most: 1}"],
    "title": ["{field: title, contains: x}", "{field: title, starts_with: x}"],
    "ffl_theft": ["{field: ffl_theft, equals: true}"],
    "routes": ["{field: routes, contains: US}"],
    "owner": ["{field: owner.name, equals: X}", "{field: owner.nationality, in: [US]}"],
    "firearms": [
        "{any_item: firearms, where: {field: serial_raw, exists: true}}",
        "{every_item: firearms, where: {field: serial_raw, exists: true}}",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in UNKNOWN_UNDER.items() for text in texts])
@pytest.mark.parametrize("gone", ["null", "no key", "another type"])
def test_absent_is_unknown_and_stays_so_under_not(name: str, text: str, gone: str) -> None:
    body = firearm_body()
    if gone == "no key":
        del body[name]
    else:
        body[name] = None if gone == "null" else object()
    assert verdict(text, body) is None
    assert verdict(f"{{not: {text}}}", body) is None
    assert verdict(f"{{not: {{not: {text}}}}}", body) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", True), ("count", 1.0), ("count", "1"), ("ffl_theft", 0), ("value_usd", "NaN"), ("value_usd", "x")],
)
def test_a_value_of_another_type_is_unknown(name: str, value: Any) -> None:
    text = {"count": "{field: count, equals: 1}", "ffl_theft": "{field: ffl_theft, equals: false}"}
    assert verdict(text.get(name, "{field: value_usd, at_least: 0}"), firearm_body(**{name: value})) is None


def test_exists_asks_about_absence_and_knows_it() -> None:
    for body in (firearm_body(owner=None), firearm_body(owner={"name": None, "nationality": None})):
        assert verdict("{field: owner.name, exists: false}", body) is True
        assert verdict("{not: {field: owner.name, exists: true}}", body) is True
    assert verdict("{field: routes, exists: true}", firearm_body(routes=[])) is False
    # but a reader from whom it is withheld cannot know
    body = firearm_body()
    del body["owner"]
    assert verdict("{field: owner.name, exists: false}", body) is None
    assert verdict("{field: owner, exists: false}", body) is None


def test_lists_that_are_empty() -> None:
    body = firearm_body(firearms=[], routes=[])
    where = "{field: serial_raw, exists: true}"
    assert verdict(f"{{any_item: firearms, where: {where}}}", body) is False
    assert verdict(f"{{every_item: firearms, where: {where}}}", body) is None
    assert verdict("{field: routes, contains: US}", body) is False


def test_items_that_are_unknown() -> None:
    long = "{field: barrel_mm, at_least: 100}"  # known and true of the first, absent in the second
    very = "{field: barrel_mm, at_least: 500}"  # known and false of the first
    assert verdict(f"{{any_item: firearms, where: {long}}}") is True
    assert verdict(f"{{every_item: firearms, where: {long}}}") is None
    assert verdict(f"{{any_item: firearms, where: {very}}}") is None
    assert verdict(f"{{every_item: firearms, where: {very}}}") is False
    assert verdict("{field: routes, contains: TT}", firearm_body(routes=["US", 7])) is None


@pytest.mark.parametrize("word", ["all", "any"])
def test_truth_tables(word: str) -> None:
    """Kleene's strong logic: False decides `all`, True decides `any`, unknown spoils the rest."""
    values: dict[Verdict, str] = {
        True: "{field: kind, equals: STOLEN}",
        False: "{field: kind, equals: LOST}",
        None: "{field: holder, equals: ATF}",
    }
    body = firearm_body(holder=None)
    for a, left in values.items():
        for b, right in values.items():
            decisive = word == "any"
            if decisive in (a, b):
                wanted: Verdict = decisive
            else:
                wanted = None if None in (a, b) else not decisive
            assert verdict(f"{{{word}: [{left}, {right}]}}", body) is wanted


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("field: kin\nequals: STOLEN", 1, "did you mean 'kind'"),
        ("field: owner.nationalty\nexists: true", 1, "did you mean 'owner.nationality'"),
        ("field: kind\nequals: STOLLEN", 2, "did you mean 'STOLEN'"),
        ("field: kind\nin: [LOST,\n  stolen]", 3, "did you mean 'STOLEN'"),
        ("field: kind\nequal: STOLEN", 2, "did you mean 'equals'"),
        ("field: kind", 1, "what about kind"),
        ("fields: kind\nequals: STOLEN", 1, "did you mean 'field'"),
        ("field: routes\ncontains: ZZ", 2, "not a code"),
        ("field: routes\nequals: US", 2, "contains"),
        ("field: firearms\ncontains: AB", 2, "any_item"),
        ("field: firearms.serial_raw\nexists: true", 1, "any_item or every_item"),
        ("field: 'firearms[].serial_raw'\nexists: true", 1, "any_item or every_item"),
        ("any_item: routes\nwhere: {field: x, exists: true}", 1, "contains"),
        ("any_item: owner\nwhere: {field: name, exists: true}", 1, "not a list of records"),
        ("any_item: firearms\nwhere:\n  field: serial_rw\n  exists: true", 3, "did you mean 'serial_raw'"),
        ("any_item: firearms\nwhere:\n  field: kind\n  exists: true", 3, "of an item of firearms"),
        ("any_item: firearms\nwhere: {field: type, equals: PX}", 2, "character 2 is one of I, R"),
        ("field: owner\nequals: X", 2, "is a record"),
        ("field: kind\nat_least: LOST", 2, "no more and less"),
        ("field: kind\ncontains: LO", 2, "no free text"),
        ("field: owner.nationality\ncontains: U", 2, "no free text"),
        ("field: title\ncontains: ''", 2, "empty text"),
        ("field: date\nat_least: 2026-13-01", 2, "a date"),
        ("field: date\nequals: 20261103", 2, "a date"),
        ("field: reported_at\nat_least: '2026-11-03T09:20:00'", 2, "with its zone"),
        ("field: count\nat_least: many", 2, "a whole number"),
        ("field: count\nequals: 5000", 2, "from 0 to 1000"),
        ("field: value_usd\nequals: -1", 2, "from 0"),
        ("field: value_usd\nat_most: 1e3", 2, "a decimal number"),
        ("field: ffl_theft\nequals: yes", 2, "true or false"),
        ("field: kind\nexists: maybe", 2, "true or false"),
        ("field: holder\nequals: nca", 2, "can never stand"),
        ("field: owner.name\nequals: " + "x" * 101, 2, "at most 100"),
        ("label: handling\nequals: AMBER", 2, "handling label"),
        ("label: priority\nequals: HIGH", 2, "a priority"),
        ("label: priority\nat_least: URGENT", 2, "no more and less"),
        ("label: originator\nequals: JCF", 1, "a label"),
        ("label: priority", 1, "what about the label"),
        ("all: []", 1, "an empty 'all'"),
        ("any: []", 1, "an empty 'any'"),
        ("field: kind\nin: []", 2, "an empty list"),
        ("all: {field: kind, exists: true}", 1, "a list is wanted"),
        ("not: {field: kind, exists: true}\nall: []", 1, "exactly one"),
        ("[]", 1, "a mapping"),
        ("field: kind\nfield: kind", 2, "stands twice"),
        ("field:\nequals: x", 1, "a single value"),
    ],
)
def test_faults_name_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        compiled(text)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"rules.yaml:{line}: ")
    assert caught.value.details["line"] == line


def test_norway_is_a_country() -> None:
    body = firearm_body(owner={"name": "x", "nationality": "NO"})
    assert verdict("{field: owner.nationality, equals: NO}", body) is True


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_a_file_nested_without_end_does_not_end_the_process(text: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"file\.yaml:1: nested over 100 deep"):
        read_policy(text, "file.yaml")


def test_too_deep() -> None:
    text = "{field: kind, exists: true}"
    for _ in range(20):
        text = f"{{not: {text}}}"
    with pytest.raises(PolicyInvalid, match="deep"):
        compiled(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "anchor"),
        ("!!python/object:os.system x", "tag"),
        ("a: b: c", "not YAML"),
        ("", "empty"),
        ("--- a\n--- b", "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_strange_yaml(text: str, message: str) -> None:
    with pytest.raises(PolicyInvalid, match=message):
        compiled(text)


def test_a_trace_tells_each_part() -> None:
    condition, scope = compiled(
        "all:\n  - {field: kind, equals: STOLEN}\n  - {any_item: firearms, where: {field: barrel_mm, at_least: 500}}\n"
    )
    found = trace(condition, facts_of(scope, firearm_body()))
    assert found.verdict is None
    first, second = found.parts
    assert (first.verdict, first.text, first.found, first.place) == (True, "kind is STOLEN", "STOLEN", "rules.yaml:2")
    assert (second.verdict, second.found) == (None, "2 items")
    assert [(part.verdict, part.found) for part in second.parts] == [(False, "102"), (None, "absent")]
    found = trace(condition, facts_of(scope, {}))
    assert [part.found for part in found.parts] == ["not known here", "not known here"]


def test_facts_are_hashable_and_tell_types_apart() -> None:
    _, scope = compiled("{all: [{field: count, equals: 1}, {field: ffl_theft, equals: true}]}")
    one = facts_of(scope, firearm_body(count=1, ffl_theft=True))
    other = facts_of(scope, firearm_body(count=True, ffl_theft=1))
    assert hash(one) is not None
    assert one != other
    assert other[-2:] == (MISSING, MISSING)
