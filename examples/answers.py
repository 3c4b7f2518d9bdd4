"""What agencies answer, worked out of what they received: the demo's stand-in for their case systems.

    python -m examples.answers traces ATF/received.db ATF/in/results.jsonl

Reads an SQLite sink's file and writes event documents, one a line, for a folder source with
``key = ["type", "in_reply_to.publisher", "in_reply_to.event_id"]``. The same database gives the same answers, whatever
event ids a run made: everything is drawn from the content of what is answered. The file appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from examples.generator.draw import Draw, People
from hub.errors import ConfigError

Document = dict[str, Any]
Row = sqlite3.Row

US_SHARE = {"JM": 84.0, "HT": 87.0, "TT": 75.0}
"""Percent of readable firearms that turn out to be of US origin, by country of recovery (ATF's traces of 2024)."""
OTHER_SHARE = 73.0
"""Of 7,399 traces of 2018 to 2022 (GAO-25-107007)."""
PURCHASER_SHARE = 62.0
"""Percent of the US-sourced that lead to a retail buyer: 45 % of all, which are 73 % US-sourced."""
DEALER_STATES = {"FL": 46.0, "TX": 14.0, "GA": 14.0, "SC": 6.0, "NC": 5.0, "AL": 4.0, "OH": 4.0, "PA": 4.0, "AZ": 3.0}
"""Most come from Florida, Texas and Georgia; the shares are made up."""


def answer_traces(rows: Iterator[Row]) -> Iterator[Document]:
    """ATF: a ``trace.result`` for each ``trace.request``."""
    for row in rows:
        yield _reply(row, "trace.result", _trace_result(row), "TLP:AMBER", "INVESTIGATION")


def acknowledge_traces(rows: Iterator[Row]) -> Iterator[Document]:
    """ATF: a ``trace.ack`` for each ``trace.request``; who left out what cannot be missing is asked for it."""
    for row in rows:
        readable = row["firearm_serial_raw"] or row["firearm_serial_status"] in ("OBLITERATED", "NONE")
        body: Document = {"status": "ACCEPTED", "external_ref": _reference(row)}
        if not readable:
            body = {"status": "NEEDS_INFO", "external_ref": _reference(row), "missing_fields": ["firearm.serial_raw"]}
        yield _reply(row, "trace.ack", body, "TLP:AMBER", "INVESTIGATION")


def answer_referrals(rows: Iterator[Row]) -> Iterator[Document]:
    """CCGIU: an ``interdiction.result`` for each ``export.referral``."""
    for row in rows:
        draw = Draw(f"interdiction {row['header_originator_case_ref']} {row['declared_description']} {row['eta']}")
        disposition = draw.weighted({"RELEASED": 66.0, "NOT_EXAMINED": 20.0, "NOT_FOUND": 8.0, "SEIZED": 6.0})
        body: Document = {"disposition": disposition, "firearms": 0, "parts": 0, "magazines": 0, "rounds": 0}
        if disposition in ("RELEASED", "SEIZED"):
            if row["eta"] is None:
                body["disposition"] = "NOT_EXAMINED"
            else:
                body["examined_at"] = row["eta"]
        if body["disposition"] == "SEIZED":
            body.update(firearms=draw.between(0, 6), magazines=draw.between(1, 12), rounds=draw.between(20, 900))
        yield _reply(row, "interdiction.result", body, "TLP:AMBER+STRICT", "EXPORT_CONTROL")


def match_notices(rows: Iterator[Row], seizures: list[Row]) -> Iterator[Document]:
    """Who holds seizures: a ``firearm.hit`` for each ``firearm.notice`` whose firearm lies in a seizure.

    Strong: the number without spaces and signs, make and type. Nothing is matched on NONE or on a part of a number.
    """
    held: dict[tuple[str, str, str], tuple[Row, Document]] = {}
    for seizure in seizures:
        for firearm in json.loads(seizure["firearms"] or "[]"):
            if firearm.get("serial_raw") and firearm["serial_status"] in ("LEGIBLE", "RESTORED_FULL"):
                held[_match_key(firearm["serial_raw"], firearm["make_text"], firearm["type_ncic"])] = (seizure, firearm)
    for row in rows:
        if not row["firearm_serial_raw"] or row["firearm_serial_status"] != "LEGIBLE":
            continue
        key = _match_key(row["firearm_serial_raw"], row["firearm_make_text"], row["firearm_type_ncic"])
        found = held.get(key)
        if found is None:
            continue
        seizure, firearm = found
        body: Document = {
            "match_strength": "STRONG",
            "matched_on": ["SERIAL", "MAKE", "TYPE"],
            "serial_raw": firearm["serial_raw"],
            "make_text": firearm["make_text"],
            "type_ncic": firearm["type_ncic"],
            "located": {"country": seizure["place_country"]},
            "located_on": seizure["seized_at"][:10],
            "holder_agency": seizure["publisher"],
        }
        yield _reply(row, "firearm.hit", body, "TLP:AMBER", "INVESTIGATION")


# --- a trace ----------------------------------------------------------------------------------------------------------


def _trace_result(row: Row) -> Document:
    parts = ("firearm_serial_raw", "firearm_make_text", "recovery_date", "header_originator_case_ref")
    draw = Draw("trace " + " ".join(str(row[name]) for name in parts))
    people = People(draw, "en")
    recovered = date.fromisoformat(row["recovery_date"])
    body: Document = {
        "header": {
            "legal_basis_id": "ETRACE MOU",
            "purge_by": (recovered + timedelta(days=1826)).isoformat(),
            "field_owner": [{"path": path, "agency": row["publisher"]} for path in ("possessor", "recovery_place")],
        },
        "external_ref": _reference(row),
        "make_text": row["firearm_make_text"],
        "type_ncic": row["firearm_type_ncic"],
        "caliber_text": row["firearm_caliber_text"],
        "country_of_origin": row["firearm_country_of_origin"],
        "recovery_date": row["recovery_date"],
        "reported_stolen": draw.chance(2.5),
    }
    if row["recovery_place_country"]:
        body["recovery_place"] = {"country": row["recovery_place_country"], "admin1": row["recovery_place_admin1"]}
    body.update(_possessor(row))
    reason = _untraceable(row, draw)
    if reason:
        return {**body, "outcome": "NOT_TRACEABLE", "reason": reason}
    if not draw.chance(US_SHARE.get(row["recovery_place_country"], OTHER_SHARE)):
        return {**body, "outcome": "FOREIGN_ORIGIN"}
    return {**body, **_sale(draw, people, recovered, identified=draw.chance(PURCHASER_SHARE), possessor=body)}


def _untraceable(row: Row, draw: Draw) -> str:
    if row["firearm_is_pmf"]:
        return "PMF"
    status = row["firearm_serial_status"]
    if status in ("OBLITERATED", "PARTIAL", "RESTORED_PARTIAL", "NONE", "SUSPECT_MARK"):
        return "SERIAL_PROBLEM"
    if not row["firearm_serial_raw"]:
        return "INCOMPLETE_REQUEST"
    if draw.chance(3):
        return draw.one(["TOO_OLD", "TOO_OLD", "RECORDS_UNAVAILABLE"])
    return ""


def _sale(draw: Draw, people: People, recovered: date, *, identified: bool, possessor: Document) -> Document:
    """A US retail sale. Time to crime: some 25 % under a year, 46 % within three (ATF, 2017 to 2021)."""
    state = draw.weighted(DEALER_STATES)
    band = draw.weighted({"UNDER_1Y": 25.0, "FROM_1Y_TO_3Y": 21.0, "OVER_3Y": 54.0})
    low, high = {"UNDER_1Y": (1, 364), "FROM_1Y_TO_3Y": (365, 1094), "OVER_3Y": (1095, 6200)}[band]
    days = draw.between(low, high)
    sold = recovered - timedelta(days=days)
    dealer = f"{people.surname()} Sporting Arms"
    sale: Document = {
        "outcome": "PURCHASER_IDENTIFIED" if identified else "DEALER_ONLY",
        "ffl": {"licence": f"{draw.between(1, 9)}-{draw.between(10, 99)}-{draw.digits(5)}", "name": dealer},
        "dealer_state": state,
        "multiple_sale": draw.chance(22),
        "chain": [{"kind": "MANUFACTURER"}, {"kind": "WHOLESALER", "name": f"{people.surname()} Distributors"}],
    }
    if not draw.chance(1):  # in one of a hundred the dealer's date is after the recovery: it is left out
        sale.update(purchase_date=sold.isoformat(), ttc_days=days, ttc_band=band)
    if identified:
        sale["purchaser"] = {
            "role": "PURCHASER",
            "names": [people.full()],
            "dob": people.birth().isoformat(),
            "sex": draw.weighted({"M": 70.0, "F": 30.0}),
            "address": f"{draw.between(100, 9900)} {people.surname()} Blvd, {state}",
        }
        if "possessor" in possessor:
            sale["purchaser_possessor_same"] = {"name": False, "dob": False, "address": False}
    return sale


def _possessor(row: Row) -> Document:
    names = json.loads(row["possessor_names"] or "[]")
    if not names:
        return {}
    return {"possessor": {"role": "POSSESSOR", "names": names, "dob": row["possessor_dob"]}}


def _reference(row: Row) -> str:
    parts = (row["publisher"], row["ori"], row["header_originator_case_ref"], row["firearm_serial_raw"])
    return "T" + Draw("reference " + " ".join(str(part) for part in parts)).digits(11)


# --- what all share ---------------------------------------------------------------------------------------------------


def _reply(row: Row, kind: str, body: Document, handling: str, purpose: str) -> Document:
    return {
        "type": kind,
        "handling": handling,
        "priority": row["priority"],
        "purpose": purpose,
        "expires_at": row["expires_at"],
        "correlation_id": row["correlation_id"],
        "in_reply_to": {"publisher": row["publisher"], "event_id": row["event_id"]},
        "body": body,
    }


def _match_key(serial: str, make: str, kind: str) -> tuple[str, str, str]:
    number = "".join(character for character in serial.split("(")[0].upper() if character.isalnum())
    return number, make.upper(), kind


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    yield from connection.execute(f"SELECT * FROM {table} ORDER BY publisher, published_at, event_id")  # noqa: S608


QUESTIONS: dict[str, tuple[str, Callable[[Iterator[Row]], Iterator[Document]]]] = {
    "traces": ("trace_request", answer_traces),
    "acks": ("trace_request", acknowledge_traces),
    "referrals": ("export_referral", answer_referrals),
}


def answer(kind: str, database: Path) -> list[Document]:
    """The answers of a kind (traces, acks, referrals, hits) to what is in an SQLite sink. ``ConfigError``."""
    if kind not in (*QUESTIONS, "hits"):
        raise ConfigError(f"no answers {kind!r}; there are {', '.join(QUESTIONS)} and hits")
    if not database.is_file():
        raise ConfigError(f"{database}: no such database")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        if kind == "hits":
            return list(match_notices(_rows(connection, "firearm_notice"), list(_rows(connection, "seizure_report"))))
        table, make = QUESTIONS[kind]
        return list(make(_rows(connection, table)))


def write_answers(kind: str, database: Path, out: Path) -> int:
    """Write the answers into ``out`` (whole or not at all) and say how many there are."""
    documents = answer(kind, database)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(out.name + ".tmp")
    text = "".join(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n" for document in documents)
    draft.write_text(text, encoding="utf-8", newline="\n")
    os.replace(draft, out)
    return len(documents)


if __name__ == "__main__":
    write_answers(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
