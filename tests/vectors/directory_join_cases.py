"""Vectors of what travels between an agency and the custodians: enrolments, signed roles, words (directory 10)."""

from __future__ import annotations

from collections.abc import Iterator

from hub.adapters.fingerprint import fingerprint_words, root_id
from hub.adapters.tuf_reader import parse_root
from tests.vectors.directory_case import put, without
from tests.vectors.directory_forge import (
    AGREED,
    ATF,
    JCF,
    SHARED_ROOT,
    Edit,
    Forged,
    Json,
    base,
    dumped,
    sealed,
    signed_of,
    target_of,
    told,
    world,
)
from tests.vectors.scenario import Case, text


def cases() -> Iterator[Case]:
    """Every case of these clauses."""
    for part in (_enrolments, _replies, _signed_roles, _words):
        yield from part()


def _file(name: str, says: str, clause: str, operation: str, expect: str, raw: bytes, **result: object) -> Case:
    return Case(f"directory/{name}", says, f"directory {clause}", operation, expect, {"file": text(raw)}, dict(result))


def _enrolments() -> Iterator[Case]:
    code, role = "enrolment.malformed", "agency.ATF"
    forged, identity = Forged(), world().keys[ATF].identity
    whole: Json = {
        "kind": "cgi-hub/v1/enrolment",
        "hub": "HUB",
        "agency": "ATF",
        "name": "the agency ATF",
        "identity": text(identity.public.raw),
        "role": role,
        "metadata": text(base()[forged.name(role)]),
        "payload": text(forged.payload(role)),
        "requests": {"": "a request in PEM"},
    }

    def sent(name: str, says: str, edit: Edit) -> Case:
        value = dict(whole)
        edit(value)
        return _file(f"enrolment-{name}", f"an enrolment: {says}", "10.1", "enrolment", code, dumped(value))

    yield _file(
        "enrolment-ok", "an enrolment of ATF", "10.1", "enrolment", "ok", dumped(whole), hub="HUB", agency="ATF"
    )
    yield _file("enrolment-not-json", "no JSON", "10.1", "enrolment", code, b"\x00")
    yield sent("kind", "another kind", put(kind="cgi-hub/v1/enrolment-reply"))
    yield sent("member", "a member that is not named", put(secret=""))
    yield sent("member-missing", "no requests", without("requests"))
    yield sent("agency", "an agency in lower case", put(agency="atf"))
    yield sent("other-agency", "RSS with ATF's statement", put(agency="RSS"))
    yield sent("other-hub", "HUB2 with a statement for HUB", put(hub="HUB2"))
    other = text(world().keys[JCF].identity.public.raw)
    yield sent("other-identity", "JCF's identity key beside ATF's signature", put(identity=other))
    yield sent("identity-short", "an identity key that lacks a byte", put(identity=text(identity.public.raw[:-1])))
    yield sent("payload", "another statement than was signed", put(payload=text(forged.payload(role) + b" ")))
    yield sent("role", "ATF's statement as JCF's role", put(role="agency.JCF"))
    metadata = sealed(signed_of(base()[forged.name(role)]))
    yield sent("unsigned", "no signature", put(metadata=text(metadata)))
    by_site = sealed(signed_of(base()[forged.name(role)]), world().keys[ATF].signing)
    yield sent("by-site", "the site's key has signed it", put(metadata=text(by_site)))


def _replies() -> Iterator[Case]:
    whole: Json = {
        "kind": "cgi-hub/v1/enrolment-reply",
        "hub": "HUB",
        "agency": "ATF",
        "root": text(base()["metadata/1.root.json"]),
        "ca": "a certificate in PEM",
        "certificates": {"": "a certificate in PEM"},
        "bootstrap": "broker.example:9093",
    }
    code = "enrolment.malformed"
    says = "the reply to ATF"
    yield _file("reply-ok", says, "10.2", "reply", "ok", dumped(whole), hub="HUB", agency="ATF", root=whole["root"])
    for name, change in (
        ("kind", {"kind": "cgi-hub/v1/enrolment"}),
        ("member", {"secret": ""}),
        ("agency", {"agency": "atf"}),
        ("root", {"root": "no base64"}),
        ("certificates", {"certificates": ["a certificate in PEM"]}),
    ):
        raw = dumped(whole | change)
        yield _file(f"reply-{name}", f"a reply whose {name} is wrong", "10.2", "reply", code, raw)


