"""A small repository of the directory, and whatever can be made of it by whoever holds which keys.

``Forged`` begins as the published repository of shared/; what is changed in it is signed by those who are named, and
``done()`` has the operator date it. Everything is changed as JSON, so that what no library writes can be written too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from securesystemslib.formats import encode_canonical

from hub.adapters.directory_files import parse_bundle
from hub.model import AgencyId
from hub.trust.composite import SigningKey
from tests.support.authority import DAY_MS, NOW_MS, World, signing_key

Json = dict[str, Any]
Edit = Callable[[Json], object]

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")
SHARED_ROOT: Final = "directory-root.json"
SHARED_REPOSITORY: Final = "directory-repository.json"
CONTEXT: Final = b"cgi-hub/v1/directory"
AGREED: Final = "agreement.MOU-1"


@cache
def world() -> World:
    """ATF and JCF, and one agreement of theirs; two of three custodians must sign."""
    made = World(expires_at_ms=NOW_MS + 30 * DAY_MS)
    made.add_agency("ATF")
    made.add_agency("JCF")
    made.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
    return made


@cache
def base() -> dict[str, bytes]:
    """The files of the repository in shared/, on whose very bytes the cases rest; made where it is not there."""
    file = Path(__file__).parent / "shared" / SHARED_REPOSITORY
    return parse_bundle(file.read_bytes()).files if file.exists() else world().publish().files


def mixed(mldsa: str, ed25519: str) -> SigningKey:
    """A key of two halves that are also others'."""
    first, second = _seed(mldsa), _seed(ed25519)
    return SigningKey(first[:32] + second[32:])


def _seed(name: str) -> bytes:
    seed = signing_key(name).seed
    assert seed is not None
    return seed


def key_of(key: SigningKey) -> Json:
    """A public key as metadata has it."""
    return {
        "keytype": "composite",
        "scheme": "mldsa65-ed25519-sha512",
        "keyval": {"public": base64.b64encode(key.public.raw).decode()},
    }


def id_of(key: SigningKey) -> str:
    return key.public.key_id.hex()


def sealed(signed: Json, *keys: SigningKey, context: bytes = CONTEXT) -> bytes:
    """Metadata whose signed part is ``signed``."""
    text = encode_canonical(signed)
    assert text is not None
    signatures = [{"keyid": id_of(key), "sig": key.sign(context, text.encode()).hex()} for key in keys]
    return dumped({"signatures": signatures, "signed": signed})


