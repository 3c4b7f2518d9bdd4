"""A receiver written from docs/spec and schemas/wire alone: a second opinion on what the vectors say.

It decodes with a general Avro library and encodes anew (spec 3.2), takes the directory's facts from the payload, and
builds every hash from what it decoded. It is slow and says no more than :class:`Refused`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import fastavro
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import HubError
from hub.model import Priority, Purpose, parse_handling
from hub.trust.composite import VerifyKey
from hub.trust.kem import KemPrivateKey
from tests.support.forge import ZERO16, ZERO32, labelled, leaf, lp, tree_hash

SCHEMAS: Final = Path(__file__).parents[2] / "schemas" / "wire"
KINDS: Final = {
    "delivered": b"DEL1",
    "head": b"HED1",
    "core": b"COR1",
    "lane": b"LAN1",
    "entry": b"ENT1",
    "flush": b"FLU1",
}
SIZES: Final = {"delivered": 900_000, "head": 8192, "core": 4096, "lane": 4096, "entry": 4096, "flush": 4096}
AGENCY: Final = r"[A-Z][A-Z0-9-]{1,31}"
SAFE: Final = 2**53 - 1
YEAR_9999: Final = 253_402_300_799_999


class Refused(Exception):
    """Any refusal, with the step."""


def want(condition: object, step: str) -> None:
    if not condition:
        raise Refused(step)


@cache
def schema(name: str) -> Any:
    return fastavro.parse_schema(json.loads((SCHEMAS / f"{name}.avsc").read_text()))


def frame(name: str, raw: bytes) -> dict[str, Any]:
    """spec 3: the kind, the size, and its own re-encoding."""
    want(len(raw) <= SIZES[name] and raw[:4] == KINDS[name], f"1 {name}")
    try:
        value = fastavro.schemaless_reader(io.BytesIO(raw), schema(name), None)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema(name), value)
    except (EOFError, ValueError, IndexError, OverflowError, TypeError, MemoryError) as error:
        raise Refused(f"1 {name}") from error
    want(out.getvalue() == raw, f"1 {name} is not its own encoding")
    assert isinstance(value, dict)
    return value


def inclusion(item: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162 2.1.3.2, by the tree's shape from the root down."""
    if not 0 <= index < size:
        return False
    turns = []
    while size > 1:
        k = 1 << (size - 1).bit_length() - 1
        turns.append(index >= k)
        index, size = (index - k, size - k) if index >= k else (index, k)
    if len(turns) != len(path):
        return False
    node = leaf(item)
    for right, other in zip(reversed(turns), path, strict=True):
        node = hashlib.sha256(b"\x01" + (other + node if right else node + other)).digest()
    return node == root


