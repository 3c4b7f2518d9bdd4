"""Runs every file of tests/vectors as docs/spec/vectors.md says, and asks that every code of a refusal has one."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import pkgutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import hub.trust
import hub.wire
from hub.adapters.directory_files import BundleFiles, DirectoryFiles, parse_bundle
from hub.adapters.enrolment import parse_enrolment, parse_reply
from hub.adapters.fingerprint import fingerprint_words, root_id
from hub.adapters.tuf_reader import TufDirectory, parse_root
from hub.adapters.tuf_roles import parse_signed_role
from hub.errors import HubError, RejectedError
from hub.model import AgencyId
from hub.routing import route_bundle
from hub.trust.directory import Directory
from hub.trust.kem import KemPrivateKey
from hub.trust.open import Delivered, OpenedSections, Opener
from hub.trust.replay import EventIds
from hub.trust.sequence import Outcome, Stamp, Streams
from hub.trust.stub import verify_stub
from hub.trust.verify import FlushCache, VerifiedBundle, verify_ingest
from tests.support.authority import World
from tests.support.listing import parse_listing
from tests.support.routing import Asking

VECTORS = Path(__file__).parents[2] / "vectors"
AREAS = ("ingest", "open", "stub", "sequence", "skew", "directory")
FILES = [file for area in AREAS for file in sorted((VECTORS / area).glob("*.json"))]
Json = dict[str, Any]


def decode(packed: str | list[Json]) -> bytes:
    """docs/spec/vectors.md 3: base64, or pieces."""
    if isinstance(packed, str):
        return base64.b64decode(packed, validate=True)
    return b"".join(bytes(one["zeros"]) if "zeros" in one else base64.b64decode(one["base64"]) for one in packed)


@dataclass(frozen=True)
class Still:
    """A clock that stands."""

    ms: int

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@cache
def directory(listing: str) -> Directory:
    return parse_listing((VECTORS / "shared" / listing).read_bytes(), World.of().root)


def reader(inputs: Json) -> Json:
    listed = directory(inputs["directory"])
    return {"hub": AgencyId(inputs["hub"]), "directory": listed, "now_ms": inputs["now_ms"]}


def records(inputs: Json) -> Iterator[tuple[bytes, int | None]]:
    """What came before, then the one that the vector is about; each with when the broker appended it."""
    before = list(map(decode, inputs.get("before", ())))
    moments = inputs.get("before_appended_ms", [None] * len(before))
    yield from zip([*before, decode(inputs["record"])], [*moments, inputs.get("appended_ms")], strict=True)


def run_ingest(inputs: Json) -> Json:
    flushes, event_ids = FlushCache(), EventIds()
    for record, appended_ms in records(inputs):
        bundle = verify_ingest(
            record, owner=AgencyId(inputs["owner"]), flushes=flushes, appended_ms=appended_ms, **reader(inputs)
        )
        event_ids.check(bundle.publisher, bundle.event_ids, bundle.header_hashes)
    return describe_bundle(bundle)


def describe_bundle(bundle: VerifiedBundle) -> Json:
    agencies = [entry.agency for entry in bundle.entries]
    return {
        "publisher": bundle.publisher,
        "instance": bundle.instance.hex(),
        "bundle_seq": bundle.bundle_seq,
        "head_hash": bundle.head_hash.hex(),
        "event_ids": [event_id.hex() for event_id in bundle.event_ids],
        "deliveries": {agency: base64.b64encode(bundle.delivery(agency)).decode() for agency in agencies},
        "stubs": {agency: base64.b64encode(bundle.stub(agency)).decode() for agency in agencies},
    }


def run_open(inputs: Json) -> Json:
    keys = [KemPrivateKey(decode(seed)) for seed in inputs["kem_seeds"]]
    how = reader(inputs)
    opener = Opener(hub=how.pop("hub"), recipient=AgencyId(inputs["recipient"]), kem_keys=keys)
    streams = Streams()
    for record, appended_ms in records(inputs):
        delivered = opener.verify(record, appended_ms=appended_ms, **how)
        outcome = streams.check(delivered.stamp)
        opened = opener.open(delivered) if outcome is not Outcome.DUPLICATE else ()
        streams.mark(delivered.stamp)
    return describe_opened(delivered, opened) | {"outcome": outcome.value}


def describe_opened(delivered: Delivered, opened: tuple[OpenedSections, ...]) -> Json:
    return {
        "publisher": delivered.publisher,
        "instance": delivered.instance.hex(),
        "recipient_seq": delivered.stamp.seq,
        "head_hash": delivered.head_hash.hex(),
        "granted": list(delivered.granted),
        "withheld": list(delivered.withheld),
        "events": [
            {
                "event_id": one.event_id.hex(),
                "published_at_ms": one.published_at_ms,
                "expires_at_ms": one.expires_at_ms,
                "in_reply_to": one.in_reply_to and [one.in_reply_to.publisher, one.in_reply_to.event_id.hex()],
                "parts": {name: base64.b64encode(part).decode() for name, part in one.sections.items()},
            }
            for one in opened
        ],
    }


def run_stub(inputs: Json) -> Json:
    stub = verify_stub(decode(inputs["record"]), recipient=AgencyId(inputs["recipient"]), **reader(inputs))
    return {
        "publisher": stub.publisher,
        "instance": stub.instance.hex(),
        "recipient_seq": stub.recipient_seq,
        "head_hash": stub.head_hash.hex(),
        "granted": list(stub.granted),
    }


def run_route(inputs: Json) -> Json:
    routed = route_bundle(
        decode(inputs["record"]),
        owner=AgencyId(inputs["owner"]),
        subscriptions=Asking("ATF", "INTERPOL", "RSS"),
        flushes=FlushCache(),
        appended_ms=inputs.get("appended_ms"),
        **reader(inputs),
    )
    return {
        "delivered": sorted(delivery.agency for delivery in routed.deliveries),
        "denied": {denial.agency: denial.decision.code for denial in routed.denials},
    }


def run_sequence(inputs: Json) -> Json:
    streams = Streams()
    refused: HubError | None = None
    for step in inputs["steps"]:
        if "explain" in step:
            instance, first, last, reason = step["explain"]
            streams.explain(inputs["defaults"]["publisher"], bytes.fromhex(instance), first, last, reason)
            continue
        facts = inputs["defaults"] | step
        for number in step["numbers"]:
            stamp = stamp_of(facts, number)
            try:
                outcome = streams.check(stamp).value
            except RejectedError as error:
                assert refused is None, "only the last step may be refused"
                outcome, refused, findings = error.code, error, ()
            else:
                findings = streams.mark(stamp) if outcome != "duplicate" else ()
            assert outcome == step["outcome"], number
        shown = [[f.kind.value, f.gap.instance.hex(), f.gap.first, f.gap.last] for f in findings]
        assert shown == step.get("findings", [])
    # What is stored and read again is the same memory.
    streams = Streams.from_state(streams.changed().values())
    gaps = [[gap.instance.hex(), gap.first, gap.last, gap.reason] for gap in streams.gaps()]
    if refused is not None:
        raise refused
    return {"gaps": gaps}


def stamp_of(facts: Json, number: int) -> Stamp:
    instance = bytes.fromhex(facts["instance"])
    head = facts.get("head_hash") or hashlib.sha256(instance + number.to_bytes(8, "big")).hexdigest()
    return Stamp(
        publisher=AgencyId(facts["publisher"]),
        instance=instance,
        seq=number,
        head_hash=bytes.fromhex(head),
        prev_instance=bytes.fromhex(facts["prev_instance"]),
        prev_seq=facts["prev_seq"],
        signing_key_id=bytes.fromhex(facts["signing_key_id"]),
        flush_time_ms=facts["flush_time_ms"],
        is_heartbeat=facts.get("heartbeat", False),
    )


class Swapped:
    """Files that are other files after a while."""

    def __init__(self) -> None:
        self.files: DirectoryFiles = BundleFiles({})

    def read(self, path: str) -> bytes | None:
        return self.files.read(path)


def repository(told: str | Json) -> DirectoryFiles:
    """docs/spec/vectors.md 5.2: a bundle's bytes, or what differs from one in shared/."""
    if isinstance(told, str):
        return parse_bundle(decode(told))
    files = dict(shared_bundle(told["from"]).files)
    for path in told.get("remove", ()):
        del files[path]
    return BundleFiles(files | {path: decode(raw) for path, raw in told.get("replace", {}).items()})


