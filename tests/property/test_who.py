"""Who gets an event, end to end: sealed, routed, opened and filtered by the real code, and decided by a slow model.

Publisher, router and recipient each have a directory of their own. The model (tests/support/three_consents.py) shares
no code with what it checks; the last properties need no model: each consent moves what arrives in its direction only.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.catalog import Catalog
from hub.client.prepare import Preparer
from hub.client.receive import Receiver
from hub.errors import HubError, InvariantError
from hub.model import (
    HUB,
    AgencyId,
    Compartment,
    Event,
    EventId,
    EventRef,
    Onward,
    Priority,
    Purpose,
    parse_handling,
)
from hub.policy.decide import ReleasePolicy
from hub.policy.release import parse_release
from hub.policy.subscription import Subscriptions, parse_subscription
from hub.ports import IncomingRecord
from hub.routing import route_bundle
from hub.trust.agreement import AgreementDocument, Clause, encode_agreement
from hub.trust.directory import Directory, DirectoryParts, build_directory, check_times
from hub.trust.index import Index, ListedAgency, ListedAgreement
from hub.trust.replay import EventIds
from hub.trust.root import Custodian, Root
from hub.trust.seal import Draft, Group, Sealer
from hub.trust.sequence import Streams
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry, encode_statement
from hub.trust.verify import FlushCache
from tests.support.authority import NOW_MS, kem_key, signing_key
from tests.support.three_consents import arrives

PUBLISHER = "JCF"
RECIPIENTS = ("ATF", "RSS", "NCA")
ORDER = ("core", "personal", "sensitive", "affiliation")
NEEDS: dict[str, tuple[str, ...]] = {"affiliation": ("personal", "sensitive")}
FAR_MS = 10**10
EVENT_ID = EventId(bytes.fromhex("0192a000000070008000000000000001"))
WHERE: dict[str, Any] = {
    "kind": "core",
    "country": "core",
    "iarms_ref": "sensitive",
    "ffl_theft": "core",
    "firearm": {"country_of_origin": "core", "barrel_mm": "core", "serial_raw": "sensitive"},
    "owner": {"nationality": "personal", "gang": "affiliation"},
}
"""Where the catalog has the fields that rules ask about here, copied by hand."""


@cache
def catalog() -> Catalog:
    return Catalog.load()


# --- what is drawn: plain data ----------------------------------------------------------------------------------------


def some(values: Any) -> Any:
    return st.lists(st.sampled_from(values), min_size=1, unique=True)


def mostly(usual: Any, other: Any, *, of: int = 10) -> Any:
    """``other`` once in about so many draws. One denial hides all others, so each is rare, or nothing would arrive."""
    return st.integers(1, of).flatmap(lambda n: other if n == of else usual)


handlings = st.sampled_from(["TLP:GREEN", "TLP:AMBER", "TLP:AMBER H1", "TLP:AMBER+STRICT H2", "TLP:RED"])
ceilings = mostly(
    st.just("TLP:RED H3"), st.sampled_from(["TLP:GREEN", "TLP:AMBER", "TLP:AMBER H1", "TLP:RED", "TLP:RED H1"]), of=3
)
PURPOSES = [Purpose.INVESTIGATION.value, Purpose.STATISTICS.value]
purposes = st.sampled_from(PURPOSES)
priorities = st.sampled_from([priority.value for priority in Priority])
HOLDS = (0, NOW_MS + FAR_MS, None)
KEYS = {
    "ends now": (0, NOW_MS, None),
    "ends next": (0, NOW_MS + 1, None),
    "begins now": (NOW_MS, NOW_MS + FAR_MS, None),
    "begins next": (NOW_MS + 1, NOW_MS + FAR_MS, None),
    "revoked now": (0, NOW_MS + FAR_MS, NOW_MS),
    "revoked next": (0, NOW_MS + FAR_MS, NOW_MS + 1),
}
keys = st.sampled_from([HOLDS, *KEYS.values()])
agencies = st.fixed_dictionaries(
    {
        "active": mostly(st.just(True), st.just(False)),
        "signing": mostly(st.just([HOLDS]), st.lists(keys, min_size=1, max_size=1)),
        "kem": mostly(st.just([HOLDS]), st.lists(keys, max_size=2, unique_by=lambda key: key[0]), of=5),
    }
)
nested = st.sampled_from([4, 3, 2, 1]).map(lambda n: list(ORDER[:n]))
crossing = mostly(nested, some(ORDER), of=3)


def clauses(compartments: Any) -> Any:
    """Without its parties: ``back`` is for the other direction."""
    return st.fixed_dictionaries(
        {
            "back": mostly(st.just(False), st.just(True)),
            "types": mostly(st.just(["firearm.notice"]), some(["case.update", "firearm.notice"]), of=5),
            "compartments": compartments,
            "purposes": mostly(st.just(PURPOSES), some(PURPOSES), of=4),
            "max_handling": ceilings,
        }
    )


def agreements(compartments: Any, others: Any = st.sampled_from(RECIPIENTS)) -> Any:  # noqa: B008  a constant
    def settle(other: str, found: list[Any], begin: int, end: int) -> dict[str, Any]:
        told = []
        for clause in found:
            back = clause["back"]
            told.append({**clause, "from": other if back else PUBLISHER, "to": PUBLISHER if back else other})
        return {"slug": "", "parties": sorted((PUBLISHER, other)), "begin": begin, "end": end, "clauses": told}

    return st.builds(
        settle,
        others,
        st.lists(clauses(compartments), min_size=1, max_size=2),
        mostly(st.just(0), st.sampled_from([NOW_MS, NOW_MS + 1])),
        mostly(st.just(NOW_MS + FAR_MS), st.sampled_from([NOW_MS, NOW_MS + 1])),
    ).filter(lambda agreement: agreement["begin"] < agreement["end"])


def named(found: list[dict[str, Any]], prefix: str = "MOU") -> list[dict[str, Any]]:
    return [{**agreement, "slug": f"{prefix}-{i}"} for i, agreement in enumerate(found)]


IDEAL = {"active": True, "signing": [HOLDS], "kem": [HOLDS]}
WHOLE = [
    {
        "slug": f"MOU-{agency}",
        "parties": sorted((PUBLISHER, agency)),
        "begin": 0,
        "end": NOW_MS + FAR_MS,
        "clauses": [
            {
                "from": PUBLISHER,
                "to": agency,
                "types": ["firearm.notice"],
                "compartments": list(ORDER),
                "purposes": PURPOSES,
                "max_handling": "TLP:RED H3",
            }
        ],
    }
    for agency in RECIPIENTS
]


def directories(compartments: Any, agencies: Any = agencies) -> Any:
    return st.fixed_dictionaries(
        {
            "version": st.just(5),
            "expires": mostly(st.just(NOW_MS + FAR_MS), st.sampled_from([NOW_MS, NOW_MS + 1]), of=20),
            "agencies": st.builds(
                lambda ours, theirs, listed: (
                    {"HUB": ours[0], PUBLISHER: ours[1]}
                    | {agency: entry for agency, entry in zip(RECIPIENTS, theirs, strict=True) if agency in listed}
                ),
                st.tuples(agencies, agencies),
                st.tuples(*[agencies] * len(RECIPIENTS)),
                mostly(st.just(RECIPIENTS), st.lists(st.sampled_from(RECIPIENTS), unique=True)),
            ),
            "agreements": st.tuples(
                *[
                    mostly(agreements(compartments, st.just(agency)).map(lambda found: [found]), st.just([]), of=4)
                    for agency in RECIPIENTS
                ],
                st.lists(agreements(compartments), max_size=2),
            ).map(lambda several: named([agreement for found in several for agreement in found])),
        }
    )


conditions = st.recursive(
    st.one_of(
        st.builds(lambda v: {"field": "kind", "equals": v}, st.sampled_from(["LOST", "STOLEN"])),
        st.builds(lambda v: {"field": "country", "in": v}, some(["US", "JM"])),
        st.builds(lambda v: {"field": "ffl_theft", "equals": v}, st.booleans()),
        st.builds(lambda v: {"field": "firearm.country_of_origin", "equals": v}, st.sampled_from(["US", "JM"])),
        st.builds(lambda v: {"field": "firearm.barrel_mm", "at_least": v}, st.sampled_from([100, 200])),
        st.builds(lambda v: {"field": "firearm.serial_raw", "equals": v}, st.sampled_from(["A1", "B2"])),
        st.builds(lambda v: {"field": "owner.nationality", "equals": v}, st.sampled_from(["US", "JM"])),
        st.builds(
            lambda f, v: {"field": f, "exists": v},
            st.sampled_from(["country", "iarms_ref", "owner.nationality", "owner.gang", "firearm.barrel_mm"]),
            st.booleans(),
        ),
        st.builds(lambda v: {"label": "handling", "at_most": v}, handlings),
        st.builds(lambda v: {"label": "priority", "equals": v}, priorities),
    ),
    lambda inner: st.one_of(
        st.builds(lambda c: {"not": c}, inner),
        st.builds(lambda w, cs: {w: cs}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=4,
)
whom = some([*RECIPIENTS, "requester"])
rules = st.fixed_dictionaries(
    {
        "types": st.just(["firearm.notice"]),
        "to": st.one_of(st.just("*"), whom, st.builds(lambda n: {"other_than": n}, whom)),
        "compartments": some(ORDER),
    },
    optional={"when": conditions},
)
everything = {"types": ["firearm.notice"], "to": "*", "compartments": list(ORDER)}
releases = st.fixed_dictionaries(
    {
        "allow": mostly(
            st.lists(rules, max_size=2).map(lambda found: [*found, everything]), st.lists(rules, max_size=3), of=3
        ),
        "never": mostly(st.just([]), st.lists(rules, max_size=2), of=3),
    }
)
wishes = st.fixed_dictionaries(
    {
        "types": st.just(["firearm.notice"]),
        "from": st.one_of(st.just("*"), st.just("*"), some([PUBLISHER, "ATF"])),
    },
    optional={
        "priorities": some([priority.value for priority in Priority]),
        "purposes": some([Purpose.INVESTIGATION.value, Purpose.STATISTICS.value]),
        "handling": st.one_of(
            st.builds(lambda v: {"at_most": v}, handlings), st.builds(lambda v: {"at_least": v}, handlings)
        ),
        "when": conditions,
    },
)
all_of_it = {"types": ["firearm.notice"], "from": "*"}
subscriptions = st.fixed_dictionaries(
    {agency: mostly(st.just([all_of_it]), st.lists(wishes, max_size=3), of=2) for agency in RECIPIENTS}
).flatmap(lambda found: mostly(st.just(found), st.just({"ATF": found["ATF"]})))


def maybe(values: Any) -> Any:
    return st.one_of(st.none(), values)


firearms = st.builds(
    lambda serial, origin, barrel: {
        "serial_raw": serial,
        "serial_status": "LEGIBLE",
        "make_text": "Star",
        "caliber_text": "9 mm",
        "type_ncic": "PI",
        "country_of_origin": origin,
        "barrel_mm": barrel,
    },
    st.sampled_from(["A1", "B2"]),
    maybe(st.sampled_from(["US", "JM"])),
    maybe(st.sampled_from([100, 200])),
)
RANGE = {"first": "A1", "last": "A9", "qty": 9, "make_text": "Star", "type_ncic": "PI"}
markings = mostly(
    st.none(), st.sampled_from([{"scheme": "TLP", "code": "AMBER"}, {"scheme": "SIENA", "code": "H1"}]), of=8
)
events = st.builds(
    lambda kind, country, ref, theft, firearm, owner, marking, labels, requester: {
        "type": "firearm.notice",
        "publisher": PUBLISHER,
        "requester": requester,
        **labels,
        "body": {
            "header": {"legal_basis_id": "MOU-2024/7", "purge_by": "2031-10-29", "handling": marking},
            "kind": kind,
            "action": "ENTER",
            "date": "2026-10-29",
            "country": country,
            "iarms_ref": ref,
            "ffl_theft": theft,
            "firearm": firearm,
            "serial_range": RANGE if firearm is None else None,
            "owner": owner,
        },
    },
    st.sampled_from(["LOST", "STOLEN"]),
    maybe(st.sampled_from(["US", "JM"])),
    maybe(st.just("R1")),
    st.booleans(),
    maybe(firearms),
    maybe(
        st.fixed_dictionaries(
            {
                "role": st.just("ASSOCIATE"),
                "names": st.just(["A. Person"]),
                "nationality": maybe(st.sampled_from(["US", "JM"])),
                "gang": maybe(st.just("G")),
            }
        )
    ),
    markings,
    st.fixed_dictionaries({"handling": handlings, "priority": priorities, "purpose": purposes}),
    maybe(st.sampled_from(RECIPIENTS)),
)
edits = st.one_of(
    st.builds(lambda agency: ("suspend", agency), st.sampled_from([PUBLISHER, *RECIPIENTS])),
    st.builds(lambda agency: ("return", agency), st.sampled_from([PUBLISHER, *RECIPIENTS])),
    st.builds(lambda agency, key: ("signing", agency, key), st.just(PUBLISHER), keys),
    st.builds(lambda i: ("withdraw", i), st.integers(0, 3)),
    st.builds(lambda i: ("end", i), st.integers(0, 3)),
    st.builds(lambda i: ("narrow", i), st.integers(0, 3)),
    st.builds(lambda found: ("agree", found), agreements(crossing)),
    st.just(("expire",)),
)


def edited(directory: dict[str, Any], edit: Any, version: int) -> dict[str, Any]:
    """Another version of the directory, with one thing changed."""
    known, agreed = dict(directory["agencies"]), list(directory["agreements"])
    expires = directory["expires"]
    match edit:
        case ("suspend" | "return", agency) if agency in known:
            known[agency] = {**known[agency], "active": edit[0] == "return"}
        case ("signing", agency, key):
            known[agency] = {**known[agency], "signing": [key]}
        case ("withdraw", i) if i < len(agreed):
            del agreed[i]
        case ("end", i) if i < len(agreed):
            agreed[i] = {**agreed[i], "begin": 0, "end": NOW_MS}
        case ("narrow", i) if i < len(agreed):
            agreed[i] = {**agreed[i], "clauses": [{**c, "compartments": ["core"]} for c in agreed[i]["clauses"]]}
        case ("agree", found):
            agreed.append({**found, "slug": "NEW"})
        case ("expire",):
            expires = NOW_MS
    return {"version": version, "expires": expires, "agencies": known, "agreements": agreed}


def three(directory: dict[str, Any], edit: Any, version: int, who: list[str]) -> dict[str, dict[str, Any]]:
    """The directory of each; those in ``who`` have the changed one."""
    other = edited(directory, edit, version)
    return {each: other if each in who else directory for each in ("publisher", "router", "recipient")}


def same_for_all(directory: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(("publisher", "router", "recipient"), directory)


def stages(found: Any) -> Any:
    """A directory for each of the three: the same, or with one change at some of them."""
    return st.one_of(
        found.map(same_for_all),
        st.builds(three, found, edits, st.sampled_from([6, 6, 6, 4]), some(["publisher", "router", "recipient"])),
    )


plain_events = events.map(
    lambda event: {**event, "body": {**event["body"], "header": {**event["body"]["header"], "handling": None}}}
)
"""Whose sealed header asks for nothing that the label does not."""
ALL = {"allow": [everything], "never": []}
ALL_ASKED = {agency: [all_of_it] for agency in RECIPIENTS}
ideal = st.just(IDEAL)
whole = directories(nested, ideal).map(lambda directory: {**directory, "expires": NOW_MS + FAR_MS, "agreements": WHOLE})
strict_releases = st.fixed_dictionaries(
    {
        "allow": st.lists(rules, max_size=2).map(lambda found: [*found, everything]),
        "never": st.lists(rules, min_size=1, max_size=2),
    }
)
scenes = st.one_of(
    # everything at once; then one thing at a time, with all else in order: or the rare denials would hide each other
    st.tuples(stages(directories(crossing)), releases, subscriptions, events),
    st.tuples(stages(directories(crossing, ideal)), st.just(ALL), st.just(ALL_ASKED), events),
    st.tuples(stages(whole), st.just(ALL), st.just(ALL_ASKED), events),
    st.tuples(
        st.builds(three, whole, edits, st.just(6), st.just(["router", "recipient"])),
        st.just(ALL),
        st.just(ALL_ASKED),
        plain_events,
    ),
    st.tuples(whole.map(same_for_all), st.one_of(strict_releases, releases), st.just(ALL_ASKED), plain_events),
    st.tuples(
        directories(crossing, ideal).map(same_for_all),
        st.just(ALL),
        st.fixed_dictionaries({agency: st.lists(wishes, min_size=1, max_size=2) for agency in RECIPIENTS}),
        plain_events,
    ),
    st.tuples(
        stages(directories(nested).map(lambda directory: {**directory, "agreements": WHOLE})),
        st.just(ALL),
        st.just(ALL_ASKED),
        events,
    ),
)

# --- the real code ----------------------------------------------------------------------------------------------------


def build(directory: dict[str, Any]) -> Directory:
    """The directory as its readers make it from the documents that were signed."""
    identities = {AgencyId(agency): signing_key(f"{agency} identity").public for agency in directory["agencies"]}
    listed = [a for a in directory["agreements"] if all(party in directory["agencies"] for party in a["parties"])]
    documents = [document(agreement) for agreement in listed]
    index = Index(
        HUB,
        tuple(
            ListedAgency(AgencyId(agency), f"the agency {agency}", entry["active"])
            for agency, entry in sorted(directory["agencies"].items())
        ),
        tuple(ListedAgreement(found.slug, found.parties) for found in documents),
    )
    parts = DirectoryParts(
        Root(HUB, (Custodian("north", signing_key("custodian 0").public),), 1, (signing_key("online").public,)),
        directory["version"],
        NOW_MS - 1,
        directory["expires"],
        hashlib.sha256(json.dumps(directory, sort_keys=True).encode()).digest(),
        index,
        identities,
        {AgencyId(agency): statement(agency, entry) for agency, entry in directory["agencies"].items()},
        {found.slug: encode_agreement(found) for found in documents},
    )
    built = build_directory(parts)
    assert built.faults == ()
    return built


def statement(agency: str, entry: dict[str, Any]) -> bytes:
    return _statement(agency, tuple(entry["signing"]), tuple(entry["kem"]))


@cache
def _statement(agency: str, signing: tuple[Any, ...], kem: tuple[Any, ...]) -> bytes:
    return encode_statement(
        KeyStatement(
            HUB,
            AgencyId(agency),
            1,
            NOW_MS - 1,
            tuple(
                SigningKeyEntry(signing_key(f"{agency} site").public, begin, end, revoked, site="main")
                for begin, end, revoked in signing
            ),
            tuple(
                # in the order of their beginning, each later than the one before (directory 4.4)
                KemKeyEntry(kem_key(f"{agency} {i}").public, *key)
                for i, key in enumerate(sorted(kem, key=lambda key: key[0]))
            ),
        )
    )


def document(agreement: dict[str, Any]) -> AgreementDocument:
    first, second = (AgencyId(party) for party in agreement["parties"])
    return AgreementDocument(
        agreement["slug"],
        HUB,
        1,
        "an agreement",
        "a memorandum",
        (first, second),
        agreement["begin"],
        agreement["end"],
        tuple(
            Clause(
                AgencyId(clause["from"]),
                AgencyId(clause["to"]),
                frozenset(clause["types"]),
                frozenset(Compartment(c) for c in clause["compartments"]),
                frozenset(Purpose(name) for name in clause["purposes"]),
                parse_handling(clause["max_handling"]),
                Onward.NONE,
                30,
            )
            for clause in agreement["clauses"]
        ),
    )


def yaml_of(release: dict[str, Any]) -> str:
    """JSON is YAML."""
    number = iter(range(100))
    told = {part: [{"rule": f"rule {next(number)}", **rule} for rule in found] for part, found in release.items()}
    return json.dumps({"agency": PUBLISHER, **told})


def publish(release: dict[str, Any], event: dict[str, Any], directory: Directory) -> bytes | None:
    """The ingest record that the publisher's site makes of the event, if it makes any."""
    kind = catalog().get(event["type"])
    policy = ReleasePolicy(parse_release(yaml_of(release), catalog()), AgencyId(PUBLISHER))
    reply = None if event["requester"] is None else EventRef(AgencyId(event["requester"]), EVENT_ID)
    made = Event(
        event["type"],
        event["body"],
        parse_handling(event["handling"]),
        Priority(event["priority"]),
        Purpose(event["purpose"]),
        NOW_MS + 10**9,
        in_reply_to=reply,
    )
    check_times(directory.issued_at_ms, directory.expires_at_ms, version=directory.version, now_ms=NOW_MS)
    preparer = Preparer(catalog=catalog(), policy=policy, salt=bytes(16))
    prepared = preparer.prepare(made, key=None, only=None, directory=directory, now_ms=NOW_MS)
    sealer = Sealer(
        hub=HUB,
        publisher=AgencyId(PUBLISHER),
        site_key=signing_key(f"{PUBLISHER} site"),
        directory=directory,
        policy_version=policy.version,
        previous={},
    )
    draft = Draft(EVENT_ID, NOW_MS, bytes(16), reply, made.expires_at_ms, prepared.sections)
    group = Group(prepared.route, kind.compartments, prepared.grants, [draft])
    return sealer.seal([group], now_ms=NOW_MS).records[0].value


