"""A publisher written from docs/spec alone: it shares only the two key types with hub/wire and hub/trust/seal.py.

It makes what an honest publisher makes, and, through hooks, what a dishonest one could: every step's value can be
replaced by name, and all that comes after it (hashes, trees, the signature) is made anew to fit. So a vector reaches
the very check that it is about, and not one that would have caught a careless forger before.

Steps, in order, with what their hooks get and give. Of a bundle: ``sections`` {compartment: [section]}, ``headers``
[bytes], ``event_root``, ``lane_fields`` [bytes], ``lane``, ``core_fields``, ``core``, ``nonce.C``, ``aad.C``,
``plaintext.C``, ``ciphertext.C``, ``wrap_info.A``, ``deks.A``, ``wrap.A``, ``entry_fields.A``, ``entry.A``, ``entries``
[bytes], ``head_fields``, ``head``. Of a flush: ``bundle_root``, ``flush_fields``, ``flush``, ``signature``. Of a
record: ``record_fields``, ``record``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.trust.composite import SigningKey
from hub.trust.kem import KemPublicKey

Hooks = Mapping[str, Callable[[Any], Any]]
ZERO32: Final = bytes(32)
ZERO16: Final = bytes(16)


def derive(*words: object, size: int = 32) -> bytes:
    """Bytes that a name stands for, where a real publisher draws them at random."""
    return hashlib.shake_256("/".join(["cgi-hub vectors", *map(str, words)]).encode()).digest(size)


# --- spec 1 and 3: joining, hashing, Avro ----------------------------------------------------------------------------


def lp(*items: bytes | str) -> bytes:
    raw = [item.encode() if isinstance(item, str) else item for item in items]
    return b"".join(len(item).to_bytes(4, "big") + item for item in raw)


def labelled(label: str, *items: bytes | str) -> bytes:
    return hashlib.sha256(lp(f"cgi-hub/v1/{label}", *items)).digest()


def long(value: int) -> bytes:
    value = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def blob(value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return long(len(raw)) + raw


def array(items: Sequence[bytes]) -> bytes:
    """``items`` are encoded already."""
    return long(len(items)) + b"".join(items) + b"\0" if items else b"\0"


def blobs(items: Sequence[bytes | str]) -> bytes:
    return array([blob(item) for item in items])


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, over leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def tree_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 2.1.3.1, over leaf hashes."""
    if len(leaves) <= 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*tree_path(index, leaves[:k]), tree_hash(leaves[k:])]
    return [*tree_path(index - k, leaves[k:]), tree_hash(leaves[:k])]


def leaf(item: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + item).digest()


# --- spec 5 and 6: a bundle ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EventDraft:
    """One event: its name gives its id, times and salts; ``parts`` are the Avro bytes of each compartment."""

    name: str
    parts: Mapping[str, bytes]
    published_at_ms: int
    expires_at_ms: int
    in_reply_to: tuple[str, bytes] | None = None

    @property
    def event_id(self) -> bytes:
        raw = bytearray(self.published_at_ms.to_bytes(6, "big") + derive("event", self.name, size=10))
        raw[6] = raw[6] & 0x0F | 0x70
        raw[8] = raw[8] & 0x3F | 0x80
        return bytes(raw)


@dataclass(frozen=True)
class Grant:
    """What one recipient gets, and where it stands in its stream."""

    agency: str
    key: KemPublicKey
    granted: tuple[str, ...]
    recipient_seq: int
    prev_instance: bytes = ZERO16
    prev_seq: int = 0


@dataclass(frozen=True)
class BundleDraft:
    hub: str
    publisher: str
    instance: bytes
    lane_name: str
    bundle_seq: int
    compartments: tuple[str, ...]
    events: tuple[EventDraft, ...]
    grants: tuple[Grant, ...]
    event_type: str = "seizure.report"
    schema_version: int = 1
    handling: str = "TLP:AMBER"
    priority: str = "ROUTINE"
    purpose: str = "INVESTIGATION"
    policy_version: str = "sha256:release-1"
    hooks: Hooks = field(default_factory=dict)

    def but(self, **changes: Any) -> BundleDraft:
        return replace(self, **changes)


@dataclass(frozen=True)
class Bundle:
    """A forged bundle, not yet in a flush. ``entries`` in their order, ``agencies`` in the same."""

    draft: BundleDraft
    head: bytes
    headers: bytes
    ciphertexts: tuple[bytes, ...]
    entries: tuple[bytes, ...]
    agencies: tuple[str, ...]

    @property
    def head_hash(self) -> bytes:
        return labelled("head", self.head)