@cache
def shared_bundle(name: str) -> BundleFiles:
    return parse_bundle((VECTORS / "shared" / name).read_bytes())


def run_directory(inputs: Json) -> Json:
    root = (VECTORS / "shared" / inputs["root"]).read_bytes() if "root" in inputs else decode(inputs["root_bytes"])
    parse_root(root)
    files = Swapped()
    with TemporaryDirectory() as folder:
        source = TufDirectory(files, root=root, folder=Path(folder), clock=Still(inputs["now_ms"]))
        for before in inputs.get("before", ()):
            files.files = repository(before)
            source.refresh()
            assert source.refused is None
        files.files = repository(inputs["repository"])
        source.refresh()
    if source.refused is not None:
        raise source.refused
    return describe_directory(source.current())


def describe_directory(found: Directory) -> Json:
    return {
        "hub": found.hub,
        "version": found.version,
        "agencies": {entry.agency_id: entry.statement.version for entry in found.all_agencies()},
        "suspended": [entry.agency_id for entry in found.all_agencies() if not entry.active],
        "agreements": [agreed.agreement_id for agreed in found.all_agreements],
        "faults": [[fault.role, fault.code] for fault in found.faults],
    }


def run_enrolment(inputs: Json) -> Json:
    found = parse_enrolment(decode(inputs["file"]))
    return {"hub": found.hub, "agency": found.agency}


