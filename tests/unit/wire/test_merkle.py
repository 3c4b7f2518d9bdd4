"""hub/wire/merkle.py against the recursive definitions of RFC 9162; published vectors: test_published_merkle."""

import hashlib

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


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = recursive_root(leaves[:split]), recursive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree(size: int) -> list[bytes]:
    return hash_leaves([bytes([n % 256, n // 256]) for n in range(size)])


def test_empty_root_is_the_hash_of_nothing() -> None:
    assert tree_root([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()
    with pytest.raises(ValueError, match="no leaves"):
        build_levels([])


def test_leaf_and_node_differ() -> None:
    assert hash_leaf(b"x") == hashlib.sha256(b"\0x").digest() == hash_leaves([b"x"])[0]


@pytest.mark.parametrize("size", [*range(1, 40), 255, 256, 257, 511, 512])
def test_root_and_every_path_are_those_of_the_rfc(size: int) -> None:
    leaves = tree(size)
    levels = build_levels(leaves)
    root = levels[-1][0]
    assert root == recursive_root(leaves) == tree_root(leaves)
    for index in range(0, size, max(1, size // 20)):
        path = inclusion_path(levels, index)
        assert len(path) <= 9
        verify_inclusion(leaves[index], index, size, path, root)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13])
def test_a_path_proves_one_leaf_at_one_index(size: int) -> None:
    leaves = tree(size)
    levels = build_levels(leaves)
    root = levels[-1][0]
    for index in range(size):
        path = inclusion_path(levels, index)
        for other in range(size):
            if other != index:
                with pytest.raises(PathInvalid):
                    verify_inclusion(leaves[index], other, size, path, root)
                with pytest.raises(PathInvalid):
                    verify_inclusion(leaves[other], index, size, path, root)


def test_refuses_index_length_and_root() -> None:
    leaves = tree(6)
    levels = build_levels(leaves)
    root, path = levels[-1][0], inclusion_path(levels, 2)
    with pytest.raises(PathInvalid, match="outside"):
        verify_inclusion(leaves[2], 6, 6, path, root)
    with pytest.raises(PathInvalid, match="outside"):
        verify_inclusion(leaves[2], -1, 6, path, root)
    with pytest.raises(PathInvalid, match="outside"):
        verify_inclusion(leaves[0], 0, 0, (), root)
    with pytest.raises(PathInvalid, match="too long"):
        verify_inclusion(leaves[2], 2, 6, (*path, bytes(32)), root)
    with pytest.raises(PathInvalid, match="too short"):
        verify_inclusion(leaves[2], 2, 6, path[:-1], root)
    with pytest.raises(PathInvalid, match="another root"):
        verify_inclusion(leaves[2], 2, 6, path, bytes(32))
    with pytest.raises(IndexError):
        inclusion_path(levels, 6)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_leaf_and_a_root_are_hashes(length: int) -> None:
    with pytest.raises(PathInvalid, match="not a SHA-256"):
        verify_inclusion(bytes(length), 0, 1, (), bytes(length))