def deliver(
    stage: dict[str, dict[str, Any]],
    release: dict[str, Any],
    wanted: dict[str, list[dict[str, Any]]],
    event: dict[str, Any],
) -> dict[str, set[str]]:
    """Who gets the event, and which compartments of it, after every step that the real code takes."""
    publisher, router, reader = (build(stage[who]) for who in ("publisher", "router", "recipient"))
    asked = {
        AgencyId(agency): parse_subscription(
            json.dumps({"agency": agency, "accept": [{"name": f"clause {i}", **c} for i, c in enumerate(found)]}),
            catalog(),
        )
        for agency, found in wanted.items()
    }
    hub_parts = {agency: parse_subscription(found.hub_part(), catalog()) for agency, found in asked.items()}
    try:
        value = publish(release, event, publisher)
        assert value is not None
        check_times(router.issued_at_ms, router.expires_at_ms, version=router.version, now_ms=NOW_MS)
        routed = route_bundle(
            value,
            owner=AgencyId(PUBLISHER),
            hub=HUB,
            directory=router,
            subscriptions=Subscriptions(hub_parts),
            now_ms=NOW_MS,
            flushes=FlushCache(),
        )
        check_times(reader.issued_at_ms, reader.expires_at_ms, version=reader.version, now_ms=NOW_MS)
    except InvariantError:
        raise
    except HubError:
        return {}
    found: dict[str, set[str]] = {}
    for delivery in routed.deliveries:
        agency = delivery.agency
        receiver = Receiver(
            hub=HUB,
            agency=agency,
            kem_keys=lambda agency=agency: [kem_key(f"{agency} {i}") for i in range(2)],  # type: ignore[misc]
            catalog=catalog(),
            content=asked[agency],
            streams=Streams(),
            event_ids=EventIds(),
        )
        record = IncomingRecord(f"deliver.{agency}", 0, 0, 0, None, delivery.value)
        for arrival in receiver.read([record], directory=reader, now_ms=NOW_MS).arrivals:
            found[agency] = set(arrival.event.granted)
    return found


SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- the properties ---------------------------------------------------------------------------------------------------


@settings(SLOW, max_examples=350)
@given(scenes)
def test_the_model_decides_the_same(scene: tuple[Any, Any, Any, Any]) -> None:
    stage, release, wanted, event = scene
    model = arrives(stage, release, wanted, event, needs=NEEDS, where=WHERE, now_ms=NOW_MS)
    assert deliver(stage, release, wanted, event) == model


def only_narrows(before: dict[str, set[str]], after: dict[str, set[str]]) -> bool:
    return all(found <= before.get(agency, set()) for agency, found in after.items())


ordinary = st.one_of(directories(nested), whole)
"""Compartments that hold each other: no two clauses are each wider in their own way (docs/adr/0012)."""
given_away = st.one_of(st.just(ALL), releases)
wanted_by_all = st.one_of(st.just(ALL_ASKED), subscriptions)
some_events = st.one_of(plain_events, events)


@SLOW
@given(ordinary, agreements(nested), given_away, wanted_by_all, some_events)
def test_an_agreement_only_widens(
    directory: dict[str, Any], more: Any, release: dict[str, Any], wanted: Any, event: dict[str, Any]
) -> None:
    wider = {**directory, "agreements": [*directory["agreements"], {**more, "slug": "MORE"}]}
    before = deliver(same_for_all(directory), release, wanted, event)
    assert only_narrows(deliver(same_for_all(wider), release, wanted, event), before)