def pad(part: bytes) -> bytes:
    """spec 5.1."""
    raw = len(part).to_bytes(4, "big") + part
    return raw + bytes(-len(raw) % 64)


def header(draft: BundleDraft, event: EventDraft, parts: Sequence[tuple[int, bytes]]) -> bytes:
    """spec 5.3."""
    reply = b"\0"
    if event.in_reply_to is not None:
        publisher, event_id = event.in_reply_to
        reply = bytes([len(publisher)]) + publisher.encode() + event_id
    return (
        b"\xe1"
        + event.event_id
        + event.published_at_ms.to_bytes(8, "big")
        + derive("correlation", event.name, size=16)
        + event.expires_at_ms.to_bytes(8, "big")
        + reply
        + b"".join(length.to_bytes(4, "big") + commitment for length, commitment in parts)
    )


def forge_bundle(draft: BundleDraft) -> Bundle:
    """spec 5 and 6, step by step, with the draft's hooks."""

    def step(name: str, value: Any) -> Any:
        hook = draft.hooks.get(name)
        return value if hook is None else hook(value)

    names = draft.compartments
    deks = {name: derive("dek", draft.instance.hex(), draft.lane_name, name) for name in names}
    salts = {name: [derive("salt", event.name, name) for event in draft.events] for name in names}
    sections = step("sections", {name: [pad(event.parts[name]) for event in draft.events] for name in names})
    headers = [
        header(
            draft,
            event,
            [
                (len(sections[name][i]), labelled("commitment", name, salts[name][i], sections[name][i]))
                for name in names
            ],
        )
        for i, event in enumerate(draft.events)
    ]
    headers = step("headers", headers)
    event_root = step("event_root", tree_hash([leaf(item) for item in headers]))
    lane_fields = [
        b"LAN1",
        long(1),
        blob(draft.hub),
        blob(draft.publisher),
        draft.instance,
        derive("lane", draft.instance.hex(), draft.lane_name, size=16),
        blob(draft.policy_version),
        blob(draft.event_type),
        long(draft.schema_version),
        blob(draft.handling),
        blob(draft.priority),
        blob(draft.purpose),
        blobs(names),
    ]
    lane = step("lane", b"".join(step("lane_fields", lane_fields)))
    core_fields = [b"COR1", blob(lane), long(draft.bundle_seq), long(len(headers)), event_root]
    core = step("core", b"".join(step("core_fields", core_fields)))
    ciphertexts = []
    for name in names:
        nonce = step(f"nonce.{name}", draft.bundle_seq.to_bytes(4, "big") + labelled("nonce", name, core)[:8])
        plaintext = b"".join(salt + section for salt, section in zip(salts[name], sections[name], strict=True))
        plaintext = step(f"plaintext.{name}", plaintext)
        aad = step(f"aad.{name}", lp("cgi-hub/v1/aad", name, core))
        ciphertexts.append(step(f"ciphertext.{name}", AESGCM(deks[name]).encrypt(nonce, plaintext, aad)))
    entries = step("entries", _forge_entries(draft, labelled("lane", lane), deks, step))
    head_fields = [
        b"HED1",
        blob(core),
        array([long(len(c)) + labelled("ciphertext", n, c) for n, c in zip(names, ciphertexts, strict=True)]),
        long(len(entries)),
        tree_hash([leaf(item) for _, item in entries]),
    ]
    head = step("head", b"".join(step("head_fields", head_fields)))
    return Bundle(
        draft,
        head,
        b"".join(headers),
        tuple(ciphertexts),
        tuple(item for _, item in entries),
        tuple(agency for agency, _ in entries),
    )