def run_reply(inputs: Json) -> Json:
    found = parse_reply(decode(inputs["file"]))
    return {"hub": found.hub, "agency": found.agency, "root": base64.b64encode(found.root).decode()}


def run_signed_role(inputs: Json) -> Json:
    found = parse_signed_role(decode(inputs["file"]))
    return {"role": found.role, "version": found.version, "signed_by": sorted(found.key_ids)}


def run_words(inputs: Json) -> Json:
    if "root" in inputs:
        said = root_id(parse_root((VECTORS / "shared" / inputs["root"]).read_bytes()))
    else:
        said = bytes.fromhex(inputs["key_id"])
    return {"id": said.hex(), "words": " ".join(fingerprint_words(said, inputs["language"]))}


RUN: dict[str, Callable[[Json], Json]] = {
    "ingest": run_ingest,
    "open": run_open,
    "stub": run_stub,
    "sequence": run_sequence,
    "route": run_route,
    "directory": run_directory,
    "enrolment": run_enrolment,
    "reply": run_reply,
    "signed_role": run_signed_role,
    "words": run_words,
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_vector(file: Path) -> None:
    vector = json.loads(file.read_text())
    run = RUN[vector["operation"]]
    if vector["expect"] != "ok":
        with pytest.raises(HubError) as refused:
            run(vector["inputs"])
        assert refused.value.code == vector["expect"], refused.value.diagnostics()
        return
    result = run(vector["inputs"])
    for name, wanted in vector.get("result", {}).items():
        assert result[name] == wanted, name


# --- every code has a vector ------------------------------------------------------------------------------------------

NOT_OF_A_RECORD = {
    "merkle.path_invalid": "always reported as bundle.not_in_flush or entry.not_in_bundle",
    "section.too_large": "the publisher's own refusal, before it seals",
    "key.malformed": "of a key in a statement or a root: tests/unit/trust/test_composite.py, test_kem.py",
    "recipient.unknown": "the publisher's own refusal, before it seals",
    "recipient.suspended": "the publisher's own refusal, before it seals",
    "kem_key.none": "the publisher's own refusal, before it seals",
}
UNAVAILABLE = {"directory.behind", "directory.expired", "directory.not_yet_valid", "directory.missing"}
"""No refusals, but what a reader meets all the same."""
OF_A_REPOSITORY = {
    "directory.bundle_malformed", "root.invalid", "role.malformed", "role.unsigned", "role.expired", "role.missing",
    "enrolment.malformed",
}  # fmt: skip
"""What a repository of the directory meets before its content is looked at, whole or role by role."""


def _leaves(cls: type[RejectedError]) -> Iterator[type[RejectedError]]:
    for sub in cls.__subclasses__():
        yield from _leaves(sub)
    if not cls.__subclasses__():
        yield cls


def test_every_refusal_has_a_vector() -> None:
    for package in (hub.wire, hub.trust):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    codes = {leaf.code for leaf in _leaves(RejectedError) if leaf.__module__.startswith(("hub.wire.", "hub.trust."))}
    assert NOT_OF_A_RECORD.keys() <= codes, "there is no such code any more"
    wanted = (codes - NOT_OF_A_RECORD.keys()) | UNAVAILABLE | OF_A_REPOSITORY
    vectors = [json.loads(file.read_text()) for file in FILES]
    have = {vector["expect"] for vector in vectors} - {"ok"}
    have |= {code for vector in vectors for _, code in vector.get("result", {}).get("faults", ())}
    assert wanted - have == set(), "no vector ends in these codes"
    assert have - wanted == set(), "vectors end in codes that no record is refused with"


def test_every_code_of_the_specification_has_a_vector() -> None:
    """docs/spec/checks.md 14.1 lists them; those with a star need more than one record, but most have vectors too."""
    text = (VECTORS.parents[1] / "docs" / "spec" / "checks.md").read_text()
    table = text[text.index("14.1") :].split("\n\n")[1]
    listed = {part.strip("` *") for line in table.splitlines()[2:] for part in line.split("|")[1].split(",")}
    files = [file for file in FILES if file.parent.name != "directory"]
    have = {json.loads(file.read_text())["expect"] for file in files} - {"ok"}
    assert have - listed == set(), "codes that the specification does not list"
    assert listed - have - NOT_OF_A_RECORD.keys() == set(), "codes of the specification without a vector"


def test_the_files_are_those_that_the_generator_makes() -> None:
    from tests.vectors.generate import all_cases

    made = {case.name: (case.says, case.clause, case.operation, case.expect) for case in all_cases()}
    held = {}
    for file in FILES:
        vector = json.loads(file.read_text())
        facts = (vector["says"], vector["clause"], vector["operation"], vector["expect"])
        held[f"{file.parent.name}/{file.stem}"] = facts
    assert held == made


PAST_A_LIMIT = [
    file
    for file in FILES
    if file.parent.name in ("ingest", "open", "stub") and json.loads(file.read_text())["expect"] == "limit.exceeded"
]


@pytest.mark.parametrize("file", PAST_A_LIMIT, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_counts_past_a_limit_are_refused_before_anything_is_expanded(file: Path) -> None:
    """Neither time nor memory grows with the count that is claimed (spec 2.2)."""
    inputs = json.loads(file.read_text())["inputs"]
    value, how = decode(inputs["record"]), reader(inputs)
    if "owner" in inputs:
        run = partial(verify_ingest, value, owner=AgencyId(inputs["owner"]), flushes=FlushCache(), **how)
    elif "kem_seeds" in inputs:
        opener = Opener(hub=how.pop("hub"), recipient=AgencyId(inputs["recipient"]), kem_keys=())
        run = partial(opener.verify, value, **how)
    else:
        run = partial(verify_stub, value, recipient=AgencyId(inputs["recipient"]), **how)
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(RejectedError):
            run()
        seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024
    assert seconds < 0.25
