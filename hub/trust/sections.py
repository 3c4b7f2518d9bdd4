"""A section: an event's part in one compartment, framed, padded and committed to (docs/spec 5.1, 5.2)."""

from __future__ import annotations

from typing import Final

from hub.errors import RejectedError
from hub.model import Compartment
from hub.wire import labels
from hub.wire.header import SALT
from hub.wire.labels import lp
from hub.wire.limits import SECTION, SECTION_BLOCK

_LENGTH: Final = 4
LARGEST: Final = SECTION - _LENGTH
"""Bytes of Avro that fit into one section."""
_ZEROS: Final = tuple(bytes(count) for count in range(SECTION_BLOCK))


class SectionTooLarge(RejectedError):
    """An event's part in one compartment does not fit into a section. Refer to an attachment by its hash instead."""

    code = "section.too_large"


class SectionPadding(RejectedError):
    """A section's length or padding is not what spec 5.1 says."""

    code = "section.padding"


def frame_section(content: bytes) -> bytes:
    """``u32(length) || content || zeros``, a multiple of 64 bytes. Raises :class:`SectionTooLarge`."""
    length = len(content)
    if length > LARGEST:
        raise SectionTooLarge("a section is too large", length=length, limit=LARGEST)
    return length.to_bytes(4, "big") + content + _ZEROS[-(_LENGTH + length) % SECTION_BLOCK]


def unframe_section(section: bytes) -> bytes:
    """The content. Raises :class:`SectionPadding` unless length and padding are the only ones possible."""
    end = _LENGTH + int.from_bytes(section[:_LENGTH], "big")
    if end > len(section) or section[end:] != _ZEROS[-end % SECTION_BLOCK]:
        raise SectionPadding("a section's padding is not the least, or not zero")
    return section[_LENGTH:end]


def commitment_prefix(compartment: Compartment) -> bytes:
    """What precedes the salt in every commitment of a compartment (spec 5.2)."""
    return lp(labels.COMMITMENT, compartment.encode()) + SALT.to_bytes(4, "big")
