"""The limits of an event's body, in one file."""

from __future__ import annotations

from typing import Final

SECTION_BYTES: Final = 65_532
"""Avro bytes of one compartment: 64 KiB (protocol, limits) with the four bytes of the section's length."""

TEXT_CHARACTERS: Final = 256
"""Longest text where the schema gives no ``max_length``."""

TEXT_CHARACTERS_MAX: Final = 20_000
"""The most that a schema's ``max_length`` may give."""

ARRAY_ITEMS_MAX: Final = 1_024
"""The most that a schema's ``max_items`` may give. Every array has a ``max_items``."""

COMPARTMENTS_MAX: Final = 8
"""Compartments of a type (protocol, limits)."""

ENUM_SYMBOLS_MAX: Final = 64
"""Symbols of an enum: the index is then one byte."""

DEPTH_MAX: Final = 8
"""Records within records."""
