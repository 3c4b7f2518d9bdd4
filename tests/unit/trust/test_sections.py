"""hub/trust/sections.py: docs/spec 5.1 and 5.2."""

import hashlib
import os

import pytest

from hub.model import Compartment
from hub.trust.sections import (
    LARGEST,
    SectionPadding,
    SectionTooLarge,
    commitment_prefix,
    frame_section,
    unframe_section,
)
from hub.wire.labels import labelled_hash


@pytest.mark.parametrize("length", [0, 1, 59, 60, 61, 124, 125, 1000, LARGEST])
def test_framed_and_unframed(length: int) -> None:
    content = os.urandom(length)
    section = frame_section(content)
    assert len(section) % 64 == 0
    assert len(section) - 4 - length < 64
    assert unframe_section(section) == content


def test_too_large() -> None:
    with pytest.raises(SectionTooLarge):
        frame_section(bytes(LARGEST + 1))


@pytest.mark.parametrize(
    "section",
    [
        (5).to_bytes(4, "big") + b"hello" + bytes(55) + bytes(64),  # more than the least padding
        (5).to_bytes(4, "big") + b"hello" + bytes(54) + b"\1",
        (5).to_bytes(4, "big") + b"hello" + b"\1" + bytes(54),
        (61).to_bytes(4, "big") + bytes(60),  # longer than what is there
        (2**32 - 4).to_bytes(4, "big") + bytes(60),
        b"",
        b"\0\0\0",
    ],
)
def test_padding_is_the_only_one_possible(section: bytes) -> None:
    with pytest.raises(SectionPadding):
        unframe_section(section)


def test_commitment_prefix_is_the_start_of_the_labelled_hash() -> None:
    salt, section = os.urandom(32), frame_section(b"content")
    whole = commitment_prefix(Compartment("core")) + salt + len(section).to_bytes(4, "big") + section
    assert hashlib.sha256(whole).digest() == labelled_hash(b"cgi-hub/v1/commitment", b"core", salt, section)
