"""Vectors of the directory (docs/spec/directory.md): who may be believed, what is refused, and what is a fault."""

from __future__ import annotations

from collections.abc import Iterator

from hub.adapters.directory_files import encode_bundle
from tests.vectors import (
    directory_agreement_cases,
    directory_join_cases,
    directory_key_cases,
    directory_role_cases,
    directory_verify_cases,
)
from tests.vectors.directory_case import case
from tests.vectors.directory_forge import SHARED_REPOSITORY, SHARED_ROOT, base
from tests.vectors.scenario import Case


def shared() -> dict[str, bytes]:
    """What the area has in tests/vectors/shared."""
    return {SHARED_ROOT: base()["metadata/1.root.json"], SHARED_REPOSITORY: encode_bundle(base())}


def cases() -> Iterator[Case]:
    """Every case of the area."""
    yield case("ok", "two of three custodians, both agencies and the operator have signed", "6.2", "ok", base())
    for module in (directory_key_cases, directory_role_cases, directory_verify_cases, directory_agreement_cases):
        yield from module.cases()
    yield from directory_join_cases.cases()
