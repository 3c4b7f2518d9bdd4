"""Vectors of the directory: its JSON, its keys, the root and the key statements (directory 2 to 4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from hub.trust.composite import SigningKey
from tests.support.authority import kem_key, signing_key
from tests.vectors.directory_case import (
    BACK,
    FEW,
    INDEX,
    MALFORMED,
    PAST,
    case,
    fault,
    put,
    without,
)
from tests.vectors.directory_forge import (
    ATF,
    Edit,
    Forged,
    Json,
    base,
    custodial,
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
        _json,
        _keys,
        _roots,
        _root_changes,
        _statements,
    ):
        yield from part()


# --- 2: JSON and keys -------------------------------------------------------------------------------------------------


def _json() -> Iterator[Case]:
    index = Forged().payload("targets")
    for name, says, raw in (
        ("not-json", "no JSON", b"\x00\x01"),
        ("empty", "nothing", b""),
        ("list", "no object", b"[]"),
        ("trailing", "something after the end", index + b"{}"),
        ("latin-1", "not in UTF-8", index.replace(b"the agency ATF", b"l'agence \xe9")),
        ("member-twice", "a member twice", index.replace(b'{"agencies"', b'{"hub":"HUB","agencies"', 1)),
        ("member-unknown", "a member that is not named", index.replace(b'"hub":', b'"emergency":true,"hub":', 1)),
        ("member-missing", "a member that is missing", index.replace(b',"kind":"cgi-hub/v1/directory-index"', b"", 1)),
        ("kind", "another kind", index.replace(b"directory-index", b"directory", 1)),
        ("type", "a text where a truth value is wanted", index.replace(b'"active":true', b'"active":"true"', 1)),
        ("number", "1 where a truth value is wanted", index.replace(b'"active":true', b'"active":1', 1)),
    ):
        assert raw != index
        yield case(f"index-{name}", f"the index: {says}", "2.1", INDEX, Forged().role("targets", payload=raw).done())
    pretty = json.dumps(json.loads(index), indent=3).encode()
    yield case(
        "ok-index-white-space", "an index in another form", "2.3", "ok", Forged().role("targets", payload=pretty).done()
    )
    targets = base()["metadata/1.targets.json"]
    spread = Forged().raw("targets", json.dumps(json.loads(targets), indent=3).encode())
    yield case(
        "ok-metadata-white-space", "metadata in another form: its signatures still fit", "2.3", "ok", spread.done()
    )
    named = put(remark="said by nobody who counts")
    yield case(
        "ok-metadata-member",
        "metadata with a member that TUF does not name",
        "2.3",
        "ok",
        Forged().role("targets", named).done(),
    )
    for name, says, old, new in (
        ("member-twice", "a member twice, the last of them as it was signed", b'"_type"', b'"version":1,"_type"'),
        ("number", "a version with a fraction", b'"version":1}', b'"version":1.0}'),
        ("exponent", "a version with an exponent", b'"version":1}', b'"version":1e0}'),
    ):
        assert old in targets
        forged = Forged().raw("targets", targets.replace(old, new))
        yield case(f"metadata-{name}", f"metadata: {says}", "2.1", MALFORMED, forged.done())
    key = json.loads(Forged().payload("agency.ATF"))["signing_keys"][0]["key"]
    for name, says, changed in (
        ("space", "base64 with a space", " " + key),
        ("padding", "base64 without its padding", key.rstrip("=") if key.endswith("=") else key[:-1]),
        ("url", "base64 of another alphabet", key.replace("+", "-").replace("/", "_")),
    ):
        raw = Forged().payload("agency.ATF").replace(key.encode(), changed.encode())
        yield fault(
            f"statement-{name}",
            f"a key statement: {says}",
            "2.2",
            "statement.malformed",
            Forged().role("agency.ATF", payload=raw),
        )
    for name, value in (("negative", -1), ("truth", True), ("text", "1"), ("far", 253_402_300_800_000)):
        yield fault(
            f"statement-time-{name}",
            f"a time that is {json.dumps(value)}",
            "2.4",
            "statement.malformed",
            Forged().json_target("agency.ATF", put(issued_at_ms=value)),
        )


def _keys() -> Iterator[Case]:
    foreign = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 32}}
    mine = id_of(world().keys[ATF].identity)

    def targets(edit: Edit) -> dict[str, bytes]:
        return Forged().role("targets", lambda said: edit(said["delegations"]["keys"])).done()

    yield case(
        "key-kind",
        "a key of another kind, that nothing uses",
        "2.5",
        MALFORMED,
        targets(put(**{"bb" * 32: foreign})),
    )
    ours = key_of(world().keys[ATF].identity)
    yield case("key-id", "a key under an id that is not its own", "2.5", MALFORMED, targets(put(**{"aa" * 32: ours})))
    upper = put(**{mine.upper(): ours})
    yield case("key-id-case", "a key under its id in capitals", "2.5", MALFORMED, targets(upper))
    scheme = put(**{mine: ours | {"scheme": "mldsa65"}})
    yield case("key-scheme", "a key of another scheme", "2.5", MALFORMED, targets(scheme))
    member = put(**{mine: ours | {"comment": "mine"}})
    yield case("key-member", "a key with a member that is not named", "2.5", MALFORMED, targets(member))
    value = put(**{mine: ours | {"keyval": ours["keyval"] | {"private": ""}}})
    yield case("key-value", "a key with more than its public half", "2.5", MALFORMED, targets(value))
    short = put(**{mine: ours | {"keyval": {"public": text(world().keys[ATF].identity.public.raw[:-1])}}})
    yield case("key-short", "a key that lacks a byte", "2.5", MALFORMED, targets(short))

    def both_ids(root: Json) -> None:
        one = id_of(world().custodians[0])
        root["keys"]["aa" * 32] = root["keys"][one]
        for role in ("root", "targets"):
            root["roles"][role]["keyids"] = [one, "aa" * 32]
        root["custodians"] = {one: "north", "aa" * 32: "east"}

    yield pinned("key-twice", "one custodian's key under two ids", "2.5", rooted(both_ids))
    yield pinned(
        "key-kind", "a key of another kind", "2.5", rooted(lambda root: root["keys"].update({"bb" * 32: foreign}))
    )


# --- 3: the root ------------------------------------------------------------------------------------------------------


def pinned(name: str, says: str, clause: str, root: bytes, expect: str = "root.invalid") -> Case:
    """Another root that is pinned."""
    return case(f"root-{name}", f"the pinned root: {says}", clause, expect, base(), root=root)


def _roots() -> Iterator[Case]:
    first, second, third = world().custodians
    online = world().online
    yield pinned("not-json", "no JSON", "6.1", b"\x00\x01")
    yield pinned("not-a-root", "the targets' metadata", "6.1", base()["metadata/1.targets.json"])
    yield pinned("no-hub", "no hub", "3.1", rooted(without("hub")))
    yield pinned("hub", "a hub that is no code", "3.1", rooted(put(hub="hub")))
    yield pinned("no-names", "no names of the custodians", "3.1", rooted(without("custodians")))
    yield pinned(
        "name-missing", "a custodian without a name", "3.1", rooted(lambda root: root["custodians"].pop(id_of(third)))
    )
    yield pinned("name-of-none", "a name of no custodian", "3.1", rooted(lambda root: root["custodians"].update(x="y")))
    yield pinned(
        "name-number",
        "a custodian whose name is a number",
        "3.1",
        rooted(lambda root: root["custodians"].update({id_of(third): 3})),
    )
    yield pinned("not-consistent", "snapshots are not consistent", "3.1", rooted(put(consistent_snapshot=False)))

    def roles(name: str, says: str, role: str, **members: Any) -> Case:
        return pinned(name, says, "3.2", rooted(lambda root: root["roles"][role].update(members)))

    yield roles("targets-keys", "others sign the targets", "targets", keyids=[id_of(first), id_of(second)])
    yield roles("targets-threshold", "one custodian signs the targets", "targets", threshold=1)
    yield roles("snapshot-key", "a custodian signs the snapshot", "snapshot", keyids=[id_of(first)])
    yield roles("snapshot-threshold", "two keys sign the snapshot", "snapshot", threshold=2)
    yield roles("timestamp-threshold", "two keys sign the timestamp", "timestamp", threshold=2)
    yield roles("key-unknown", "an online key that is not there", "timestamp", keyids=["00" * 32])

    def threshold(value: int) -> bytes:
        def edit(root: Json) -> None:
            for role in ("root", "targets"):
                root["roles"][role]["threshold"] = value

        return rooted(edit, by=world().custodians)

    yield pinned("threshold-none", "a threshold of none", "3.2", threshold(0))
    yield pinned("threshold-over", "a threshold of four of three", "3.2", threshold(4))

    def three(last: SigningKey) -> bytes:
        return rooted(lambda root: custodial(root, first, second, last), keys=[last])

    yield pinned(
        "half-mldsa", "two custodians share the ML-DSA half", "3.3", three(mixed("custodian 0", "custodian 9"))
    )
    yield pinned(
        "half-ed25519", "two custodians share the Ed25519 half", "3.3", three(mixed("custodian 9", "custodian 0"))
    )
    yield pinned(
        "half-online",
        "a custodian and the operator share a half",
        "3.3",
        three(mixed("operator online", "custodian 9")),
    )
    yield pinned("key-online", "a custodian's key is the operator's too", "3.3", three(online))
    yield pinned("one-custodian", "one of its own two has signed it", "3.4", rooted(by=[first]))
    yield pinned(
        "strangers",
        "two have signed it that it does not name",
        "3.4",
        rooted(by=[signing_key("a stranger"), signing_key("another stranger")]),
    )
    many = [signing_key(f"custodian {number}") for number in range(33)]
    yield pinned("custodians", "33 custodians", "1.3", rooted(lambda root: custodial(root, *many), keys=many))


def _root_changes() -> Iterator[Case]:
    first, second, third = world().custodians
    new = signing_key("custodian 3")

    def replaced(root: Json) -> None:
        custodial(root, first, second, new)

    def followed(name: str, says: str, expect: str, clause: str, raw: bytes, **more: Any) -> Case:
        return case(f"root-{name}", says, clause, expect, {**base(), "metadata/2.root.json": raw}, **more)

    second_root = rooted(replaced, version=2, keys=[new], by=[first, second])
    yield followed("replaced", "root 2 has another custodian; those who stay have signed it", "ok", "3.5", second_root)
    yield followed("pinned-later", "who joins later pins root 2", "ok", "3.4", second_root, root=second_root)
    few = [(("old"), "the old ones", [first, new]), ("new", "the new ones", [first, third])]
    for name, says, keys in few:
        raw = rooted(replaced, version=2, keys=[new], by=keys)
        yield followed(f"few-{name}", f"root 2 is signed by one of {says}", FEW, "3.5", raw)
    raw = rooted(replaced, version=3, keys=[new], by=[first, second])
    yield followed("skipped", "root 3 in the place of root 2", BACK, "6.4", raw)
    raw = rooted(lambda root: root["roles"]["targets"].update(threshold=1), version=2)
    yield followed("arrangement", "root 2 is arranged otherwise", "root.invalid", "3.2", raw)
    raw = rooted(put(expires=PAST), version=2)
    yield followed("expired", "root 2 has expired", "directory.expired", "6.3", raw)
    raw = rooted(put(hub="HUB2"), version=2)
    yield followed("other-hub", "root 2 is of HUB2, the index of HUB", "directory.other_hub", "6.3", raw)
    later = Forged({**base(), "metadata/2.root.json": raw}).dated(put(version=9))
    says = "so it is where the snapshot is one that was taken before"
    yield case("root-other-hub-later", says, "6.3", "directory.other_hub", later, before=[base()])

    foreign = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 32}}
    between = rooted(lambda root: root["keys"].update({"bb" * 32: foreign}), version=2)
    files = {**base(), "metadata/2.root.json": between, "metadata/3.root.json": rooted(version=3)}
    yield case("root-key-kind-between", "root 2 has a key of another kind, root 3 has not", "2.5", MALFORMED, files)

    def handed(root: Json) -> None:
        custodial(root, new, signing_key("custodian 4"), signing_key("custodian 5"))

    others = [new, signing_key("custodian 4"), signing_key("custodian 5")]
    raw = rooted(handed, version=2, keys=others, by=[first, second, *others[:2]])
    yield followed("handed-over", "root 2 has three others, who have not signed the targets", FEW, "6.2", raw)
    forged = Forged({**base(), "metadata/2.root.json": raw})
    forged.custodians = others[:2]
    yield case("root-handed-over-signed", "and now they have", "3.5", "ok", forged.role("targets").done())


# --- 4: key statements ------------------------------------------------------------------------------------------------


def _statements() -> Iterator[Case]:
    code, role = "statement.malformed", "agency.ATF"
    said = json.loads(Forged().payload(role))
    signing, kem = said["signing_keys"][0], said["kem_keys"][0]
    begin = kem["not_before_ms"]

    def stated(name: str, says: str, clause: str, expect: str, edit: Edit) -> Case:
        return fault(f"statement-{name}", says, clause, expect, Forged().json_target(role, edit))

    yield stated("kind", "a statement of another kind", "4.1", code, put(kind="cgi-hub/v1/agreement"))
    yield stated("member", "a statement that says more", "4.1", code, put(comment=""))
    yield stated("member-missing", "a statement without KEM keys' list", "4.1", code, without("kem_keys"))
    for version in (0, 2**32):
        forged = Forged().role(role, put(version=max(1, version)), payload=dumped(said | {"version": version}))
        yield fault(f"statement-version-{version}", f"a statement of version {version}", "4.1", code, forged)
    highest = Forged().role(role, put(version=2**32 - 1), payload=dumped(said | {"version": 2**32 - 1}))
    yield case(
        "ok-statement-version",
        "a statement of version 2^32 - 1",
        "4.1",
        "ok",
        highest.done(),
        agencies={"ATF": 2**32 - 1, "JCF": 1},
    )
    yield stated("kem-site", "a KEM key with a site", "4.1", code, put(kem_keys=[kem | {"site": "main"}]))
    yield stated("site-long", "a site of 81 characters", "4.1", code, put(signing_keys=[signing | {"site": "s" * 81}]))
    yield stated("version", "statement 2 in version 1 of the role", "4.2", "role.malformed", put(version=2))
    yield stated("other-agency", "ATF signs a statement for JCF", "4.3", "statement.other_agency", put(agency="JCF"))
    yield stated("other-hub", "ATF's statement for HUB2", "4.3", "statement.other_agency", put(hub="HUB2"))
    raw = Forged().role(role, payload=b"keys: none")
    yield fault("statement-not-json", "no JSON, well signed", "4.3", code, raw)
    yield stated("none", "no key at all is a statement too", "4.1", code, put(signing_keys=None))
    yield case(
        "ok-statement-empty",
        "a statement without keys",
        "4.1",
        "ok",
        Forged().json_target(role, put(signing_keys=[], kem_keys=[])).done(),
    )
    never = [signing | {"not_after_ms": signing["not_before_ms"]}]
    yield stated("never", "a key that is never valid", "4.4", code, put(signing_keys=never))
    newer = {**kem, "key": text(kem_key("ATF 2").public.raw), "not_before_ms": begin + 1}
    yield case(
        "ok-statement-kem-keys",
        "two KEM keys",
        "4.4",
        "ok",
        Forged().json_target(role, put(kem_keys=[kem, newer])).done(),
    )
    yield stated("kem-order", "the later KEM key first", "4.4", code, put(kem_keys=[newer, kem]))
    together = newer | {"not_before_ms": begin}
    yield stated("kem-together", "two KEM keys that begin together", "4.4", code, put(kem_keys=[kem, together]))
    yield stated("kem-twice", "a KEM key twice", "4.4", code, put(kem_keys=[kem, kem | {"not_before_ms": begin + 1}]))
    yield stated("signing-twice", "a signing key twice", "4.4", code, put(signing_keys=[signing, signing]))
    for name, says, which, entry, raw_key in (
        ("kem-small-order", "a KEM key whose X25519 half is of small order", "kem_keys", kem, (1184, bytes(32))),
        (
            "signing-small-order",
            "a signing key whose Ed25519 half is of small order",
            "signing_keys",
            signing,
            (1952, b"\x01" + bytes(31)),
        ),
        ("kem-short", "a KEM key that lacks a byte", "kem_keys", kem, (1215, b"")),
        ("signing-short", "a signing key that lacks a byte", "signing_keys", signing, (1983, b"")),
    ):
        cut, end = raw_key
        weak = entry | {"key": text(base64.b64decode(entry["key"])[:cut] + end)}
        yield stated(name, says, "4.4", code, put(**{which: [weak]}))