@SLOW
@given(ordinary, rules, given_away, wanted_by_all, some_events)
def test_a_never_rule_only_narrows(
    directory: dict[str, Any], rule: Any, release: dict[str, Any], wanted: Any, event: dict[str, Any]
) -> None:
    stricter = {**release, "never": [*release["never"], rule]}
    before = deliver(same_for_all(directory), release, wanted, event)
    assert only_narrows(before, deliver(same_for_all(directory), stricter, wanted, event))


narrowing = st.one_of(
    st.builds(lambda agency: ("suspend", agency), st.sampled_from([PUBLISHER, *RECIPIENTS])),
    st.builds(lambda key: ("signing", PUBLISHER, key), st.sampled_from([KEYS["ends now"], KEYS["revoked now"]])),
    st.builds(lambda i: ("withdraw", i), st.integers(0, 3)),
    st.builds(lambda i: ("end", i), st.integers(0, 3)),
    st.just(("expire",)),
)


everywhere = mostly(st.just(["publisher", "router", "recipient"]), some(["publisher", "router", "recipient"]), of=2)


@SLOW
@given(ordinary, narrowing, everywhere, given_away, wanted_by_all, some_events)
def test_an_end_a_suspension_and_an_expiry_only_narrow(
    directory: dict[str, Any], edit: Any, who: list[str], release: dict[str, Any], wanted: Any, event: dict[str, Any]
) -> None:
    """Wherever it is known first: at the publisher, the router or the recipient."""
    before = deliver(same_for_all(directory), release, wanted, event)
    stage = three(directory, edit, directory["version"], who)
    assert only_narrows(before, deliver(stage, release, wanted, event))


@SLOW
@given(ordinary, given_away, wanted_by_all, st.sampled_from(RECIPIENTS), wishes, some_events)
def test_a_subscription_only_widens_and_for_its_agency_alone(
    directory: dict[str, Any], release: dict[str, Any], wanted: Any, agency: str, wish: Any, event: dict[str, Any]
) -> None:
    before = deliver(same_for_all(directory), release, wanted, event)
    after = deliver(same_for_all(directory), release, {**wanted, agency: [*wanted.get(agency, []), wish]}, event)
    assert only_narrows(after, before)
    assert {other: found for other, found in after.items() if other != agency} == {
        other: found for other, found in before.items() if other != agency
    }
