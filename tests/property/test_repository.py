"""Whatever is changed in the files of a repository: a reader refuses it, has a fault, or gives the very same directory.

Never another one. Nobody's key is used here: what those do who have one is in tests/vectors/directory.
"""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.adapters.directory_files import BundleFiles
from hub.adapters.tuf_reader import read_directory
from hub.errors import HubError
from hub.trust.directory import Directory
from hub.trust.statement import encode_statement
from tests.support.authority import NOW_MS
from tests.vectors.directory_forge import base

FILES: Final = base()
PATHS: Final = sorted(FILES)
BYTES: Final = st.sampled_from(b'0129afAZ"{}[]:,. \\\x00\xff') | st.integers(0, 255)


def read(files: dict[str, bytes]) -> Directory:
    return read_directory(BundleFiles(files), root=FILES["metadata/1.root.json"], now_ms=NOW_MS).directory


WHOLE: Final = read(FILES)


def parts(directory: Directory) -> dict[str, object]:
    """What is said, role by role; times and suspension too."""
    said: dict[str, object] = {
        f"agency.{entry.agency_id}": (entry.name, entry.active, entry.identity, encode_statement(entry.statement))
        for entry in directory.all_agencies()
        if entry.statement.version
    }
    said |= {f"agreement.{document.slug}": document for document in directory.documents}
    times = directory.issued_at_ms, directory.expires_at_ms
    return said | {"": (directory.hub, directory.version, directory.digest, times, len(directory.entries))}


def check(files: dict[str, bytes]) -> None:
    try:
        found = read(files)
    except HubError:
        return
    said, wanted = parts(found), parts(WHOLE)
    at_fault = {fault.role for fault in found.faults}
    assert said == {role: value for role, value in wanted.items() if role not in at_fault}
    assert at_fault <= wanted.keys()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.rpartition("/")[2][-24:])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_changed_bytes(path: str, data: st.DataObject) -> None:
    raw = bytearray(FILES[path])
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(("flip", "put", "cut", "insert", "end")))
        if how == "flip":
            raw[where] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "put":
            raw[where] = data.draw(BYTES)
        elif how == "cut":
            del raw[where]
        elif how == "insert":
            raw.insert(where, data.draw(BYTES))
        else:
            del raw[where + 1 :]
    check({**FILES, path: bytes(raw)})


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_files_in_others_places(data: st.DataObject) -> None:
    files = dict(FILES)
    for _ in range(data.draw(st.integers(1, 3))):
        path, other = data.draw(st.sampled_from(PATHS)), data.draw(st.sampled_from([None, *PATHS]))
        if other is None:
            files.pop(path, None)
        else:
            files[path] = FILES[other]
    check(files)


VALUES: Final = st.none() | st.booleans() | st.integers(-1, 2**70) | st.text(max_size=3) | st.just([]) | st.just({})


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("metadata/")])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_changed_members(path: str, data: st.DataObject) -> None:
    """Of metadata, as JSON: what stands outside what is signed too."""
    whole = json.loads(FILES[path])
    value = whole
    while True:
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[key], dict | list) or not value[key] or not data.draw(st.integers(0, 4)):
            break
        value = value[key]
    if data.draw(st.booleans()):
        value[key] = data.draw(VALUES)
    else:
        del value[key]
    check({**FILES, path: json.dumps(whole).encode()})