def dumped(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def signed_of(raw: bytes) -> Json:
    """The signed part of metadata."""
    found: Json = json.loads(raw)["signed"]
    return found


def target_of(role: str) -> str:
    kind, _, name = role.partition(".")
    return {"targets": "index.json", "agency": f"agency/{name}/keys.json", "agreement": f"agreement/{name}.json"}[kind]


def told(payload: bytes) -> Json:
    return {"length": len(payload), "hashes": {"sha256": hashlib.sha256(payload).hexdigest()}}


class Forged:
    """The files of a repository while they are changed."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(base() if files is None else files)
        self.custodians = list(world().custodians[:2])
        self.online = world().online
        self.identities = {agency: keys.identity for agency, keys in world().keys.items()}

    def name(self, role: str) -> str:
        """The path of a role's current metadata."""
        (found,) = [path for path in self.files if path.endswith(f".{role}.json") and path.startswith("metadata/")]
        return found

    def signers(self, role: str) -> list[SigningKey]:
        if role == "targets":
            return self.custodians
        return [self.identities[a] for a in ((ATF, JCF) if role == AGREED else (AgencyId(role.partition(".")[2]),))]

    def payload(self, role: str) -> bytes:
        last = target_of(role).rpartition("/")
        (found,) = [p for p in self.files if p.startswith(f"targets/{last[0]}") and p.endswith(f".{last[2]}")]
        return self.files[found]

    def role(
        self,
        role: str,
        edit: Edit | None = None,
        *,
        payload: bytes | None = None,
        by: Iterable[SigningKey] | None = None,
        context: bytes = CONTEXT,
    ) -> Forged:
        """Another metadata of a role (``targets`` too), and another target; ``by``: who signs, instead of who must."""
        path = self.name(role)
        signed = signed_of(self.files.pop(path))
        if payload is not None:
            self.put_target(target_of(role), payload)
            signed["targets"] = {target_of(role): told(payload)}
        if edit is not None:
            edit(signed)
        keys = self.signers(role) if by is None else by
        version = signed["version"]
        self.files[f"metadata/{version}.{role}.json"] = sealed(signed, *keys, context=context)
        return self

    def put_target(self, target: str, payload: bytes) -> None:
        folder, slash, last = target.rpartition("/")
        for path in [p for p in self.files if p.startswith(f"targets/{folder}") and p.endswith(f".{last}")]:
            del self.files[path]
        self.files[f"targets/{folder}{slash}{hashlib.sha256(payload).hexdigest()}.{last}"] = payload

    def json_target(self, role: str, edit: Edit) -> Forged:
        """The target of a role, changed as JSON; its version is the role's where it has one."""
        value = json.loads(self.payload(role))
        edit(value)
        return self.role(role, payload=dumped(value))

    def index(self, edit: Edit, targets: Edit | None = None) -> Forged:
        """Another index, and what else the custodians sign with it."""
        value = json.loads(self.payload("targets"))
        edit(value)
        return self.role("targets", targets, payload=dumped(value))

    def raw(self, role: str, raw: bytes) -> Forged:
        """A role's metadata as bytes."""
        self.files[self.name(role)] = raw
        return self

    def done(
        self,
        version: int = 1,
        *,
        snapshot: Edit | None = None,
        timestamp: Edit | None = None,
        by: Iterable[SigningKey] | None = None,
        dated_by: Iterable[SigningKey] | None = None,
    ) -> dict[str, bytes]:
        """The repository, vouched for and dated by the operator. Signs anew only what must be."""
        (path,) = [p for p in self.files if p.endswith(".snapshot.json")]
        said = signed_of(self.files.pop(path))
        said["version"] = version
        for file, raw in self.files.items():
            number, _, role = file.removeprefix("metadata/").partition(".")
            if file.startswith("metadata/") and number.isdigit() and role != "root.json":
                said["meta"][role] = {"version": int(number), **told(raw)}
        if snapshot is not None:
            snapshot(said)
        self.files[f"metadata/{said['version']}.snapshot.json"] = sealed(said, *([self.online] if by is None else by))
        return self.dated(timestamp, by=dated_by)

    def dated(self, timestamp: Edit | None = None, *, by: Iterable[SigningKey] | None = None) -> dict[str, bytes]:
        """The repository with another timestamp."""
        (path,) = [p for p in self.files if p.endswith(".snapshot.json")]
        stamp = signed_of(self.files["metadata/timestamp.json"])
        number = int(path.removeprefix("metadata/").partition(".")[0])
        stamp["meta"] = {"snapshot.json": {"version": number, **told(self.files[path])}}
        stamp["version"] = number
        if timestamp is not None:
            timestamp(stamp)
        self.files["metadata/timestamp.json"] = sealed(stamp, *([self.online] if by is None else by))
        return self.files


def rooted(
    edit: Edit | None = None,
    *,
    by: Iterable[SigningKey] | None = None,
    version: int = 1,
    keys: Iterable[SigningKey] = (),
) -> bytes:
    """The root of shared/, changed; ``keys`` are added to its keys."""
    signed = signed_of(base()["metadata/1.root.json"])
    signed["version"] = version
    signed["keys"] |= {id_of(key): key_of(key) for key in keys}
    if edit is not None:
        edit(signed)
    return sealed(signed, *(world().custodians[:2] if by is None else by))


def custodial(root: Json, *keys: SigningKey) -> None:
    """In a root: these are the custodians, who sign root and targets."""
    for role in ("root", "targets"):
        root["roles"][role]["keyids"] = [id_of(key) for key in keys]
    root["custodians"] = {id_of(key): f"custodian {number}" for number, key in enumerate(keys)}


def patch(files: dict[str, bytes]) -> Json:
    """A repository as what differs from the one of shared/ (docs/spec/vectors.md 5.2)."""
    before = base()
    out: Json = {"from": SHARED_REPOSITORY}
    replaced = {p: base64.b64encode(raw).decode() for p, raw in sorted(files.items()) if before.get(p) != raw}
    removed = sorted(before.keys() - files.keys())
    return out | ({"replace": replaced} if replaced else {}) | ({"remove": removed} if removed else {})
