"""A small mapping profile for tests, and ways to break it."""

from __future__ import annotations

from pathlib import Path

from connectors.mapping.mapper import Mapper
from connectors.mapping.profile import parse_profile
from connectors.toolkit import Refused, Taken
from connectors.toolkit.lined_yaml import LinedYaml
from connectors.toolkit.report import encode_refusal
from tests.support.samples import catalog

NOTICES = """\
profile: notices
version: 1
title: Notices for tests
event_type: firearm.notice
file:
  encoding: utf-8
values:
  dates: "%d/%m/%Y"
  empty: [N/A]
  yes: [Y]
  no: [N]
columns:
  Serial: [Serial No., S/N]
key: [Ref]
envelope:
  handling: {value: "TLP:GREEN"}
  purpose: {value: INVESTIGATION}
  priority: {column: Urgent, codes: {Y: URGENT}, unknown_code: ROUTINE, default: ROUTINE}
  expires: {column: Date, add_days: 3650}
fields:
  kind: {column: Kind, codes: kinds}
  action: {value: ENTER}
  iarms_ref: Ref
  date: Date
  firearm.serial_raw: {column: Serial, derive: serial_raw}
  firearm.serial_status: {column: Serial, derive: serial_status}
  firearm.serial_pattern: {column: Serial, derive: serial_pattern}
  firearm.make_text: Make
  firearm.caliber_text: {value: 9mm}
  firearm.type_ncic: {value: PI}
  firearm.other_numbers: {column: Others, split: ";"}
  ffl_theft: {column: Dealer, default: "false"}
codes:
  kinds:
    Stolen: STOLEN
    Lost: LOST
"""

HEADER = "Ref,Urgent,Kind,Date,Serial,Make,Others,Dealer"
REPORT = Path("in.csv.rejected.jsonl")


def mapper_of(text: str = NOTICES) -> Mapper:
    """The mapper of a profile's text. Raises ``ProfileInvalid`` with ``p.yaml:<line>``."""
    document = LinedYaml(text, "p.yaml")
    return Mapper(parse_profile(document), document, catalog())


def changed(old: str, new: str, text: str = NOTICES) -> str:
    """The profile with a piece replaced, which must be in it."""
    if old not in text:
        raise ValueError(f"{old!r} is not in the profile")
    return text.replace(old, new)


def read_all(mapper: Mapper, data: bytes | str) -> tuple[list[Taken], list[Refused]]:
    """All that a mapper makes of a file: events, and refused rows."""
    units = list(mapper.read(data.encode() if isinstance(data, str) else data, REPORT))
    taken = [unit for unit in units if isinstance(unit, Taken)]
    return taken, [refused for unit in units if not isinstance(unit, Taken) for refused in unit]


def lines_of(refused: list[Refused]) -> list[tuple[int, str, str | None]]:
    """Row, code and column of each."""
    lines = [encode_refusal(item.origin, item.error) for item in refused]
    return [(line["row"], line["code"], line["column"]) for line in lines]
