"""A slow model of who gets what: plain data in, sets of compartments out. It shares no code with what it checks.

Written from docs/spec (directory 4 and 5, sequences 12, checks 9 and 10) and from the guide for policy officers. Truth
is counted as 0, 1, 2 (no, unknown, yes). Rules and subscriptions are the decoded YAML; agreements, agencies and
directories are dictionaries, as ``tests/property/test_who.py`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NO, UNKNOWN, YES = 0, 1, 2
GONE = object()
"""Stands for a key that is not there: whoever reads cannot know."""
COLOURS = ["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]

# --- conditions -------------------------------------------------------------------------------------------------------


def look(body: Any, path: str) -> Any:
    """The value at ``path``; GONE where a key is not there, None where it or a record above it is null."""
    for step in path.split("."):
        if body is None:
            return None
        body = body.get(step, GONE)
        if body is GONE:
            return GONE
    return body


def truth(condition: dict[str, Any], body: Any, labels: dict[str, Any]) -> int:
    """Of a condition under ``when``. ``labels`` are handling (text), priority, purpose."""
    if "not" in condition:
        return 2 - truth(condition["not"], body, labels)
    if "all" in condition:
        return min(truth(c, body, labels) for c in condition["all"])
    if "any" in condition:
        return max(truth(c, body, labels) for c in condition["any"])
    if "label" in condition:
        if condition["label"] == "handling":
            return YES if fits(labels["handling"], condition["at_most"]) else NO
        return YES if labels[condition["label"]] == condition["equals"] else NO
    if "where" in condition:
        every = "every_item" in condition
        items = look(body, condition["every_item" if every else "any_item"])
        if items is None or items is GONE or (every and items == []):
            return UNKNOWN
        found = [truth(condition["where"], item, labels) for item in items]
        return min(found) if every else max(found, default=NO)
    return field_truth(condition, look(body, condition["field"]))


def field_truth(condition: dict[str, Any], value: Any) -> int:
    if "exists" in condition:
        if value is GONE:
            return UNKNOWN
        return YES if (value is not None and value != []) == condition["exists"] else NO
    if value is None or value is GONE:
        return UNKNOWN
    checks: dict[str, Callable[[Any], Any]] = {
        "equals": lambda wanted: value == wanted,
        "in": lambda wanted: value in wanted,
        "at_least": lambda wanted: value >= wanted,
        "at_most": lambda wanted: value <= wanted,
        "contains": lambda wanted: wanted in value,
    }
    return YES if all(check(condition[name]) for name, check in checks.items() if name in condition) else NO


def fits(handling: str, ceiling: str) -> bool:
    """Whether a label is within a ceiling: colour and SIENA code each for itself."""
    colour, _, code = handling.partition(" ")
    most, _, highest = ceiling.partition(" ")
    if COLOURS.index(colour[4:]) > COLOURS.index(most[4:]):
        return False
    return code == "" or (highest != "" and int(code[1]) <= int(highest[1]))


# --- release ----------------------------------------------------------------------------------------------------------


def means(to: Any, agency: str, body: Any, requester: str | None) -> int:
    """Whether a rule's ``to`` means the agency."""
    if to == "*":
        return YES
    if isinstance(to, dict) and "other_than" in to:
        return 2 - means(to["other_than"], agency, body, requester)
    found = NO
    for name in to:
        held = look(body, name["field"]) if isinstance(name, dict) else requester if name == "requester" else name
        found = max(found, UNKNOWN if held is None or held is GONE else YES if held == agency else NO)
    return found


def released(
    release: dict[str, Any], agency: str, body: Any, labels: dict[str, Any], requester: str | None
) -> set[str]:
    """The compartments that the rules give to the agency."""

    def acts(rule: dict[str, Any]) -> int:
        holds = truth(rule["when"], body, labels) if "when" in rule else YES
        return min(means(rule["to"], agency, body, requester), holds)

    given = {c for rule in release["allow"] if acts(rule) == YES for c in rule["compartments"]}
    return given - {c for rule in release["never"] if acts(rule) != NO for c in rule["compartments"]}


# --- the directory ----------------------------------------------------------------------------------------------------


def clauses_in_force(directory: dict[str, Any], now_ms: int) -> list[tuple[str, dict[str, Any]]]:
    """Each clause that holds now with its name, ordered by name: of agreements whose parties are listed."""
    found = []
    for agreement in directory["agreements"]:
        if not agreement["begin"] <= now_ms < agreement["end"]:
            continue
        if any(party not in directory["agencies"] for party in agreement["parties"]):
            continue
        for number, clause in enumerate(agreement["clauses"], 1):
            alone = len(agreement["clauses"]) == 1
            found.append((agreement["slug"] if alone else f"{agreement['slug']} #{number}", clause))
    return sorted(found, key=lambda named: named[0])


def labels_fit(clause: dict[str, Any], originator: str, recipient: str, event: dict[str, Any]) -> bool:
    return (
        clause["from"] == originator
        and clause["to"] == recipient
        and event["type"] in clause["types"]
        and event["purpose"] in clause["purposes"]
        and fits(event["handling"], clause["max_handling"])
    )