class Stranger:
    """A receiver. ``snapshot`` is the listing of a directory, which is believed."""

    def __init__(
        self,
        *,
        hub: str,
        recipient: str,
        kem_seeds: list[bytes],
        snapshot: bytes,
        now_ms: int,
        appended_ms: int | None = None,
    ) -> None:
        self.hub, self.recipient, self.now_ms, self.appended_ms = hub, recipient, now_ms, appended_ms
        self.keys = {key.public.kem_id: key for key in map(KemPrivateKey, kem_seeds)}
        self.directory = json.loads(snapshot)

    def open(self, raw: bytes) -> dict[str, Any]:
        """Steps 1 to 5, 7 and 8 of 10.1; the result as docs/spec/vectors.md 3.2 has it."""
        # 1
        record = frame("delivered", raw)
        head = frame("head", record["head"])
        core = frame("core", head["core"])
        lane = frame("lane", core["lane"])
        entry = frame("entry", record["entry"])
        self._limits(record, head, core, lane, entry)
        # 2
        flush = frame("flush", record["flush"])
        self._flush(flush, record, lane)
        # 3
        place = (record["index"], flush["bundles"], record["path"], flush["bundle_root"])
        want(inclusion(record["head"], *place), "3")
        # 4
        names = lane["compartments"]
        headers = split_headers(record["headers"], core["n"], len(names))
        want(tree_hash([leaf(one["raw"]) for one in headers]) == core["event_root"], "4 event_root")
        want(len({one["event_id"] for one in headers}) == len(headers), "4 an event twice")
        for number, said in enumerate(head["ciphertexts"]):
            want(said["length"] == 16 + sum(32 + one["parts"][number][0] for one in headers), "4 lengths")
        place = (record["entry_index"], head["entries"], record["entry_path"], head["entries_root"])
        want(inclusion(record["entry"], *place), "4 entry")
        self._entry(entry, lane)
        granted = [(name, names.index(name)) for name in entry["granted"]]
        want(len(record["ciphertexts"]) == len(granted), "4 ciphertexts")
        for (name, number), ciphertext in zip(granted, record["ciphertexts"], strict=True):
            said = head["ciphertexts"][number]
            want(
                (said["length"], said["hash"]) == (len(ciphertext), labelled("ciphertext", name, ciphertext)), "4 hash"
            )
        # 5
        want(flush["hub"] == self.hub and entry["agency"] == self.recipient, "5")
        # 7 and 8
        parts = self._parts(record, core, lane, entry, headers, granted, head["core"]) if names else []
        return {
            "publisher": lane["publisher"],
            "instance": lane["instance"].hex(),
            "recipient_seq": entry["recipient_seq"],
            "head_hash": labelled("head", record["head"]).hex(),
            "granted": entry["granted"],
            "withheld": [name for name in names if name not in entry["granted"]],
            "events": [
                {name: one[name] for name in ("published_at_ms", "expires_at_ms", "in_reply_to")}
                | {"event_id": one["event_id"].hex(), "parts": held}
                for one, held in zip(headers, parts, strict=True)
            ],
        }

    def _limits(
        self,
        record: dict[str, Any],
        head: dict[str, Any],
        core: dict[str, Any],
        lane: dict[str, Any],
        entry: dict[str, Any],
    ) -> None:
        """spec 2.1, 6.1, 6.3, 6.8, 6.9."""
        want(len(record["signature"]) == 3373, "1 signature")
        want(max(len(record["path"]), len(record["entry_path"])) <= 9, "1 path")
        want(0 <= record["index"] < 512 and 0 <= record["entry_index"] < 256, "1 index")
        want(1 <= core["bundle_seq"] < 2**32 and 0 <= core["n"] <= 512 and 1 <= head["entries"] <= 256, "1 counts")
        names = lane["compartments"]
        want(len(names) <= 8 and len(head["ciphertexts"]) == len(names) and len(set(names)) == len(names), "1 lane")
        want(all(re.fullmatch(r"[a-z][a-z0-9]{0,15}", name) for name in [*names, *entry["granted"]]), "1 compartments")
        agencies = (lane["hub"], lane["publisher"], entry["agency"])
        want(all(re.fullmatch(AGENCY, agency) for agency in agencies), "1 agencies")
        want(lane["suite"] == 1 and lane["instance"] != ZERO16 and 1 <= lane["schema_version"] <= 65_535, "1 suite")
        want(re.fullmatch(r"[\x21-\x7e]{1,128}", lane["policy_version"]), "1 policy version")
        want(re.fullmatch(r"[a-z][a-z0-9]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,2}", lane["event_type"]), "1 event type")
        try:
            parse_handling(lane["handling"]), Priority(lane["priority"]), Purpose(lane["purpose"])
        except (HubError, ValueError) as error:
            raise Refused("1 route") from error
        route = [lane[name] for name in ("event_type", "schema_version", "handling", "priority", "purpose")]
        beat = ["heartbeat", 1, "TLP:CLEAR", "ROUTINE", "HUB_OPERATION"]
        want((not names) == (core["n"] == 0) == (lane["event_type"] == "heartbeat"), "1 heartbeat")
        want(names or route == beat, "1 heartbeat")

    def _flush(self, flush: dict[str, Any], record: dict[str, Any], lane: dict[str, Any]) -> None:
        """spec 7, 12.3, 9.1 steps 3 and 4."""
        want(0 <= flush["time"] <= min(YEAR_9999, self.now_ms + 300_000), "2 time")
        want(1 <= flush["flush_seq"] <= SAFE and 1 <= flush["bundles"] <= 512, "2 counts")
        listed = {one["agency"]: one for one in self.directory["agencies"]}.get(flush["publisher"])
        want(listed is not None and listed["active"], "2 publisher")
        assert listed is not None
        statement = listed["statement"]
        for said in statement["signing_keys"]:
            key = VerifyKey(base64.b64decode(said["key"]))
            if key.key_id == flush["signing_key_id"]:
                break
        else:
            raise Refused("2 key")
        moment = self.now_ms if self.appended_ms is None else min(self.appended_ms, self.now_ms + 300_000)
        want(said["not_before_ms"] <= moment < said["not_after_ms"], "2 key's time")
        want(moment < said.get("revoked_at_ms", YEAR_9999), "2 key revoked")
        try:
            key.verify(b"cgi-hub/v1/flush", record["flush"], record["signature"])
        except HubError as error:
            raise Refused("2 signature") from error
        want(0 <= flush["directory_version"] <= self.directory["version"], "2 directory")
        want(all(flush[name] == lane[name] for name in ("hub", "publisher", "instance")), "2 lane")
        want((flush["flush_seq"] == 1) == (flush["prev_flush"] == ZERO32), "2 prev_flush")

    def _entry(self, entry: dict[str, Any], lane: dict[str, Any]) -> None:
        """spec 6.7, 6.9."""
        granted, names = entry["granted"], lane["compartments"]
        want(granted == [name for name in names if name in granted], "4 grants")
        want(bool(granted) == bool(names), "4 grants")
        want(len(entry["wrap"]) == (1136 + 32 * len(granted) if granted else 0), "4 wrap")
        want(granted or entry["kem_id"] == ZERO32, "4 kem_id")
        want((1 if names else 0) <= entry["recipient_seq"] <= SAFE and 0 <= entry["prev_seq"] <= SAFE, "4 numbers")
        want((entry["prev_instance"] == ZERO16) == (entry["prev_seq"] == 0), "4 previous")
        want(entry["prev_instance"] != lane["instance"], "4 previous")

    def _parts(
        self,
        record: dict[str, Any],
        core: dict[str, Any],
        lane: dict[str, Any],
        entry: dict[str, Any],
        headers: list[dict[str, Any]],
        granted: list[tuple[str, int]],
        core_raw: bytes,
    ) -> list[dict[str, str]]:
        """spec 6.4, 6.6, 5.1, 5.2: for each event the bytes of each granted compartment, as base64."""
        key = self.keys.get(entry["kem_id"])
        want(key is not None, "7 key")
        assert key is not None
        lane_hash = labelled("lane", core["lane"])
        info = lp("cgi-hub/v1/wrap", lane_hash, entry["agency"], entry["kem_id"], *entry["granted"])
        try:
            deks = key.open(info, entry["wrap"])
        except HubError as error:
            raise Refused("7 wrap") from error
        held: list[dict[str, str]] = [{} for _ in headers]
        for place, (name, number) in enumerate(granted):
            nonce = core["bundle_seq"].to_bytes(4, "big") + labelled("nonce", name, core_raw)[:8]
            aad = lp("cgi-hub/v1/aad", name, core_raw)
            try:
                plain = AESGCM(deks[32 * place : 32 * place + 32]).decrypt(nonce, record["ciphertexts"][place], aad)
            except InvalidTag as error:
                raise Refused("7 ciphertext") from error
            for one, parts in zip(headers, held, strict=True):
                length, commitment = one["parts"][number]
                salt, section, plain = plain[:32], plain[32 : 32 + length], plain[32 + length :]
                want(labelled("commitment", name, salt, section) == commitment, "8 commitment")
                part = section[4 : 4 + int.from_bytes(section[:4], "big")]
                again = len(part).to_bytes(4, "big") + part
                want(section == again + bytes(-len(again) % 64), "8 padding")
                parts[name] = base64.b64encode(part).decode()
        return held


