"""Vectors of the directory: the index, the delegations and the delegated roles (directory 5 and 6.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.authority import signing_key
from tests.vectors.directory_case import (
    INDEX,
    MALFORMED,
    PAST,
    agreed_text,
    case,
    fault,
    put,
    without,
)
from tests.vectors.directory_forge import (
    AGREED,
    ATF,
    JCF,
    Edit,
    Forged,
    Json,
    base,
    dumped,
    id_of,
    key_of,
    target_of,
    told,
    world,
)
from tests.vectors.scenario import Case


def cases() -> Iterator[Case]:
    """Every case of these clauses."""
    for part in (
        _index,
        _delegations,
        _roles,
    ):
        yield from part()


# --- 5: index and delegations -----------------------------------------------------------------------------------------


def _index() -> Iterator[Case]:
    atf = {"agency": "ATF", "name": "the agency ATF", "active": True}
    mou = {"slug": "MOU-1", "parties": ["ATF", "JCF"]}

    def indexed(name: str, says: str, edit: Edit) -> Case:
        return case(f"index-{name}", says, "5.1", INDEX, Forged().index(edit).done())

    yield case(
        "ok-index-order",
        "the agencies in another order",
        "5.1",
        "ok",
        Forged().index(lambda index: index["agencies"].reverse()).done(),
    )
    yield case(
        "ok-suspended",
        "ATF is suspended: its keys stay listed",
        "5.1",
        "ok",
        Forged().index(lambda index: index["agencies"][0].update(active=False)).done(),
        suspended=["ATF"],
    )
    for name, code in (("lower", "atf"), ("digit", "1ATF"), ("short", "A"), ("long", "A" * 33), ("dot", "A.TF")):
        yield indexed(
            f"code-{name}",
            f"an agency called {code[:8]}",
            lambda index, code=code: index["agencies"].append(atf | {"agency": code}),
        )
    yield indexed("agency-twice", "an agency twice", lambda index: index["agencies"].append(atf))
    many = [atf | {"agency": f"A{number}"} for number in range(255)]
    yield indexed("agencies", "257 agencies", lambda index: index["agencies"].extend(many))
    yield indexed("name-long", "a name of 201 characters", lambda index: index["agencies"][0].update(name="n" * 201))
    yield indexed("hub", "a hub that is no code", put(hub="hub"))
    for name, slug in (("empty", ""), ("slash", "MOU/1"), ("dot", ".MOU"), ("long", "M" * 65), ("line", "MOU-1\n")):
        yield indexed(
            f"slug-{name}",
            f"an agreement called {slug[:8]!r}",
            lambda index, slug=slug: index["agreements"].append(mou | {"slug": slug}),
        )
    yield indexed("slug-twice", "an agreement twice", lambda index: index["agreements"].append(mou))
    flood = [mou | {"slug": f"{number}"} for number in range(4096)]
    yield indexed("agreements", "4,097 agreements", lambda index: index["agreements"].extend(flood))
    for name, says, parties in (
        ("unlisted", "an agreement with an agency that is not listed", ["ATF", "RSS"]),
        ("unlisted-first", "an agreement of an agency that is not listed", ["AAA", "JCF"]),
        ("order", "parties that do not stand in order", ["JCF", "ATF"]),
        ("self", "an agreement of an agency with itself", ["ATF", "ATF"]),
        ("one", "an agreement of one", ["ATF"]),
        ("three", "an agreement of three", ["ATF", "JCF", "JCF"]),
    ):
        yield indexed(
            f"parties-{name}", says, lambda index, parties=parties: index["agreements"][0].update(parties=parties)
        )
    more = told(b"{}")
    yield case(
        "targets-two",
        "the custodians list a second target",
        "5.1",
        MALFORMED,
        Forged().role("targets", lambda said: said["targets"].update({"other.json": more})).done(),
    )
    yield case(
        "targets-none",
        "the custodians list no index",
        "5.1",
        MALFORMED,
        Forged().role("targets", put(targets={})).done(),
    )


def _of(role: str, **members: Any) -> Edit:
    def edit(delegations: Json) -> None:
        (found,) = [one for one in delegations["roles"] if one["name"] == role]
        for member, value in members.items():
            found.pop(member, None)
            if value is not None:
                found[member] = value

    return edit


def _without(role: str) -> Edit:
    return lambda said: said.update(roles=[one for one in said["roles"] if one["name"] != role])


def _another(name: str, path: str) -> Edit:
    role = {
        "name": name,
        "keyids": [id_of(world().keys[ATF].identity)],
        "threshold": 1,
        "terminating": True,
        "paths": [path],
    }
    return lambda said: said["roles"].append(role)


def _delegations() -> Iterator[Case]:
    stranger = signing_key("a stranger")
    atf, jcf = (id_of(world().keys[agency].identity) for agency in (ATF, JCF))

    def delegated(name: str, says: str, clause: str, edit: Edit) -> Case:
        forged = Forged().role("targets", lambda said: edit(said["delegations"]))
        return case(f"delegation-{name}", says, clause, MALFORMED, forged.done())

    yield case(
        "delegation-none",
        "agencies are listed and nobody is delegated to",
        "5.2",
        MALFORMED,
        Forged().role("targets", without("delegations")).done(),
    )
    yield delegated("missing", "ATF is listed and not delegated to", "5.2", _without("agency.ATF"))
    yield delegated("agreement-missing", "MOU-1 is listed and not delegated to", "5.2", _without(AGREED))
    yield delegated(
        "unlisted", "an agency is delegated to and not listed", "5.2", _another("agency.RSS", "agency/RSS/keys.json")
    )
    yield delegated(
        "unlisted-agreement",
        "an agreement is delegated to and not listed",
        "5.2",
        _another("agreement.MOU-2", "agreement/MOU-2.json"),
    )
    yield delegated("stranger", "a role that is neither", "5.2", _another("mirror", "index.json"))
    yield delegated("agency-two-keys", "ATF has two identity keys", "5.2", _of("agency.ATF", keyids=[atf, jcf]))
    yield delegated("agency-no-key", "ATF has none", "5.2", _of("agency.ATF", keyids=[]))
    yield delegated("agency-threshold", "ATF must sign twice", "5.2", _of("agency.ATF", threshold=2))
    yield delegated("agreement-threshold", "one party's signature is enough", "5.2", _of(AGREED, threshold=1))
    yield delegated("agreement-one-key", "one party alone signs the agreement", "5.2", _of(AGREED, keyids=[atf]))

    def strange(said: Json) -> None:
        said["keys"][id_of(stranger)] = key_of(stranger)
        _of(AGREED, keyids=[atf, id_of(stranger)])(said)

    yield delegated("agreement-stranger", "a stranger signs in JCF's place", "5.2", strange)

    def either(said: Json) -> None:
        said["keys"][id_of(stranger)] = key_of(stranger)
        _of(AGREED, keyids=[atf, jcf, id_of(stranger)])(said)

    yield delegated("agreement-third", "a stranger's signature counts too", "5.2", either)
    yield delegated("key-missing", "ATF's key is not there", "5.2", lambda said: said["keys"].pop(atf))
    yield delegated("not-terminating", "ATF's role is not terminating", "5.2", _of("agency.ATF", terminating=False))
    yield delegated(
        "agreement-not-terminating", "MOU-1's role is not terminating", "5.2", _of(AGREED, terminating=False)
    )
    succinct = {"keyids": [atf], "threshold": 1, "bit_length": 1, "name_prefix": "agency"}
    alone = {"keys": {atf: key_of(world().keys[ATF].identity)}, "succinct_roles": succinct}
    nobody = Forged().index(put(agencies=[], agreements=[]), put(delegations=alone))
    yield case("delegation-succinct-alone", "a succinct role, and nobody listed", "5.2", MALFORMED, nobody.done())
    yield delegated(
        "succinct", "a succinct role", "5.2", lambda said: (said.pop("roles"), said.update(succinct_roles=succinct))
    )
    yield delegated("twice", "ATF is delegated to twice", "5.2", lambda said: said["roles"].append(said["roles"][0]))
    for name, says, paths in (
        ("wildcard", "a pattern", ["agency/*/keys.json"]),
        ("two-paths", "two paths", ["agency/ATF/keys.json", "agency/JCF/keys.json"]),
        ("other-path", "JCF's path", ["agency/JCF/keys.json"]),
        ("no-path", "no path", []),
    ):
        yield delegated(name, f"ATF is delegated {says}", "5.3", _of("agency.ATF", paths=paths))
    yield delegated(
        "hashes", "ATF is delegated hashes of paths", "5.3", _of("agency.ATF", paths=None, path_hash_prefixes=["0"])
    )


def _roles() -> Iterator[Case]:
    code, role, other = "role.malformed", "agency.ATF", "agency/JCF/keys.json"
    mine = target_of(role)
    yield fault(
        "role-two-targets",
        "ATF's role lists JCF's target too",
        "5.3",
        code,
        Forged().role(role, lambda said: said["targets"].update({other: said["targets"][mine]})),
    )
    yield fault(
        "role-other-target",
        "ATF's role lists JCF's target alone",
        "5.3",
        code,
        Forged().role(role, lambda said: said.update(targets={other: said["targets"][mine]})),
    )
    yield fault("role-no-target", "ATF's role lists nothing", "5.3", code, Forged().role(role, put(targets={})))
    key = world().keys[ATF].identity
    deeper = {
        "keys": {id_of(key): key_of(key)},
        "roles": [
            {"name": "site", "keyids": [id_of(key)], "threshold": 1, "terminating": True, "paths": ["agency/ATF/*"]}
        ],
    }
    yield fault(
        "role-delegates", "ATF's role delegates further", "5.3", code, Forged().role(role, put(delegations=deeper))
    )
    for name, says, hashes in (
        ("sha512", "the target is told by another hash", {"sha512": "00" * 64}),
        ("more-hashes", "the target is told by another hash too", None),
    ):

        def hashed(said: Json, hashes: Json | None = hashes) -> None:
            found = said["targets"][mine]
            found["hashes"] = hashes or {**found["hashes"], "md5": "00" * 16}

        yield fault(f"role-{name}", says, "5.3", code, Forged().role(role, hashed))
    # The operator alone: another agreement of the same parties under a name that they signed nothing for.
    forged = _second_agreement()
    forged.files["metadata/1.agreement.MOU-2.json"] = forged.files["metadata/1.agreement.MOU-1.json"]
    shown = case(
        "role-of-another",
        "MOU-1's metadata is shown as that of MOU-2, whose keys are the same",
        "5.3",
        "ok",
        forged.done(),
    )
    shown.result["faults"] = [["agreement.MOU-2", code]]
    yield shown
    withdrawn = Forged().index(put(agreements=[]), _withdraw)
    yield case(
        "ok-withdrawn",
        "the agreement is withdrawn; its role stays in the snapshot",
        "5.4",
        "ok",
        withdrawn.done(2),
        before=[base()],
        version=2,
        agreements=[],
    )
    gone = Forged().index(put(agreements=[]), _withdraw)
    yield case(
        "snapshot-lost-role",
        "its role has left the snapshot",
        "5.4",
        MALFORMED,
        gone.done(2, snapshot=lambda said: said["meta"].pop(f"{AGREED}.json")),
        before=[base()],
    )
    back = (
        Forged()
        .role("targets", put(version=3))
        .role(AGREED, put(version=2), payload=dumped(agreed_text() | {"version": 2}))
    )
    yield case(
        "ok-returned",
        "it returns with a higher version",
        "5.4",
        "ok",
        back.done(3),
        before=[base(), withdrawn.files],
        version=3,
    )
    new = signing_key("ATF's next identity")

    def rekeyed(said: Json) -> None:
        old = id_of(world().keys[ATF].identity)
        delegations = said["delegations"]
        delegations["keys"][id_of(new)] = key_of(new)
        for one in delegations["roles"]:
            one["keyids"] = [id_of(new) if keyid == old else keyid for keyid in one["keyids"]]

    forged = Forged().role("targets", rekeyed).role(role, by=[new])
    yield case(
        "rekeyed",
        "ATF's new identity key has not signed MOU-1 yet",
        "5.5",
        "ok",
        forged.done(),
        faults=[(AGREED, "role.unsigned")],
    )
    forged = Forged().role("targets", rekeyed).role(role, by=[new]).role(AGREED, by=[*forged.signers(AGREED), new])
    yield case("ok-rekeyed", "it has, beside the two that signed before", "5.5", "ok", forged.done())
    yield fault(
        "role-unsigned",
        "JCF signs ATF's statement",
        "6.6",
        "role.unsigned",
        Forged().role(role, by=[world().keys[JCF].identity]),
    )
    yield fault(
        "role-by-site",
        "ATF's site key signs its statement",
        "6.6",
        "role.unsigned",
        Forged().role(role, by=[world().keys[ATF].signing]),
    )
    yield fault(
        "role-by-operator",
        "the operator signs ATF's statement",
        "6.6",
        "role.unsigned",
        Forged().role(role, by=[world().online]),
    )
    yield fault(
        "role-other-context",
        "ATF's signature is for another kind of thing",
        "1.2",
        "role.unsigned",
        Forged().role(role, context=b"cgi-hub/v1/flush"),
    )
    yield fault(
        "role-half-signed",
        "JCF alone has signed MOU-1",
        "6.6",
        "role.unsigned",
        Forged().role(AGREED, by=[world().keys[JCF].identity]),
        AGREED,
    )
    yield fault(
        "role-expired", "ATF's statement has expired", "6.6", "role.expired", Forged().role(role, put(expires=PAST))
    )
    yield fault(
        "role-other-type",
        "the targets' metadata in its place",
        "6.6",
        "role.unsigned",
        Forged().raw(role, base()["metadata/1.targets.json"]),
    )
    yield fault("role-not-json", "no JSON in its place", "6.6", code, Forged().raw(role, b"\x00"))
    path = Forged().name(role)
    missing = {file: raw for file, raw in base().items() if file != path}
    yield case(
        "role-missing", "the file of ATF's role is not there", "6.6", "ok", missing, faults=[(role, "role.missing")]
    )
    missing = {file: raw for file, raw in base().items() if not file.startswith("targets/agency/ATF/")}
    yield case(
        "target-missing",
        "the file of ATF's statement is not there",
        "6.6",
        "ok",
        missing,
        faults=[(role, "role.missing")],
    )
    yield case("ok-role-arrived", "it was not there, and now it is", "9.2", "ok", base(), before=[missing])
    changed = {file: raw + (b" " if file.startswith("targets/agency/ATF/") else b"") for file, raw in base().items()}
    yield case(
        "target-changed", "ATF's statement is another than it signed", "2.3", "ok", changed, faults=[(role, code)]
    )
    unnamed = Forged().done(snapshot=lambda said: said["meta"].pop("agency.ATF.json"))
    yield case(
        "role-not-in-snapshot", "the snapshot does not name ATF's role", "6.6", "ok", unnamed, faults=[(role, code)]
    )
    more = {"version": 1, **told(b"{}")}
    idle = Forged().done(snapshot=lambda said: said["meta"].update({"agency.RSS.json": more}))
    yield case("ok-role-of-nobody", "the snapshot names a role that nobody delegates to", "5.4", "ok", idle)


def _withdraw(said: Json) -> None:
    said["version"] = 2
    said["delegations"]["roles"] = [one for one in said["delegations"]["roles"] if one["name"] != AGREED]


def _second_agreement() -> Forged:
    def delegate(said: Json) -> None:
        (one,) = [one for one in said["delegations"]["roles"] if one["name"] == AGREED]
        said["delegations"]["roles"].append({**one, "name": "agreement.MOU-2", "paths": ["agreement/MOU-2.json"]})

    mou = {"slug": "MOU-2", "parties": ["ATF", "JCF"]}
    return Forged().index(lambda index: index["agreements"].append(mou), delegate)