def active(directory: dict[str, Any], agency: str) -> bool:
    return agency in directory["agencies"] and directory["agencies"][agency]["active"]


def key_holds(key: tuple[int, int, int | None], now_ms: int) -> bool:
    begin, end, revoked = key
    return begin <= now_ms < end and (revoked is None or now_ms < revoked)


def signs(directory: dict[str, Any], agency: str, now_ms: int) -> bool:
    """Whether what the agency's site signs now is taken."""
    keys = directory["agencies"][agency]["signing"] if active(directory, agency) else []
    return any(key_holds(key, now_ms) for key in keys)


# --- end to end -------------------------------------------------------------------------------------------------------


def sealed(
    directory: dict[str, Any],
    release: dict[str, Any],
    event: dict[str, Any],
    needs: dict[str, tuple[str, ...]],
    now_ms: int,
) -> dict[str, set[str]]:
    """What the publisher seals the event with, for each agency: nothing is sealed for who is not in it."""
    publisher = event["publisher"]
    if now_ms >= directory["expires"] or not signs(directory, publisher, now_ms) or loosened(event):
        return {}
    grants = {}
    for agency, entry in directory["agencies"].items():
        if agency in (publisher, "HUB") or not entry["active"]:
            continue
        widest: list[str] = []
        for _, clause in clauses_in_force(directory, now_ms):
            if labels_fit(clause, publisher, agency, event) and len(clause["compartments"]) > len(widest):
                widest = clause["compartments"]
        labels = {name: event[name] for name in ("handling", "priority", "purpose")}
        granted = released(release, agency, event["body"], labels, event["requester"]) & set(widest)
        while any(c in granted and not granted.issuperset(others) for c, others in needs.items()):
            granted -= {c for c, others in needs.items() if not granted.issuperset(others)}
        if granted and any(key_holds(key, now_ms) for key in entry["kem"]):
            grants[agency] = granted
    return grants


def loosened(event: dict[str, Any]) -> bool:
    """Whether the sealed header marks the event more strictly than its label."""
    marking = (event["body"].get("header") or {}).get("handling")
    if not marking:
        return False
    colour, _, code = event["handling"].partition(" ")
    if marking["scheme"] == "TLP":
        return COLOURS.index(marking["code"]) > COLOURS.index(colour[4:])
    return code == "" or int(marking["code"][1]) > int(code[1])


def asked(clause: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether a subscription's clause wants these labels."""
    bounds = clause.get("handling", {})
    return (
        event["type"] in clause["types"]
        and (clause["from"] == "*" or event["publisher"] in clause["from"])
        and event["priority"] in clause.get("priorities", [event["priority"]])
        and event["purpose"] in clause.get("purposes", [event["purpose"]])
        and ("at_most" not in bounds or fits(event["handling"], bounds["at_most"]))
        and ("at_least" not in bounds or fits(bounds["at_least"], event["handling"]))
    )


def visible(body: dict[str, Any], where: dict[str, Any], granted: set[str]) -> dict[str, Any]:
    """What is left of a body for who opens ``granted``. ``where`` has each field's compartment; a record's fields are
    a dictionary. Of a record there is a part in each compartment of its fields, null or not."""
    left = {}
    for name, place in where.items():
        if not isinstance(place, dict):
            if place in granted:
                left[name] = body[name]
        elif granted & set(place.values()):
            left[name] = None if body[name] is None else visible(body[name], place, granted)
    return left


def arrives(
    directories: dict[str, dict[str, Any]],
    release: dict[str, Any],
    subscriptions: dict[str, list[dict[str, Any]]],
    event: dict[str, Any],
    *,
    needs: dict[str, tuple[str, ...]],
    where: dict[str, Any],
    now_ms: int,
) -> dict[str, set[str]]:
    """Who gets the event, and which compartments of it. ``directories``: of the publisher, router and recipients."""
    publisher, router, reader = (directories[who] for who in ("publisher", "router", "recipient"))
    found = {}
    labels = {name: event[name] for name in ("handling", "priority", "purpose")}
    for agency, granted in sealed(publisher, release, event, needs, now_ms).items():
        if any(each["version"] < publisher["version"] or now_ms >= each["expires"] for each in (router, reader)):
            continue  # it waits for that version, or for any that holds
        if not signs(router, event["publisher"], now_ms) or not active(router, agency):
            continue
        if not any(
            labels_fit(clause, event["publisher"], agency, event) and granted <= set(clause["compartments"])
            for _, clause in clauses_in_force(router, now_ms)
        ):
            continue
        clauses = [clause for clause in subscriptions.get(agency, []) if asked(clause, event)]
        if not clauses or not signs(reader, event["publisher"], now_ms):
            continue
        left = visible(event["body"], where, granted)
        if any(truth(clause["when"], left, labels) == YES if "when" in clause else True for clause in clauses):
            found[agency] = granted
    return found
