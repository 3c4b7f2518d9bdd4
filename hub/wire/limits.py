"""Every limit of the protocol, in the one place where limits stand (docs/spec 2.1).

Sizes are bytes, times are milliseconds, the rest are counts. A reader checks a count or a length against its limit,
and against the bytes that are left, before it reads, expands or hashes what is counted (spec 2.2).
"""

from __future__ import annotations

from typing import Final

# --- records and what is in them --------------------------------------------------------------------------------------

RECORD: Final = 900_000
"""An ingest record, a delivered record, a stub."""
EVENTS_A_BUNDLE: Final = 512
EVENTS_A_FLUSH: Final = 512
BUNDLES_A_FLUSH: Final = 512
COMPARTMENTS: Final = 8
ENTRIES: Final = 256
SECTION: Final = 65_536
"""A section with its length and its padding."""
SECTION_BLOCK: Final = 64
"""A section is a multiple of this."""
CIPHERTEXT: Final = 900_000
PATH: Final = 9
"""Hashes of an inclusion path: log2 of 512."""
FLUSH: Final = 4_096
LANE: Final = 4_096
CORE: Final = 4_096
ENTRY: Final = 4_096
HEAD: Final = 8_192

# --- text -------------------------------------------------------------------------------------------------------------

AGENCY: Final = 32
COMPARTMENT: Final = 16
EVENT_TYPE: Final = 98
POLICY_VERSION: Final = 128
LABEL: Final = 32
"""The text of a handling label, a priority, a purpose."""

# --- numbers ----------------------------------------------------------------------------------------------------------

SCHEMA_VERSION: Final = 65_535
BUNDLE_SEQ: Final = 2**32 - 1
SEQUENCE: Final = 2**53 - 1
"""recipient_seq, prev_seq, flush_seq and the directory's version: what a JSON number still holds exactly."""
TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

# --- time -------------------------------------------------------------------------------------------------------------

FLUSH_AHEAD_MS: Final = 300_000
"""How far a flush's time may be ahead of the receiver's clock."""
LANE_LIFE_MS: Final = 3_600_000

# --- what a receiver keeps --------------------------------------------------------------------------------------------

GAP_RANGES: Final = 1_024
"""Missing ranges of a stream; likewise explained ranges."""
HEADS_KEPT: Final = 256
"""Latest numbers of a stream whose head is remembered, to tell equivocation from a duplicate."""
INSTANCES_A_DAY: Final = 100
"""New instances of one site in one UTC day of their flush times."""
STREAMS_A_PUBLISHER: Final = 10_000
REASON: Final = 64
"""A reason's code in an explained range."""
STREAM_STATE: Final = 1 << 20
"""The stored state of one stream."""
EVENT_IDS_KEPT: Final = 200_000
"""Event ids that a router or a receiver remembers, to see one come back with another header."""
FLUSHES_KEPT: Final = 1_024
"""Flushes whose signature was verified."""
WRAPS_KEPT: Final = 1_024
"""Wraps that a receiver has opened."""
LANES_KEPT: Final = 512
"""Lanes that a publisher keeps open."""
