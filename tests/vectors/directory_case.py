"""How a case of the directory is written: a repository, what came before it, and what a reader makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from tests.support.authority import NOW_MS
from tests.vectors.directory_forge import (
    AGREED,
    SHARED_ROOT,
    Edit,
    Forged,
    Json,
    patch,
)
from tests.vectors.scenario import Case, text

RESULT: Final[Json] = {
    "hub": "HUB",
    "version": 1,
    "agencies": {"ATF": 1, "JCF": 1},
    "agreements": ["MOU-1"],
    "faults": [],
}
PAST: Final = "2026-11-01T00:00:00Z"
INDEX: Final = "directory.index_malformed"
MALFORMED: Final = "directory.malformed"
FEW: Final = "directory.too_few_signatures"
BACK: Final = "directory.rolled_back"
SHARED_KEY: Final = "directory.key_shared"


def case(
    name: str,
    says: str,
    clause: str,
    expect: str,
    repository: dict[str, bytes] | bytes,
    *,
    now_ms: int = NOW_MS,
    before: Sequence[dict[str, bytes]] = (),
    root: bytes | None = None,
    faults: Sequence[tuple[str, str]] = (),
    **result: Any,
) -> Case:
    """One repository as a reader gets it, after it took those ``before``. ``faults`` are roles that do not hold."""
    inputs: Json = {"root": SHARED_ROOT} if root is None else {"root_bytes": text(root)}
    inputs["now_ms"] = now_ms
    if before:
        inputs["before"] = [patch(one) for one in before]
    inputs["repository"] = patch(repository) if isinstance(repository, dict) else text(repository)
    wanted: Json = {}
    if expect == "ok":
        wanted = json.loads(json.dumps(RESULT)) | {"faults": [list(one) for one in faults]}
        for role, _ in faults:
            kind, _, which = role.partition(".")
            if kind == "agency":
                wanted["agencies"][which] = 0
            else:
                wanted["agreements"].remove(which)
        wanted |= result
    return Case(f"directory/{name}", says, f"directory {clause}", "directory", expect, inputs, wanted)


def fault(name: str, says: str, clause: str, code: str, forged: Forged, role: str = "agency.ATF") -> Case:
    """A repository that holds but for one role."""
    return case(name, says, clause, "ok", forged.done(), faults=[(role, code)])


def put(**changed: Any) -> Edit:
    """Members that are other ones."""
    return lambda value: value.update(changed)


def without(member: str) -> Edit:
    """A member that is missing."""
    return lambda value: value.pop(member)


def statement_of(version: int) -> Json:
    found: Json = json.loads(Forged().payload("agency.ATF"))
    return found | {"version": version}


def agreed_text() -> Json:
    found: Json = json.loads(Forged().payload(AGREED))
    return found
