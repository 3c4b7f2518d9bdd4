"""Vectors of the directory: signatures, times, successions, keys with one holder (directory 6)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from hub.trust.composite import SIGNATURE_LENGTH, SigningKey
from tests.support.authority import DAY_MS, NOW_MS, signing_key
from tests.vectors.directory_case import (
    BACK,
    FEW,
    MALFORMED,
    PAST,
    SHARED_KEY,
    agreed_text,
    case,
    put,
    statement_of,
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
    mixed,
    rooted,
    world,
)
from tests.vectors.scenario import Case, text


def cases() -> Iterator[Case]:
    """Every case of these clauses."""
    for part in (
        _signatures,
        _times,
        _successions,
        _shared_keys,
    ):
        yield from part()


# --- 6: verifying -----------------------------------------------------------------------------------------------------


def _signatures() -> Iterator[Case]:
    first, second, third = world().custodians
    stranger, online = signing_key("a stranger"), world().online

    def targets(
        name: str, says: str, clause: str, expect: str, *by: SigningKey, context: bytes = b"cgi-hub/v1/directory"
    ) -> Case:
        return case(
            f"targets-{name}",
            f"the targets: {says}",
            clause,
            expect,
            Forged().role("targets", by=by, context=context).done(),
        )

    yield targets("unsigned", "no signature", "6.2", FEW)
    yield targets("one-custodian", "one of the two that must", "6.2", FEW, first)
    yield targets("one-custodian-twice", "one, twice", "6.2", MALFORMED, first, first)
    yield targets("ok-others", "the other two", "6.2", "ok", second, third)
    yield targets("ok-more", "all three, and a stranger", "6.2", "ok", first, second, third, stranger)
    yield targets("stranger", "one, and one who is no custodian", "6.2", FEW, first, stranger)
    yield targets("agency", "one, and ATF's identity key", "6.2", FEW, first, world().keys[ATF].identity)
    yield targets("operator", "one, and the operator", "6.2", FEW, first, online)
    yield targets(
        "other-context", "signatures for another kind of thing", "1.2", FEW, first, second, context=b"cgi-hub/v1/flush"
    )

    def damaged(name: str, says: str, clause: str, expect: str, change: Edit) -> Case:
        envelope = json.loads(base()["metadata/1.targets.json"])
        for signature in envelope["signatures"]:
            change(signature)
        return case(
            f"targets-{name}", f"the targets: {says}", clause, expect, Forged().raw("targets", dumped(envelope)).done()
        )

    zeros = "00" * (SIGNATURE_LENGTH - 64)
    yield damaged(
        "half-ed25519",
        "signatures of the Ed25519 half alone",
        "6.2",
        FEW,
        lambda one: one.update(sig=zeros + one["sig"][-128:]),
    )
    yield damaged(
        "half-mldsa",
        "signatures of the ML-DSA half alone",
        "6.2",
        FEW,
        lambda one: one.update(sig=one["sig"][:-128] + "00" * 64),
    )
    yield damaged("short", "signatures that lack a byte", "6.2", FEW, lambda one: one.update(sig=one["sig"][:-2]))
    yield damaged("signature-number", "numbers in the place of signatures", "6.2", FEW, put(sig=5))
    yield damaged("signature-null", "nothing in the place of signatures", "6.2", FEW, put(sig=None))
    yield damaged("signature-id", "key ids in capitals", "6.2", FEW, lambda one: one.update(keyid=one["keyid"].upper()))
    changed = base()["metadata/1.targets.json"].replace(b'"version":1}', b'"version":2}')
    yield case(
        "targets-changed",
        "the targets were changed after they were signed",
        "6.2",
        FEW,
        Forged().raw("targets", changed).done(),
    )
    yield case("snapshot-stranger", "a stranger signs the snapshot", "6.2", FEW, Forged().done(by=[stranger]))
    yield case("snapshot-custodians", "the custodians sign the snapshot", "6.2", FEW, Forged().done(by=[first, second]))
    yield case("timestamp-stranger", "a stranger signs the timestamp", "6.2", FEW, Forged().dated(by=[stranger]))
    yield case(
        "timestamp-custodians", "the custodians sign the timestamp", "6.2", FEW, Forged().dated(by=[first, second])
    )
    for name, raw in (("not-json", b"\x00"), ("empty", b""), ("object", b"{}"), ("deep", b"[" * 5000)):
        yield case(
            f"timestamp-{name}",
            "no metadata in the timestamp's place",
            "6.1",
            MALFORMED,
            {**base(), "metadata/timestamp.json": raw},
        )
    path = "metadata/1.snapshot.json"
    other = {**base(), path: base()["metadata/1.targets.json"]}
    yield case("snapshot-other", "another file in the snapshot's place", "6.1", MALFORMED, other)
    stamp = base()["metadata/timestamp.json"]
    forged = Forged({**base(), path: stamp})
    yield case(
        "snapshot-other-type", "a timestamp in the snapshot's place, vouched for", "6.1", MALFORMED, forged.dated()
    )
    yield case("spec-version", "metadata of TUF 2.0", "6.1", MALFORMED, Forged().dated(put(spec_version="2.0.0")))
    swapped = {**base(), "metadata/1.agency.ATF.json": base()["metadata/1.agency.JCF.json"]}
    yield case(
        "metadata-other-hash",
        "JCF's metadata in the place of ATF's",
        "6.4",
        "ok",
        swapped,
        faults=[("agency.ATF", "role.malformed")],
    )


def _times() -> Iterator[Case]:
    end = NOW_MS + 30 * DAY_MS
    yield case("ok-last-moment", "the last millisecond", "6.3", "ok", base(), now_ms=end - 1)
    yield case("expired", "the moment that it expires", "6.3", "directory.expired", base(), now_ms=end)
    past = put(expires=PAST)
    yield case("expired-timestamp", "the timestamp has expired", "6.3", "directory.expired", Forged().dated(past))
    yield case("expired-snapshot", "the snapshot has expired", "6.3", "directory.expired", Forged().done(snapshot=past))
    yield case(
        "expired-targets", "the targets have expired", "6.3", "directory.expired", Forged().role("targets", past).done()
    )
    yield case("ok-just-ahead", "signed 5 minutes ahead", "6.3", "ok", base(), now_ms=NOW_MS - 300_000)
    yield case(
        "future", "signed over 5 minutes ahead", "6.3", "directory.not_yet_valid", base(), now_ms=NOW_MS - 300_001
    )
    yield case(
        "signed-at-missing",
        "the timestamp does not say when",
        "6.3",
        MALFORMED,
        Forged().dated(without("signed_at_ms")),
    )
    for name, value in (("text", "now"), ("negative", -1), ("truth", True), ("null", None)):
        yield case(
            f"signed-at-{name}",
            f"it was signed at {json.dumps(value)}",
            "6.3",
            MALFORMED,
            Forged().dated(put(signed_at_ms=value)),
        )
    yield case(
        "other-hub", "the index is of HUB2", "6.3", "directory.other_hub", Forged().index(put(hub="HUB2")).done()
    )


def _successions() -> Iterator[Case]:
    suspended = lambda index: index["agencies"][0].update(active=False)  # noqa: E731
    newer = Forged().index(suspended, put(version=2)).done(2)
    yield case("ok-next", "version 2 after 1", "6.4", "ok", newer, before=[base()], version=2, suspended=["ATF"])
    yield case("ok-again", "the same once more", "6.4", "ok", base(), before=[base()])
    yield case("rolled-back", "version 1 after 2", "6.4", BACK, base(), before=[newer])
    dated = Forged().dated(put(version=9, signed_at_ms=NOW_MS + 1))
    yield case("ok-dated", "the same, dated anew", "6.8", "ok", dated, before=[base()])
    yield case("rolled-back-date", "an older timestamp", "6.4", BACK, base(), before=[dated])
    back = Forged().dated(put(version=9))
    yield case("rolled-back-dated", "version 1 after 2, with a newer timestamp", "6.4", BACK, back, before=[newer])
    other = Forged().index(suspended).done()
    other = Forged(other).dated(put(version=9))
    yield case(
        "two-of-one-version",
        "another directory of the same version",
        "6.4",
        "directory.equivocation",
        other,
        before=[base()],
    )
    marked = Forged().done(snapshot=put(remark=1))
    marked = Forged(marked).dated(put(version=9))
    yield case(
        "two-snapshots",
        "two snapshots of one version that name the same files",
        "6.4",
        "directory.equivocation",
        marked,
        before=[base()],
    )
    told_two = Forged().role("agency.ATF", put(version=2), payload=dumped(statement_of(2))).done(2)
    yield case(
        "ok-statement",
        "ATF's statement 2 after 1",
        "6.4",
        "ok",
        told_two,
        before=[base()],
        version=2,
        agencies={"ATF": 2, "JCF": 1},
    )
    yield case("statement-rolled-back", "ATF's statement 1 after 2", "6.4", BACK, Forged().done(3), before=[told_two])
    yield case(
        "role-rolled-back",
        "MOU-1's role 1 after 2",
        "6.4",
        BACK,
        Forged().done(3),
        before=[Forged().role(AGREED, put(version=2), payload=dumped(agreed_text() | {"version": 2})).done(2)],
    )
    online = signing_key("another online")

    def rekeyed(root: Json) -> None:
        for role in ("snapshot", "timestamp"):
            root["roles"][role]["keyids"] = [id_of(online)]

    forged = Forged({**base(), "metadata/2.root.json": rooted(rekeyed, version=2, keys=[online])})
    forged.online = online
    yield case(
        "ok-root-changed",
        "the operator's key is another: version 2 after 1",
        "6.4",
        "ok",
        forged.done(2),
        before=[base()],
        version=2,
    )
    forged = Forged({**base(), "metadata/2.root.json": forged.files["metadata/2.root.json"]})
    forged.online = online
    yield case(
        "root-changed-back",
        "the operator's key is another, and version 1 comes after 2",
        "6.4",
        BACK,
        forged.done(),
        before=[newer],
    )
    forged = Forged({**base(), "metadata/2.root.json": forged.files["metadata/2.root.json"]})
    forged.online = online
    says = "the operator's key is another, and dates another directory of version 1"
    again = forged.index(suspended).done()
    yield case("root-changed-other", says, "6.4", "directory.equivocation", again, before=[base()])
    forged = Forged({**base(), "metadata/2.root.json": forged.files["metadata/2.root.json"]})
    forged.online = online
    raw = dumped(statement_of(2))
    newest = Forged().role("agency.ATF", put(version=2), payload=raw).done(2)
    yield case(
        "root-changed-statement",
        "the operator's key is another, and ATF's statement 1 comes after 2",
        "6.4",
        BACK,
        forged.done(3),
        before=[newest],
    )

    def pin(name: str, says: str, edit: Edit) -> Case:
        return case(
            name, says, "6.4", MALFORMED, Forged().done(snapshot=lambda said: edit(said["meta"]["agency.ATF.json"]))
        )

    yield pin("snapshot-no-hash", "the snapshot names ATF's role without a hash", without("hashes"))
    yield pin("snapshot-no-length", "the snapshot names ATF's role without its length", without("length"))
    yield pin("snapshot-md5", "the snapshot names ATF's role by MD5", put(hashes={"md5": "00" * 16}))
    bare = Forged().dated(lambda stamp: stamp["meta"]["snapshot.json"].pop("hashes"))
    yield case("timestamp-no-hash", "the timestamp names the snapshot without a hash", "6.4", MALFORMED, bare)
    yield case("ok-version", "version 2^53 - 1", "6.4", "ok", Forged().done(2**53 - 1), version=2**53 - 1)
    yield case("version-far", "version 2^53", "6.4", MALFORMED, Forged().done(2**53))
    named = Forged().done(snapshot=put(version=2))
    named["metadata/1.snapshot.json"] = named.pop("metadata/2.snapshot.json")
    yield case("snapshot-other-version", "snapshot 2 in the place of 1", "6.4", BACK, Forged(named).dated())
    wrong = Forged().role("targets", put(version=2))
    wrong.files["metadata/1.targets.json"] = wrong.files.pop("metadata/2.targets.json")
    yield case("targets-other-version", "targets 2 in the place of 1", "6.4", BACK, wrong.done())


def _shared_keys() -> Iterator[Case]:
    old = id_of(world().keys[ATF].identity)

    def identity(name: str, says: str, key: SigningKey) -> Case:
        def edit(said: Json) -> None:
            said["delegations"]["keys"][id_of(key)] = key_of(key)
            for one in said["delegations"]["roles"]:
                one["keyids"] = list(dict.fromkeys(id_of(key) if keyid == old else keyid for keyid in one["keyids"]))

        def unagreed(said: Json) -> None:
            edit(said)
            said["delegations"]["roles"] = [one for one in said["delegations"]["roles"] if one["name"] != AGREED]

        forged = (
            Forged().index(put(agreements=[]), unagreed)
            if key.public == world().keys[JCF].identity.public
            else Forged().role("targets", edit)
        )
        return case(
            f"identity-{name}",
            f"ATF's identity key is {says}",
            "6.5",
            SHARED_KEY,
            forged.role("agency.ATF", by=[key]).done(),
        )

    yield identity("custodian", "a custodian's", world().custodians[2])
    yield identity("operator", "the operator's", world().online)
    yield identity("jcf", "JCF's", world().keys[JCF].identity)
    yield identity("half-mldsa", "by its ML-DSA half a custodian's", mixed("custodian 2", "x"))
    yield identity("half-ed25519", "by its Ed25519 half JCF's", mixed("x", "JCF identity"))
    both = agreed_text()

    def one_key(said: Json) -> None:
        jcf = id_of(world().keys[JCF].identity)
        for one in said["delegations"]["roles"]:
            one["keyids"] = [jcf]

    forged = Forged().role("targets", one_key).role("agency.ATF", by=[world().keys[JCF].identity])
    yield case(
        "identity-of-both-parties",
        f"one key signs for both parties of {both['agreement']}",
        "6.5",
        SHARED_KEY,
        forged.done(),
    )

    def listed(name: str, says: str, keys: dict[str, list[bytes]], faults: Sequence[str]) -> Case:
        forged = Forged()
        for agency, raws in keys.items():
            value = json.loads(forged.payload(f"agency.{agency}"))
            entry = value["signing_keys"][0]
            value["signing_keys"] = [entry | {"key": text(raw)} for raw in raws]
            forged.role(f"agency.{agency}", payload=dumped(value))
        return case(
            f"shared-{name}", says, "6.6", "ok", forged.done(), faults=[(f"agency.{one}", SHARED_KEY) for one in faults]
        )

    jcf = world().keys[JCF].signing.public.raw
    yield listed("signing", "ATF lists JCF's signing key", {"ATF": [jcf]}, ["ATF", "JCF"])
    yield listed(
        "signing-mldsa",
        "ATF lists the ML-DSA half of JCF's signing key",
        {"ATF": [mixed("JCF site", "x").public.raw]},
        ["ATF", "JCF"],
    )
    yield listed(
        "signing-ed25519",
        "ATF lists the Ed25519 half of JCF's signing key",
        {"ATF": [mixed("x", "JCF site").public.raw]},
        ["ATF", "JCF"],
    )
    yield listed(
        "own-identity",
        "ATF's identity key also signs flushes",
        {"ATF": [world().keys[ATF].identity.public.raw]},
        ["ATF"],
    )
    yield listed(
        "others-identity", "ATF lists JCF's identity key", {"ATF": [world().keys[JCF].identity.public.raw]}, ["ATF"]
    )
    yield listed(
        "custodian", "ATF lists half of a custodian's key", {"ATF": [mixed("custodian 2", "x").public.raw]}, ["ATF"]
    )
    yield listed(
        "operator", "ATF lists half of the operator's key", {"ATF": [mixed("x", "operator online").public.raw]}, ["ATF"]
    )
    kem = json.loads(Forged().payload("agency.JCF"))["kem_keys"]
    forged = Forged().json_target("agency.ATF", put(kem_keys=kem))
    faults = [("agency.ATF", SHARED_KEY), ("agency.JCF", SHARED_KEY)]
    yield case("shared-kem", "ATF lists JCF's KEM key", "6.6", "ok", forged.done(), faults=faults)
