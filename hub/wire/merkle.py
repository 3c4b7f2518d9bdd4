"""The trees of RFC 9162 2.1 with SHA-256: roots, inclusion paths and their verification (docs/spec 1.6).

A tree is built from the bottom up: pairs are joined, and a node without a partner moves up unchanged. That gives the
same tree as RFC 9162's split at the largest power of two below n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from hub.errors import RejectedError

_sha256 = hashlib.sha256

EMPTY_ROOT: Final = _sha256(b"").digest()
"""The root of a tree with no leaves."""


class PathInvalid(RejectedError):
    """An inclusion path has the wrong length or leads to another root."""

    code = "merkle.path_invalid"


def hash_leaf(item: bytes) -> bytes:
    """The leaf of ``item``: 32 bytes."""
    return _sha256(b"\x00" + item).digest()


def hash_leaves(items: Sequence[bytes]) -> list[bytes]:
    """The leaf of each item, in order."""
    sha256 = _sha256
    return [sha256(b"\x00" + item).digest() for item in items]


def build_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All nodes from the leaf hashes (first) to the root (last, alone). At least one leaf is wanted."""
    if not leaves:
        raise ValueError("a tree of no leaves has no levels")
    sha256 = _sha256
    level = list(leaves)
    levels = [level]
    while len(level) > 1:
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        levels.append(above)
        level = above
    return levels


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; :data:`EMPTY_ROOT` where there are none."""
    return build_levels(leaves)[-1][0] if leaves else EMPTY_ROOT


def inclusion_path(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    """The path of leaf ``index`` (RFC 9162 2.1.3.1), from what :func:`build_levels` gave."""
    if not 0 <= index < len(levels[0]):
        raise IndexError("no such leaf")
    path = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):  # else the node has no partner and moves up
            path.append(level[sibling])
        index >>= 1
    return tuple(path)


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` (a leaf hash) stands at ``index`` of the tree of ``size`` leaves under ``root``.

    RFC 9162 2.1.3.2. Raises :class:`PathInvalid`.
    """
    if not 0 <= index < size:
        raise PathInvalid("the index is outside the tree", index=index, size=size)
    if not len(leaf) == len(root) == 32:
        raise PathInvalid("a leaf or a root is not a SHA-256 hash", index=index, size=size)
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise PathInvalid("the path is too long", index=index, size=size)
        if position & 1 or position == last:
            node = _sha256(b"\x01" + sibling + node).digest()
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = _sha256(b"\x01" + node + sibling).digest()
        position >>= 1
        last >>= 1
    if last:
        raise PathInvalid("the path is too short", index=index, size=size)
    if node != root:
        raise PathInvalid("the path leads to another root", index=index, size=size)
