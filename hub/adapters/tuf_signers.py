"""Who signed the directory in force, from what the reader keeps of it: for people's eyes, nothing is decided by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata
from tuf.api.metadata import Root as TufRoot

from hub.adapters.tuf_reader import CUSTODIANS_FIELD

OPERATOR_NAME: Final = "operator"
"""How the online key is called: it dates the directory and has no name in the root."""


@dataclass(frozen=True, slots=True)
class RoleSigner:
    """One valid signature: a custodian's name (or ``operator``), the role that was signed, the key's id in hex."""

    name: str
    role: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Signatures:
    """Every valid signature, role by role, and how many custodians must sign."""

    signers: tuple[RoleSigner, ...]
    threshold: int


def read_signatures(folder: Path) -> Signatures:
    """The signatures on what stands in ``folder``, the reader's (``<state>/directory``); none where nothing does.

    Each is verified again by the root that the reader trusts.
    """
    kept = folder / "tuf"
    try:
        root = Metadata[TufRoot].from_file(str(kept / "root.json")).signed
        names = root.unrecognized_fields.get(CUSTODIANS_FIELD, {})
        found: list[RoleSigner] = []
        for role in ("root", "targets", "snapshot", "timestamp"):
            metadata: Metadata[TufRoot] = Metadata.from_file(str(kept / f"{role}.json"))
            result = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
            found += [
                RoleSigner(str(names.get(key_id, OPERATOR_NAME))[:200], role, key_id)
                for key_id in sorted(result.signed, key=lambda key_id: str(names.get(key_id, "")))
            ]
        return Signatures(tuple(found), root.roles["targets"].threshold)
    except (RepositoryError, StorageError, OSError, ValueError, KeyError, AttributeError):
        return Signatures((), 0)