def _forge_entries(
    draft: BundleDraft, lane_hash: bytes, deks: Mapping[str, bytes], step: Callable[[str, Any], Any]
) -> list[tuple[str, bytes]]:
    """spec 6.6 to 6.8: agency and entry, ordered by leaf hash."""
    entries = []
    for grant in draft.grants:
        kem_id, wrap = ZERO32, b""
        if draft.compartments:
            kem_id = grant.key.kem_id
            info = lp("cgi-hub/v1/wrap", lane_hash, grant.agency, kem_id, *grant.granted)
            info = step(f"wrap_info.{grant.agency}", info)
            granted = step(f"deks.{grant.agency}", b"".join(deks.get(name, ZERO32) for name in grant.granted))
            wrap = step(f"wrap.{grant.agency}", grant.key.seal(info, granted))
        entry_fields = [
            b"ENT1",
            blob(grant.agency),
            kem_id,
            blobs(grant.granted),
            long(grant.recipient_seq),
            grant.prev_instance,
            long(grant.prev_seq),
            blob(wrap),
        ]
        entry = b"".join(step(f"entry_fields.{grant.agency}", entry_fields))
        entries.append((grant.agency, step(f"entry.{grant.agency}", entry)))
    return sorted(entries, key=lambda pair: leaf(pair[1]))


# --- spec 7 and 8: a flush and its records ---------------------------------------------------------------------------


@dataclass(frozen=True)
class FlushDraft:
    hub: str
    publisher: str
    key: SigningKey
    instance: bytes
    flush_seq: int
    time_ms: int
    directory_version: int
    prev_flush: bytes = ZERO32
    hooks: Hooks = field(default_factory=dict)

    def but(self, **changes: Any) -> FlushDraft:
        return replace(self, **changes)


@dataclass(frozen=True)
class Forged:
    """A bundle in its signed flush: what the records are made of."""

    bundle: Bundle
    flush: bytes
    signature: bytes
    index: int
    path: tuple[bytes, ...]
    hooks: Hooks

    def but(self, **changes: Any) -> Forged:
        return replace(self, **changes)

    def _join(self, fields: list[bytes]) -> bytes:
        fields = self.hooks.get("record_fields", lambda value: value)(fields)
        return bytes(self.hooks.get("record", lambda value: value)(b"".join(fields)))

    def _proof(self) -> list[bytes]:
        return [blob(self.flush), blob(self.signature), long(self.index), array(self.path)]

    def ingest(self) -> bytes:
        """spec 8.1: kind, head, headers, ciphertexts, entries, flush, signature, index, path."""
        bundle = self.bundle
        parts = [blob(bundle.head), blob(bundle.headers), blobs(bundle.ciphertexts), blobs(bundle.entries)]
        return self._join([b"ING1", *parts, *self._proof()])

    def entry_proof(self, agency: str) -> list[bytes]:
        """The entry, its index and its path."""
        entries = self.bundle.entries
        index = self.bundle.agencies.index(agency)
        return [blob(entries[index]), long(index), array(tree_path(index, [leaf(item) for item in entries]))]

    def delivered(self, agency: str) -> bytes:
        """spec 8.2: kind, head, headers, ciphertexts, entry, entry_index, entry_path, flush, signature, index, path."""
        bundle = self.bundle
        granted = next(grant.granted for grant in bundle.draft.grants if grant.agency == agency)
        held = [c for name, c in zip(bundle.draft.compartments, bundle.ciphertexts, strict=True) if name in granted]
        parts = [blob(bundle.head), blob(bundle.headers), blobs(held), *self.entry_proof(agency)]
        return self._join([b"DEL1", *parts, *self._proof()])

    def stub(self, agency: str) -> bytes:
        """spec 8.3: kind, head, entry, entry_index, entry_path, flush, signature, index, path."""
        return self._join([b"STB1", blob(self.bundle.head), *self.entry_proof(agency), *self._proof()])


def forge_flush(draft: FlushDraft, bundles: Sequence[Bundle]) -> tuple[Forged, ...]:
    """spec 7: one signature over the root of ``bundles``."""

    def step(name: str, value: Any) -> Any:
        hook = draft.hooks.get(name)
        return value if hook is None else hook(value)

    leaves = [leaf(bundle.head) for bundle in bundles]
    fields = [
        b"FLU1",
        blob(draft.hub),
        blob(draft.publisher),
        draft.key.public.key_id,
        draft.instance,
        long(draft.flush_seq),
        draft.prev_flush,
        long(draft.directory_version),
        long(len(bundles)),
        step("bundle_root", tree_hash(leaves)),
        long(draft.time_ms),
    ]
    flush = step("flush", b"".join(step("flush_fields", fields)))
    signature = step("signature", draft.key.sign(b"cgi-hub/v1/flush", flush))
    return tuple(
        Forged(bundle, flush, signature, index, tuple(tree_path(index, leaves)), draft.hooks)
        for index, bundle in enumerate(bundles)
    )
