"""Lists of lost and stolen firearms: Jamaica's (74 in 2018, stluciatimes.com), the NCA's and INTERPOL's."""

from __future__ import annotations

from datetime import date

from examples.generator import seizures
from examples.generator.draw import Draw, People
from examples.generator.firearms import MODELS, draw_number
from examples.generator.tables import MadeFile, Table

COLUMNS = (
    "Record No;NIC;Status;Action;Date;Country;Serial No;Make;Model;Calibre;Type;Made In;Owner;Owner Address;"
    "Dealer Theft;Comment"
)
FOUND_AGAIN = 12
"""Firearms of INTERPOL's list that lie in Trinidad and Tobago's seizures: hits."""
TYPES = {"Pistol": 62.0, "Revolver": 14.0, "Shotgun": 12.0, "Rifle": 12.0}


def _list(agency: str, prefix: str, rows: int, countries: dict[str, float], language: str) -> Table:
    draw = Draw(f"{agency} notices")
    people = People(draw, language)
    table = Table(COLUMNS.split(";"), delimiter=";", line_end="\n")
    for number in range(rows):
        kind = draw.weighted(TYPES)
        model = draw.weighted({model: model.weight for model in MODELS[kind]})
        country = draw.weighted(countries)
        serial = draw_number(draw, model)
        table.rows.append(
            {
                "Record No": f"{prefix}{number + 1:06d}",
                "NIC": f"G{draw.digits(9)}" if country == "US" else "",
                "Status": draw.weighted({"Stolen": 84.0, "Lost": 13.0, "Trafficked": 3.0}),
                "Action": draw.weighted({"Enter": 93.0, "Locate": 4.0, "Clear": 3.0}),
                "Date": draw.day(date(2019, 1, 1), date(2025, 11, 30)).isoformat(),
                "Country": country,
                "Serial No": serial if draw.chance(94) else f"{serial[:3]}??{serial[5:]}",
                "Make": model.make,
                "Model": model.model,
                "Calibre": model.caliber,
                "Type": kind,
                "Made In": model.origin,
                "Owner": people.full() if draw.chance(55) else "",
                "Owner Address": f"{draw.between(1, 200)} {people.surname()} Close" if draw.chance(30) else "",
                "Dealer Theft": "Y" if draw.chance(7) else "N",
                "Comment": draw.one(["", "", "reported late", "see annex"]),
            }
        )
        if not table.rows[-1]["Owner"]:
            table.rows[-1]["Owner Address"] = ""
    return table


def _made(table: Table, path: str, what: str) -> MadeFile:
    rows = len(table.rows)
    return MadeFile(path, table.encode(), "stolen-firearms", rows, rows - len(table.bad), table.bad, what)


def make_jamaica() -> MadeFile:
    table = _list("JCF", "JM-SF-", 74, {"JM": 1.0}, "en")
    table.spoil(20, "Date", "12/06/2023", "row.date")
    return _made(table, "JCF/stolen-firearms.csv", "Jamaica Constabulary Force: stolen firearms")


def make_nca() -> MadeFile:
    table = _list("NCA", "UK/NABIS/", 150, {"GB": 92.0, "BM": 4.0, "KY": 4.0}, "en")
    table.spoil(33, "Status", "Mislaid", "row.code_unknown")
    table.spoil(90, "Country", "UK", "row.code_unknown")
    return _made(table, "NCA/stolen-firearms.csv", "National Crime Agency: stolen firearms")


def make_interpol() -> MadeFile:
    countries = {"US": 40.0, "BR": 14.0, "DO": 10.0, "CO": 9.0, "VE": 9.0, "FR": 9.0, "PA": 9.0}
    table = _list("INTERPOL", "IARMS", 250, countries, "es")
    for index, found in enumerate(seizures.legible_guns(FOUND_AGAIN)):
        table.rows[10 + 7 * index].update(found)
    table.spoil(100, "Record No", "", "row.key_missing")
    table.spoil(140, "Type", "Rocket", "row.code_unknown")
    table.spoil(222, "Action", "Delete", "row.code_unknown")
    return _made(table, "INTERPOL/iarms-notices.csv", "INTERPOL: lost and stolen firearms out of iARMS")
