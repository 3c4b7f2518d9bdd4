"""RFC 9162 trees: the roots and paths that implementations of Certificate Transparency are checked against.

transparency-dev/merkle's own files run too where ``CGI_HUB_PUBLISHED_VECTORS`` names a folder with a clone of it in it
(docs/spec/vectors.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hub.wire.merkle import (
    EMPTY_ROOT,
    PathInvalid,
    build_levels,
    hash_leaf,
    hash_leaves,
    inclusion_path,
    tree_root,
    verify_inclusion,
)

ELSEWHERE = os.environ.get("CGI_HUB_PUBLISHED_VECTORS", "")

# The eight leaves that the first log used in its tests, and ever since then everyone else in theirs.
INPUTS: Final = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
INPUTS.append(bytes(range(0x60, 0x70)))
ROOTS: Final = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(items: list[bytes]) -> bytes:
    """RFC 9162 2.1.1, word for word."""
    if not items:
        return hashlib.sha256(b"").digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    k = 1 << (len(items) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(items[:k]) + mth(items[k:])).digest()


def path_of(m: int, items: list[bytes]) -> tuple[bytes, ...]:
    """RFC 9162 2.1.3.1, word for word."""
    if len(items) == 1:
        return ()
    k = 1 << (len(items) - 1).bit_length() - 1
    if m < k:
        return (*path_of(m, items[:k]), mth(items[k:]))
    return (*path_of(m - k, items[k:]), mth(items[:k]))


def test_the_root_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == mth([]).hex()
    assert tree_root([]) == EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    assert tree_root(hash_leaves(INPUTS[:size])).hex() == ROOTS[size - 1] == mth(INPUTS[:size]).hex()


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 511, 512])
def test_roots_and_paths_are_the_definition_s(size: int) -> None:
    items = [index.to_bytes(2, "big") for index in range(size)]
    levels = build_levels(hash_leaves(items))
    root = mth(items)
    assert levels[-1] == [root]
    for index in range(size) if size < 40 else (0, 1, size // 2, size - 2, size - 1):
        path = inclusion_path(levels, index)
        assert path == path_of(index, items)
        assert len(path) <= 9
        verify_inclusion(hash_leaf(items[index]), index, size, path, root)


Probe = tuple[bytes, int, int, tuple[bytes, ...], bytes]
"""leaf, index, size, path, root."""
WRONG: Final[dict[str, Callable[[Probe], list[Probe]]]] = {
    "index minus one": lambda p: [(p[0], p[1] - 1, *p[2:])],
    "index plus one": lambda p: [(p[0], p[1] + 1, *p[2:])],
    "index xor two": lambda p: [(p[0], p[1] ^ 2, *p[2:])],
    "index is the size": lambda p: [(p[0], p[2], *p[2:])],
    "size zero": lambda p: [(p[0], p[1], 0, p[3], p[4])],
    "size doubled": lambda p: [(p[0], p[1], p[2] * 2, p[3], p[4])],
    "size halved": lambda p: [(p[0], p[1], p[2] // 2, p[3], p[4])],
    "leaf is the root": lambda p: [(p[4], *p[1:])],
    "leaf random": lambda p: [(hashlib.sha256(p[0]).digest(), *p[1:])],
    "leaf unhashed": lambda p: [(b"", *p[1:])],
    "leaf and root empty": lambda p: [(b"", 0, 1, (), b"")],
    "root empty": lambda p: [(*p[:4], b"")],
    "root of nothing": lambda p: [(*p[:4], EMPTY_ROOT)],
    "root random": lambda p: [(*p[:4], hashlib.sha256(p[4]).digest())],
    "root is the leaf": lambda p: [(*p[:4], p[0])],
    "path empty": lambda p: [(*p[:3], (), p[4])],
    "path reversed": lambda p: [(*p[:3], p[3][::-1], p[4])],
    "path with one before": lambda p: [(*p[:3], (extra, *p[3]), p[4]) for extra in (b"", bytes(32), p[0], p[4])],
    "path with one after": lambda p: [(*p[:3], (*p[3], extra), p[4]) for extra in (b"", bytes(32), p[0], p[4])],
    "path with one inserted": lambda p: [(*p[:3], (*p[3][:1], bytes(32), *p[3][1:]), p[4])],
    "path with one left out": lambda p: [(*p[:3], p[3][:i] + p[3][i + 1 :], p[4]) for i in range(len(p[3]))],
    "path with one cut": lambda p: [
        (*p[:3], (*p[3][:i], p[3][i][:-1], *p[3][i + 1 :]), p[4]) for i in range(len(p[3]))
    ],
    "path with a bit flipped": lambda p: [
        (*p[:3], (*p[3][:i], bytes([p[3][i][0] ^ 8]) + p[3][i][1:], *p[3][i + 1 :]), p[4]) for i in range(len(p[3]))
    ],
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13, 512])
def test_refuses(wrong: str, size: int) -> None:
    """The kinds of negative case that transparency-dev/merkle has, on trees of our own."""
    items = [index.to_bytes(2, "big") for index in range(size)]
    levels = build_levels(hash_leaves(items))
    for index in {0, 1, size // 2, size - 1} & set(range(size)):
        right: Probe = (hash_leaf(items[index]), index, size, inclusion_path(levels, index), mth(items))
        for probe in WRONG[wrong](right):
            if (probe[:2], probe[3:]) == (right[:2], right[3:]) and _same_shape(index, size, probe[2]):
                continue
            with pytest.raises(PathInvalid):
                verify_inclusion(*probe)


def _same_shape(index: int, size: int, other: int) -> bool:
    """Whether a tree of ``other`` leaves has a path of the same turns to ``index``: so the size proves nothing."""
    if not index < other:
        return False

    def turns(n: int) -> list[bool]:
        out, m = [], index
        while n > 1:
            k = 1 << (n - 1).bit_length() - 1
            out.append(m >= k)
            n, m = (n - k, m - k) if m >= k else (k, m)
        return out

    return turns(size) == turns(other)


@pytest.mark.skipif(not ELSEWHERE, reason="CGI_HUB_PUBLISHED_VECTORS names no folder (docs/spec/vectors.md)")
def test_the_inclusion_files_of_transparency_dev() -> None:
    files = sorted((Path(ELSEWHERE) / "merkle" / "testdata" / "inclusion").rglob("*.json"))
    assert len(files) > 90
    for file in files:
        case = json.loads(file.read_text())
        unbase64 = base64.b64decode
        probe = (
            unbase64(case["leafHash"] or ""),
            case["leafIdx"],
            case["treeSize"],
            [unbase64(node or "") for node in case["proof"] or ()],
            unbase64(case["root"] or ""),
        )
        if case["wantErr"]:
            with pytest.raises(PathInvalid):
                verify_inclusion(*probe)
        else:
            verify_inclusion(*probe)
