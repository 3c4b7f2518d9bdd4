"""Vectors of the directory snapshot (docs/spec/directory.md): who may be believed, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hub.model import HUB, AgencyId
from hub.trust.composite import SigningKey
from hub.trust.snapshot import AgencyDraft, encode_directory
from hub.trust.statement import KeyStatement, SignedStatement
from tests.support.authority import DAY_MS, NOW_MS, World, sign_snapshot, signing_key
from tests.vectors.scenario import Case, text

ATF = AgencyId("ATF")


def small() -> World:
    """HUB and ATF, version 7."""
    made = World.of("ATF")
    made.version = 7
    return made


def directory_case(
    name: str,
    says: str,
    clause: str,
    expect: str,
    snapshot: bytes,
    *,
    now_ms: int = NOW_MS,
    before: Sequence[bytes] = (),
    result: dict[str, Any] | None = None,
) -> Case:
    """A snapshot as a reader with the root of shared/ gets it, after it took those ``before``."""
    inputs: dict[str, Any] = {"root": "root.json", "now_ms": now_ms}
    if before:
        inputs["before"] = [text(one) for one in before]
    inputs["snapshot"] = text(snapshot)
    return Case(f"directory/{name}", says, f"directory {clause}", "directory", expect, inputs, result or {})


def cases() -> Iterator[Case]:
    made = small()
    raw = made.snapshot()
    result = {"hub": "HUB", "version": 7, "agencies": ["ATF", "HUB"]}
    yield directory_case("ok", "two of three custodians have signed", "6", "ok", raw, result=result)
    yield from _signatures(made)
    yield from _times_and_versions(made, raw)
    yield from _forms(made, raw)
    yield from _statements(made)


def _signatures(made: World) -> Iterator[Case]:
    payload = made.payload()
    few = "directory.too_few_signatures"
    one, two, _ = made.custodians
    yield directory_case("unsigned", "no signature", "6.2", "directory.unsigned", sign_snapshot(payload, []))
    yield directory_case("one-custodian", "one of the two that must", "6.2", few, sign_snapshot(payload, [one]))
    envelope = json.loads(sign_snapshot(payload, [one]))
    envelope["signatures"] *= 2
    yield directory_case("one-custodian-twice", "one, twice", "6.2", few, json.dumps(envelope).encode())
    stranger = sign_snapshot(payload, [one, signing_key("a stranger")])
    yield directory_case("stranger", "one, and one who is no custodian", "6.2", few, stranger)
    agency = sign_snapshot(payload, [one, made.keys[ATF].identity])
    yield directory_case("agency", "one, and an agency's identity key", "6.2", few, agency)
    changed = made.payload().replace(b'"version":7', b'"version":8')
    envelope = json.loads(sign_snapshot(payload, [one, two]))
    envelope["payload"] = base64.b64encode(changed).decode()
    yield directory_case("changed", "changed after it was signed", "6.2", few, json.dumps(envelope).encode())
    envelope = json.loads(sign_snapshot(payload, [one, two]))
    context = base64.b64encode(two.sign(b"cgi-hub/v1/flush", payload)).decode()
    mine = next(s for s in envelope["signatures"] if s["key_id"] == two.public.key_id.hex())
    mine["signature"] = context
    yield directory_case(
        "other-context", "a signature for another kind of thing", "6.2", few, json.dumps(envelope).encode()
    )


def _times_and_versions(made: World, raw: bytes) -> Iterator[Case]:
    end = made.expires_at_ms
    yield directory_case("ok-last-moment", "the last millisecond", "6.3", "ok", raw, now_ms=end - 1)
    yield directory_case("expired", "the moment that it expires", "6.3", "directory.expired", raw, now_ms=end)
    early = NOW_MS - 300_001
    yield directory_case("future", "issued over 5 minutes ahead", "6.3", "directory.not_yet_valid", raw, now_ms=early)
    hub2 = encode_directory(
        hub=AgencyId("HUB2"), version=7, issued_at_ms=NOW_MS, expires_at_ms=end, agencies=made.drafts(), agreements=[]
    )  # fmt: skip
    signed = sign_snapshot(hub2, made.custodians[:2])
    yield directory_case("other-hub", "the directory of HUB2", "6.3", "directory.other_hub", signed)
    newer = small()
    newer.version = 8
    code = "directory.rolled_back"
    yield directory_case("rolled-back", "version 7 after 8", "6.3", code, raw, before=[newer.snapshot()])
    told = small()
    told.rotate_signing_key("ATF")
    told.version = 6
    yield directory_case(
        "statement-rolled-back", "ATF's statement 1 after 2", "6.4", code, raw, before=[told.snapshot()]
    )
    yield directory_case("ok-again", "the same once more", "6.4", "ok", raw, before=[raw])
    other = small()
    other.expires_at_ms += DAY_MS
    says = "another directory under the same version"
    yield directory_case("two-of-one-version", says, "6.4", "directory.equivocation", other.snapshot(), before=[raw])
    shared = small()
    shared.add_agency("RSS")
    shared.keys[AgencyId("RSS")].signing_entries = list(shared.keys[ATF].signing_entries)
    yield directory_case(
        "key-shared", "one signing key of two agencies", "6.5", "directory.key_shared", shared.snapshot()
    )
    roles = small()
    roles.keys[ATF].signing_entries = [replace(roles.keys[ATF].signing_entries[0], key=roles.keys[ATF].identity.public)]
    yield directory_case(
        "key-two-roles", "an identity key that also signs", "6.5", "directory.key_shared", roles.snapshot()
    )


def _forms(made: World, raw: bytes) -> Iterator[Case]:
    code = "directory.malformed"

    def signed(name: str, says: str, clause: str, old: bytes, new: bytes) -> Case:
        payload = made.payload()
        assert old in payload
        return directory_case(
            name, says, clause, code, sign_snapshot(payload.replace(old, new, 1), made.custodians[:2])
        )

    yield directory_case("not-json", "no JSON", "2.1", code, b"\x00\x01")
    yield directory_case("empty", "nothing", "2.1", code, b"")
    yield directory_case("trailing", "something after the end", "2.1", code, raw + b"{}")
    twice = raw.replace(b'{"kind"', b'{"kind":"x","kind"', 1)
    yield directory_case("member-twice", "a member twice", "2.1", code, twice)
    base64_loose = raw.replace(b'"payload":"', b'"payload":" ', 1)
    yield directory_case("base64-space", "base64 with a space", "2.2", code, base64_loose)
    yield signed("member-unknown", "a member that is not named", "2.1", b'"hub":', b'"emergency":true,"hub":')
    yield signed("version-float", "version 7.0", "2.1", b'"version":7', b'"version":7.0')
    yield signed("version-text", 'version "7"', "5.1", b'"version":7', b'"version":"7"')
    yield signed("agency-name", "an agency in lower case", "5.3", b'"agency":"ATF"', b'"agency":"atf"')
    yield signed("agency-twice", "an agency twice", "5.3", b'"agency":"HUB"', b'"agency":"ATF"')
    agreed = small()
    agreement = agreed.agree("HUB", "ATF", "seizure.report")
    agreed.version = 7
    for name, says, changed in (
        ("agreement-unlisted", "with an agency that is not listed", replace(agreement, recipient=AgencyId("RSS"))),
        ("agreement-self", "of an agency with itself", replace(agreement, originator=ATF)),
        ("agreement-never", "that never holds", replace(agreement, not_after_ms=agreement.not_before_ms)),
        ("agreement-type", "on no event type", replace(agreement, event_types=frozenset({"Seizure"}))),
    ):
        agreed.agreed = [changed]
        yield directory_case(name, f"an agreement {says}", "6.6", code, agreed.snapshot())
    agreed.agreed = [agreement, agreement]
    yield directory_case("agreement-twice", "an agreement's id twice", "6.6", code, agreed.snapshot())


def _statements(made: World) -> Iterator[Case]:
    def stated(name: str, says: str, expect: str, signed: SignedStatement) -> Case:
        clause = "4.4" if expect == "statement.malformed" else "4.3"
        drafts = [replace(d, statement=signed) if d.agency_id == ATF else d for d in made.drafts()]
        return directory_case(f"statement-{name}", says, clause, expect, _of(made, drafts))

    identity = made.keys[ATF].identity
    statement = made.signed_statement(ATF)
    code = "statement.signature_invalid"
    yield stated("unsigned", "a signature of zeros", code, SignedStatement(statement.payload, bytes(3373)))
    hub_key = made.keys[HUB].identity
    yield stated("by-another", "signed by HUB's identity key", code, _sign(statement.payload, hub_key))
    site = made.keys[ATF].signing
    yield stated("by-site", "signed by ATF's own site key", code, _sign(statement.payload, site))
    said: KeyStatement = made.statement(ATF)
    code = "statement.other_agency"
    other = statement.payload.replace(b'"agency":"ATF"', b'"agency":"RSS"')
    yield stated("of-another", "ATF signs a statement for RSS", code, _sign(other, identity))
    other = statement.payload.replace(b'"hub":"HUB"', b'"hub":"HUB2"')
    yield stated("of-another-hub", "ATF's statement for HUB2", code, _sign(other, identity))
    code = "statement.malformed"
    yield stated("not-json", "no JSON, well signed", code, _sign(b"keys: none", identity))
    end = str(said.kem_keys[0].not_after_ms).encode()
    begin = str(said.kem_keys[0].not_before_ms).encode()
    never = statement.payload.replace(b'"not_after_ms":' + end, b'"not_after_ms":' + begin, 1)
    yield stated("never", "a key that is never valid", code, _sign(never, identity))
    key = base64.b64encode(said.kem_keys[0].key.raw)
    low = base64.b64encode(said.kem_keys[0].key.raw[:1184] + bytes(32))
    weak = statement.payload.replace(key, low)
    yield stated("kem-small-order", "a KEM key whose X25519 half is of small order", code, _sign(weak, identity))
    key = base64.b64encode(said.signing_keys[0].key.raw)
    low = base64.b64encode(said.signing_keys[0].key.raw[:1952] + b"\x01" + bytes(31))
    weak = statement.payload.replace(key, low)
    yield stated(
        "signing-small-order", "a signing key whose Ed25519 half is of small order", code, _sign(weak, identity)
    )


def _sign(payload: bytes, identity: SigningKey) -> SignedStatement:
    return SignedStatement(payload, identity.sign(b"cgi-hub/v1/key-statement", payload))


def _of(made: World, drafts: list[AgencyDraft]) -> bytes:
    payload = encode_directory(
        hub=HUB,
        version=made.version,
        issued_at_ms=made.now_ms,
        expires_at_ms=made.expires_at_ms,
        agencies=drafts,
        agreements=[],
    )
    return sign_snapshot(payload, made.custodians[:2])