def split_headers(raw: bytes, count: int, compartments: int) -> list[dict[str, Any]]:
    """spec 5.3, 5.4."""
    found, rest = [], raw
    for _ in range(count):
        start = rest
        want(len(rest) >= 50 and rest[0] == 0xE1, "4 header")
        event_id, length = rest[1:17], rest[49]
        reply = None
        size = 50
        if length:
            publisher, other = rest[50 : 50 + length], rest[50 + length : 66 + length]
            want(re.fullmatch(AGENCY.encode(), publisher) and is_uuid7(other), "4 in_reply_to")
            reply, size = [publisher.decode(), other.hex()], 66 + length
        want(len(rest) >= size + 36 * compartments and is_uuid7(event_id), "4 header")
        parts = []
        for _ in range(compartments):
            part = int.from_bytes(rest[size : size + 4], "big")
            want(part % 64 == 0 and 64 <= part <= 65_536, "4 section length")
            parts.append((part, rest[size + 4 : size + 36]))
            size += 36
        times = [int.from_bytes(rest[at : at + 8], "big") for at in (17, 41)]
        want(max(times) <= YEAR_9999, "4 times")
        rest = rest[size:]
        found.append(
            {
                "raw": start[:size],
                "event_id": event_id,
                "published_at_ms": times[0],
                "expires_at_ms": times[1],
                "in_reply_to": reply,
                "parts": parts,
            }
        )
    want(not rest, "4 headers")
    return found


def is_uuid7(raw: bytes) -> bool:
    return len(raw) == 16 and raw[6] >> 4 == 7 and raw[8] >> 6 == 2
