"""Files of event documents, one a line, from systems that speak the hub's own form: links, cases, alerts, numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from examples.generator.draw import Draw, People
from examples.generator.tables import Bad, MadeFile

LAB_ROWS = 240
HSI_ROWS = 60
ALERTS = {"CCGIU": 24, "HSI": 16, "RSS": 20, "NCA": 10, "INTERPOL": 12}
TRACES = {
    "BS": {2020: (209, 98.6), 2021: (238, 99.2), 2022: (331, 98.2), 2023: (271, 98.2), 2024: (240, 98.8)},
    "DO": {2020: (76, 73.7), 2021: (109, 86.2), 2022: (134, 97.0), 2023: (170, 95.3), 2024: (50, 92.0)},
    "HT": {2020: (81, 87.7), 2021: (125, 84.8), 2024: (46, 87.0)},
    "JM": {2020: (472, 66.9), 2021: (576, 69.4), 2022: (473, 77.0), 2023: (276, 84.8), 2024: (606, 84.0)},
    "TT": {2020: (298, 52.0), 2021: (391, 51.7), 2022: (389, 66.1), 2023: (213, 67.1), 2024: (207, 74.9)},
}
"""Traces and the percentage of US origin, by country and year (hemisphericavg.com, citing ATF)."""

Document = dict[str, Any]


def _document(
    kind: str, body: Document, *, handling: str, purpose: str, expires: date, urgent: bool = False
) -> Document:
    return {
        "type": kind,
        "handling": handling,
        "priority": "URGENT" if urgent else "ROUTINE",
        "purpose": purpose,
        "expires_at": expires.isoformat(),
        "body": body,
    }


def _made(path: str, lines: list[str], bad: list[Bad], what: str) -> MadeFile:
    data = "".join(line + "\n" for line in lines).encode()
    return MadeFile(path, data, "", len(lines), len(lines) - len(bad), bad, what)


def _encode(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _dump(
    documents: list[Document], spoils: dict[int, tuple[Callable[[Document], None], str]]
) -> tuple[list[str], list[Bad]]:
    bad = []
    for index, (spoil, code) in sorted(spoils.items()):
        spoil(documents[index])
        bad.append(Bad(index + 1, code, None))
    return [_encode(document) for document in documents], bad


def _personal(day: date) -> Document:
    return {"legal_basis_id": "CARICOM CGIU MOU", "purge_by": (day + timedelta(days=1826)).isoformat()}


def make_lab() -> MadeFile:
    """Leads and hits: 98.9 % of the leads of one ATF centre were confirmed (crimegunintelcenters.org)."""
    draw = Draw("RFL links")
    people = People(draw, "en")
    examiners = [people.full() for _ in range(6)]
    documents = [_link(draw, people, examiners, number) for number in range(LAB_ROWS)]
    lines, bad = _dump(
        documents,
        {
            18: (lambda d: d["body"].pop("exhibit_no"), "row.field"),
            64: (lambda d: d["body"].update(level="MATCH"), "row.field"),
            150: (lambda d: d["body"].update(conclusion="IDENTIFICATION", level="LEAD"), "row.field"),
            201: (lambda d: d["body"].update(examinerr="x"), "row.field"),
        },
    )
    lines[99] = lines[99][: len(lines[99]) // 2]
    bad.append(Bad(100, "row.json", None))
    bad.sort(key=lambda item: item.row)
    return _made("RFL/ballistic-links.jsonl", lines, bad, "Regional forensic laboratory: ballistic leads and hits")


def _link(draw: Draw, people: People, examiners: list[str], number: int) -> Document:
    received = draw.day(date(2022, 1, 3), date(2025, 10, 31))
    hit = draw.chance(45)
    issued = received + timedelta(days=draw.between(1, 60 if hit else 6))
    agencies = ["JCF", "TTPS", "HNP", "RSS"]
    linked = [
        {
            "agency": draw.one(agencies),
            "case_ref": f"{draw.letters(2)}/{draw.digits(4)}/{draw.between(18, 25)}",
            "exhibit": f"EX{draw.digits(5)}",
            "date": draw.day(date(2018, 1, 1), received).isoformat(),
            "country": draw.one(["JM", "TT", "HT", "BB", "LC"]),
        }
        for _ in range(draw.weighted({1: 70.0, 2: 22.0, 3: 8.0}))
    ]
    body: Document = {
        "header": {**_personal(issued), "originator_case_ref": f"RFL-{received.year}-{number + 1:05d}"},
        "level": "HIT" if hit else "LEAD",
        "network": draw.weighted({"RIBIN": 70.0, "IBIN": 20.0, "NIBIN": 10.0}),
        "lab": "Regional Forensic Laboratory",
        "report_no": f"RFL/B/{received.year}/{number + 1:04d}",
        "accreditation": {"standard": "ISO/IEC 17025:2017", "id": "RFL-TL-019"},
        "method": "Comparison microscopy" if hit else "IBIS correlation, screen review",
        "item_kind": draw.weighted({"CARTRIDGE_CASE": 70.0, "TEST_FIRE": 22.0, "BULLET": 8.0}),
        "cartridge": draw.weighted({"9x19mm": 72.0, ".40 S&W": 10.0, "5.56x45mm": 10.0, "7.62x39mm": 8.0}),
        "exhibit_no": f"EX{draw.digits(6)}",
        "root_exhibit_no": f"EX{draw.digits(6)}",
        "linked": linked,
        "dates": {"received": received.isoformat(), "performed": issued.isoformat(), "issued": issued.isoformat()},
        "caveat": "ITEMS_TESTED_ONLY" if hit else "LEAD_IS_NOT_EVIDENCE",
    }
    if hit:
        body["conclusion"] = draw.weighted({"IDENTIFICATION": 96.0, "INCONCLUSIVE": 3.0, "EXCLUSION": 1.0})
        body["examiner"] = {"name": draw.one(examiners), "role": "Firearm examiner"}
        body["authoriser"] = {"name": draw.one(examiners), "role": "Head of section"}
        body["custody"] = [
            {
                "from_agency": linked[0]["agency"],
                "to_agency": "RFL",
                "at": f"{received.isoformat()}T14:{draw.between(10, 59)}:00.000Z",
                "official": people.full(),
            }
        ]
    expires = issued + timedelta(days=5479)
    return _document("ballistic.link", body, handling="TLP:AMBER", purpose="FORENSICS", expires=expires)


def make_cases() -> MadeFile:
    draw = Draw("HSI cases")
    people = People(draw, "en")
    documents = [_case(draw, people, number) for number in range(HSI_ROWS)]
    lines, bad = _dump(
        documents,
        {
            7: (lambda d: d["body"].update(sentence_months=None, stage="SENTENCED"), "row.field"),
            41: (lambda d: d.update(handling="AMBER"), "row.field"),
        },
    )
    return _made(
        "HSI/case-updates.jsonl", lines, bad, "Homeland Security Investigations: cases before US and Caribbean courts"
    )


def _case(draw: Draw, people: People, number: int) -> Document:
    day = draw.day(date(2023, 1, 3), date(2025, 11, 28))
    stage = draw.weighted(
        {"REFERRED": 25.0, "ACCEPTED": 18.0, "CHARGED": 25.0, "TRIAL": 8.0, "CONVICTED": 10.0, "SENTENCED": 14.0}
    )
    body: Document = {
        "header": {**_personal(day), "originator_case_ref": f"HSI-{day.year}-{number + 1:04d}"},
        "referral_to": draw.weighted({"DOJ_COORDINATOR": 50.0, "USAO": 40.0, "DPP": 10.0}),
        "stage": stage,
        "stage_date": day.isoformat(),
        "sealed": stage in ("REFERRED", "ACCEPTED") and draw.chance(30),
        "statute": [] if stage in ("REFERRED", "ACCEPTED") else ["18 USC 554", "18 USC 922(a)(6)"],
        "court": "S.D. Fla." if draw.chance(70) else None,
        "docket": f"1:{day.year % 100}-cr-{draw.digits(5)}",
        "defendants": [
            {"role": "DEFENDANT", "names": [people.full()], "dob": people.birth().isoformat(), "nationality": "US"}
            for _ in range(draw.between(1, 3))
        ],
    }
    if stage == "SENTENCED":
        body["sentence_months"] = draw.between(12, 120)
    return _document(
        "case.update", body, handling="TLP:AMBER+STRICT", purpose="PROSECUTION", expires=day + timedelta(days=3653)
    )


def make_alerts(agency: str) -> MadeFile:
    draw = Draw(f"{agency} alerts")
    people = People(draw, "en")
    documents = [_alert(draw, people, agency, number) for number in range(ALERTS[agency])]
    spoils: dict[int, tuple[Callable[[Document], None], str]] = {}
    if agency == "CCGIU":
        spoils = {
            5: (lambda d: d["body"]["header"].pop("grading"), "row.field"),
            17: (lambda d: d["body"].update(sanitised=False), "row.field"),
        }
    lines, bad = _dump(documents, spoils)
    return _made(f"{agency}/alerts.jsonl", lines, bad, f"{agency}: alerts to partners")


def _alert(draw: Draw, people: People, agency: str, number: int) -> Document:
    day = draw.day(date(2025, 1, 6), date(2025, 12, 19))
    grading = {"scheme": "UK_3X5X2", "source": draw.one(["1", "2"]), "info": draw.one(["A", "B", "C"])}
    if agency in ("HSI", "RSS"):
        grading = {"scheme": "ADMIRALTY", "source": draw.one(["A", "B", "C"]), "info": draw.one(["1", "2", "3"])}
    country = draw.one(["JM", "HT", "TT", "BS", "LC"])
    body: Document = {
        "header": {
            **_personal(day),
            "grading": grading,
            "originator_case_ref": f"{agency}/IR/{day.year}/{number + 1:03d}",
        },
        "title": draw.one(
            [
                "Pistols in speaker boxes",
                "Conversion devices by mail",
                "Barrels shipped by the same consignor",
                "Go-fast from Cedros",
            ]
        ),
        "narrative": f"A consignment for {people.full()} is expected. The same consignor sent two barrels before.",
        "modus": [draw.one(["Concealed in household goods", "Parts in several parcels", "Straw purchase"])],
        "route": [{"country": "US", "admin1": "US-FL"}, {"country": country}],
        "firearm_types": [draw.weighted({"PI": 80.0, "RI": 20.0})],
        "valid_until": (day + timedelta(days=180)).isoformat(),
        "action_required": "Examine on arrival; tell the originator.",
        "sanitised": True,
    }
    if draw.chance(60):
        person = {
            "role": "SUSPECT",
            "names": [people.full()],
            "aliases": [people.given()],
            "dob": people.birth().isoformat(),
        }
        body["subjects"] = [{"person": person, "reasonable_suspicion": True}]
    return _document(
        "intel.alert",
        body,
        handling=draw.weighted({"TLP:AMBER": 70.0, "TLP:AMBER+STRICT": 25.0, "TLP:GREEN": 5.0}),
        purpose="CRIME_PREVENTION" if agency == "RSS" else "INVESTIGATION",
        expires=day + timedelta(days=1826),
        urgent=draw.chance(15),
    )


def make_statistics() -> MadeFile:
    """ATF's published traces by country and year, as periods; counts below five are left out."""
    documents = []
    for country, years in TRACES.items():
        for year, (traces, percent) in years.items():
            domestic = round(traces * percent / 100)
            counts = [_count("US origin", domestic), _count("Other origin or undetermined", traces - domestic)]
            body = {
                "period_start": f"{year}-01-01",
                "period_end": f"{year}-12-31",
                "country": country,
                "category": "TRACES",
                "counts": counts,
                "method": "Traces submitted to ATF by country of recovery, as published",
            }
            documents.append(
                _document(
                    "stats.period", body, handling="TLP:CLEAR", purpose="STATISTICS", expires=date(year + 20, 12, 31)
                )
            )
    lines, bad = _dump(documents, {})
    return _made("CCGIU/statistics.jsonl", lines, bad, "CCGIU: published numbers of traces")


def _count(label: str, count: int) -> Document:
    return {"label": label, "count": count, "suppressed": False} if count >= 5 else {"label": label, "suppressed": True}