def _signed_roles() -> Iterator[Case]:
    code = "role.malformed"

    def carried(name: str, forged: Forged | None = None, **changed: object) -> bytes:
        found = forged or Forged()
        whole = {
            "kind": "cgi-hub/v1/signed-role",
            "role": name,
            "metadata": text(found.files[found.name(name)]),
            "payload": text(found.payload(name)),
        }
        return dumped(whole | changed)

    def refused(name: str, says: str, raw: bytes) -> Case:
        return _file(f"signed-role-{name}", f"a signed role: {says}", "10.3", "signed_role", code, raw)

    role, mine = "agency.ATF", target_of("agency.ATF")
    atf, jcf = (world().keys[agency].identity for agency in (ATF, JCF))
    for name, which, says, by in (
        ("ok", role, "ATF's statement", [atf]),
        ("ok-agreement", AGREED, "an agreement with both signatures", [atf, jcf]),
        ("ok-half", AGREED, "an agreement that waits for ATF's signature", [jcf]),
    ):
        raw = carried(which, Forged().role(which, by=by))
        ids = sorted(key.public.key_id.hex() for key in by)
        yield _file(f"signed-role-{name}", says, "10.3", "signed_role", "ok", raw, role=which, version=1, signed_by=ids)
    yield refused("kind", "another kind", carried(role, kind="cgi-hub/v1/enrolment"))
    yield refused("name", "a name that is none", carried(role, role="targets"))
    yield refused("other-name", "JCF's name", carried(role, role="agency.JCF"))
    yield refused(
        "payload", "another target than was signed", carried(role, payload=text(Forged().payload(role) + b" "))
    )
    yield refused(
        "other-type", "the targets' metadata", carried(role, metadata=text(base()["metadata/1.targets.json"]))
    )
    yield refused("a-root", "a root's metadata", carried(role, metadata=text(base()["metadata/1.root.json"])))
    metadata = Forged().files[Forged().name(role)]
    twice = metadata.replace(b'"version":1}', b'"version":1,"version":1}')
    assert twice != metadata
    yield refused("member-twice", "metadata with a member twice", carried(role, metadata=text(twice)))
    more = Forged().role(role, lambda said: said["targets"].update({"x": said["targets"][mine]}))
    yield refused("two-targets", "two targets", carried(role, more))
    deeper = Forged().role(role, put(delegations={"keys": {}, "roles": []}))
    yield refused("delegates", "delegations, if none", carried(role, deeper))
    hashed = Forged().role(role, lambda said: said["targets"][mine]["hashes"].update(md5="00" * 16))
    yield refused("hashes", "another hash beside SHA-256", carried(role, hashed))
    long = told(Forged().payload(role)) | {"length": 1}
    yield refused(
        "length",
        "another length",
        carried(role, Forged().role(role, lambda said: said["targets"].update({mine: long}))),
    )


def _words() -> Iterator[Case]:
    key_id = world().keys[ATF].identity.public.key_id
    for language in ("english", "french", "spanish"):
        words = " ".join(fingerprint_words(key_id, language))
        inputs: Json = {"key_id": key_id.hex(), "language": language}
        says = f"ATF's identity key in {language.capitalize()}"
        yield Case(f"directory/words-{language}", says, "directory 10.4", "words", "ok", inputs, {"words": words})
    found = root_id(parse_root(base()["metadata/1.root.json"]))
    inputs = {"root": SHARED_ROOT, "language": "english"}
    result = {"id": found.hex(), "words": " ".join(fingerprint_words(found))}
    yield Case("directory/words-root", "the root of shared/", "directory 10.4", "words", "ok", inputs, result)
