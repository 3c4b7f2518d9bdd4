"""Vectors of the directory: agreements, and the repository in one file (directory 7 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors.directory_case import (
    agreed_text,
    case,
    fault,
    put,
    without,
)
from tests.vectors.directory_forge import (
    AGREED,
    Edit,
    Forged,
    base,
    dumped,
)
from tests.vectors.scenario import Case


def cases() -> Iterator[Case]:
    """Every case of these clauses."""
    for part in (
        _agreements,
        _files,
    ):
        yield from part()


# --- 7: agreements ----------------------------------------------------------------------------------------------------


def _agreements() -> Iterator[Case]:
    code, document = "agreement.malformed", agreed_text()
    clause = document["clauses"][0]

    def agreed(name: str, says: str, number: str, edit: Edit, expect: str = code) -> Case:
        return fault(f"agreement-{name}", says, number, expect, Forged().json_target(AGREED, edit), AGREED)

    def claused(name: str, says: str, number: str, **members: Any) -> Case:
        return agreed(name, says, number, put(clauses=[clause | members]))

    yield agreed("kind", "another kind", "7.1", put(kind="cgi-hub/v1/key-statement"))
    yield agreed("member", "an agreement that says more", "7.1", put(comment=""))
    yield agreed("member-missing", "an agreement without a reference", "7.1", without("reference"))
    yield agreed("number", "a version with a fraction", "2.1", put(version=1.5))
    yield agreed("version", "version 2 of the text in version 1 of the role", "7.1", put(version=2), "role.malformed")
    yield agreed("version-none", "version 0", "7.1", put(version=0))
    far = Forged().role(AGREED, put(version=2**32), payload=dumped(document | {"version": 2**32}))
    yield fault("agreement-version-far", "version 2^32", "7.1", code, far, AGREED)
    yield agreed("parties-order", "parties that do not stand in order", "7.1", put(parties=["JCF", "ATF"]))
    yield agreed("parties-one", "one party", "7.1", put(parties=["ATF"]))
    hub = {"parties": ["ATF", "HUB"], "clauses": [clause | {"recipient": "HUB", "originator": "ATF"}]}
    yield agreed("hub", "the hub is a party", "7.1", put(**hub))
    yield agreed("no-clause", "no clause", "7.1", put(clauses=[]))
    yield agreed("clauses", "65 clauses", "7.1", put(clauses=[clause] * 65))
    two = Forged().json_target(AGREED, put(clauses=[clause, clause | {"originator": "ATF", "recipient": "JCF"}]))
    yield case(
        "ok-agreement-clauses",
        "two clauses, one in each direction",
        "7.2",
        "ok",
        two.done(),
        agreements=["MOU-1 #1", "MOU-1 #2"],
    )
    others = {"parties": ["ATF", "RSS"], "clauses": [clause | {"originator": "RSS"}]}
    yield agreed("other-parties", "ATF and JCF sign for ATF and RSS", "6.6", put(**others), "agreement.others")
    yield agreed(
        "other-name", "they sign MOU-2 in the place of MOU-1", "6.6", put(agreement="MOU-2"), "agreement.others"
    )
    yield agreed("other-hub", "they sign an agreement of HUB2", "6.6", put(hub="HUB2"), "agreement.others")
    yield claused("clause-others", "a clause between others", "7.2", originator="RSS")
    yield claused("clause-self", "a clause from ATF to ATF", "7.2", originator="ATF")
    yield claused("clause-member", "a clause that says more", "7.2", sites=["main"])
    for member in ("event_types", "compartments", "purposes"):
        yield claused(f"{member.replace('_', '-')}-none", f"a clause without {member}", "7.2", **{member: []})
        yield claused(
            f"{member.replace('_', '-')}-twice",
            f"a clause with one of the {member} twice",
            "7.2",
            **{member: [clause[member][0]] * 2},
        )
    yield claused("wildcard", "a clause for all types", "7.2", event_types=["trace.*"])
    yield claused("star", "a clause for everything", "7.2", event_types=["*"])
    yield claused("type", "a clause for what is no type", "7.2", event_types=["Trace"])
    yield claused("compartment", "a compartment that is none", "7.2", compartments=["Core"])
    yield claused("purpose", "a purpose that there is not", "7.2", purposes=["curiosity"])
    yield claused("handling", "a handling that is none", "7.2", max_handling="TLP:PINK")
    yield claused("onward", "a rule for onward sharing that there is not", "7.2", onward="ANYONE")
    yield agreed("never", "it never holds", "7.3", put(not_before_ms=document["not_after_ms"]))
    yield claused("of-the-hub", "a clause for the hub's notices", "7.5", event_types=["hub.notice"])
    for name, title in (
        ("empty", ""),
        ("long", "t" * 201),
        ("blank", " t"),
        ("lines", "a\nb"),
        ("direction", "a\u202eb"),
    ):
        yield agreed(f"title-{name}", f"a title that is {name}", "7.6", put(title=title))
    yield agreed("reference-long", "a reference of 401 characters", "7.6", put(reference="r" * 401))
    yield agreed("far", "it ends after the year 9998", "7.6", put(not_after_ms=253_370_764_800_001))
    yield claused("types", "257 types", "7.6", event_types=[f"trace.t{number}" for number in range(257)])
    yield claused("compartments", "9 compartments", "7.6", compartments=[f"c{number}" for number in range(9)])
    for days in (0, 36_526):
        yield claused(f"retention-{days}", f"a retention of {days} days", "7.6", retention_days=days)
    yield fault(
        "agreement-not-json", "no JSON, well signed", "7.6", code, Forged().role(AGREED, payload=b"\x00"), AGREED
    )


# --- 9: files ---------------------------------------------------------------------------------------------------------


def _files() -> Iterator[Case]:
    code = "directory.bundle_malformed"
    yield case("bundle-not-json", "no JSON", "9.3", code, b"\x00\x01")
    yield case("bundle-kind", "another kind", "9.3", code, b'{"kind":"cgi-hub/v1/directory-index","files":{}}')
    yield case(
        "bundle-base64",
        "bytes that are no base64",
        "9.3",
        code,
        b'{"kind":"cgi-hub/v1/directory-bundle","files":{"metadata/timestamp.json":"e"}}',
    )
    for name, path in (
        ("out", "metadata/../../x"),
        ("absolute", "/etc/passwd"),
        ("elsewhere", "x/y"),
        ("staged", "staged/root"),
    ):
        raw = dumped({"kind": "cgi-hub/v1/directory-bundle", "files": {path: ""}})
        yield case(f"bundle-path-{name}", f"a file called {path}", "9.3", code, raw)
    for name, path in (
        ("timestamp", "metadata/timestamp.json"),
        ("snapshot", "metadata/1.snapshot.json"),
        ("targets", "metadata/1.targets.json"),
    ):
        yield case(
            f"missing-{name}",
            f"the {name} is not there",
            "9.2",
            "directory.missing",
            {p: raw for p, raw in base().items() if p != path},
        )
    index = {path: raw for path, raw in base().items() if not path.endswith(".index.json")}
    yield case("missing-index", "the index is not there", "9.2", "directory.missing", index)
