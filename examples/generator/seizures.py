"""Seizure registers: Trinidad and Tobago's (Windows-1252, for Spanish names) and RSS's. Several rows to one seizure."""

from __future__ import annotations

from datetime import date

from examples.generator.draw import Draw, People
from examples.generator.firearms import SEIZED_TT, Firearm, draw_firearm
from examples.generator.tables import MadeFile, Table

TTPS_ROWS = 900
RSS_ROWS = 100
COLUMNS = [
    "Seizing Agency",
    "CR No",
    "Seized At",
    "Acquisition",
    "Place Type",
    "Country",
    "Region",
    "Town",
    "Latitude",
    "Longitude",
    "Address",
    "Offence",
    "Status",
    "Item",
    "Make",
    "Model",
    "Calibre",
    "Serial No",
    "Made In",
    "Conversion Device",
    "Quantity",
    "Capacity",
    "Origin",
    "Departed From",
    "Transit",
    "Destination",
    "Transport",
    "Vessel or Vehicle",
    "Container No",
    "Concealment",
    "Manifest",
    "Other Goods",
    "Operation",
    "Warrant",
    "Person",
    "Date of Birth",
    "Sex",
    "Nationality",
    "Person Address",
    "Gang",
    "Entered By",
]
HEAD = COLUMNS[:13] + COLUMNS[22:34]
TOWNS = {
    "Port of Spain": ["Laventille", "Belmont", "Sea Lots"],
    "San Fernando": ["Marabella", "Gulf View"],
    "Chaguanas": ["Enterprise", "Cunupia"],
    "Arima": ["Malabar", "Maloney"],
    "Siparia": ["Cedros", "Point Fortin"],
}
ISLANDS = {
    "BB": ["Bridgetown"],
    "LC": ["Castries", "Vieux Fort"],
    "VC": ["Kingstown"],
    "GD": ["St. George's"],
    "AG": ["St. John's"],
}
ITEMS = {
    "Pistol": "Pistol",
    "Revolver": "Revolver",
    "Rifle": "Rifle",
    "Shotgun": "Shotgun",
    "Submachine gun": "SMG",
    "Other": "Home-made gun",
}
ROUNDS = {
    "9mm": "9x19mm",
    ".38 SPL": ".38 Special",
    "5.56x45mm": "5.56x45mm",
    "7.62x39mm": "7.62x39mm",
    "12 GA": "12 gauge",
}


class Register:
    """Builds one agency's register seizure by seizure until it has its rows."""

    def __init__(self, agency: str, rows: int) -> None:
        self.agency = agency
        self.wanted = rows
        self.draw = Draw(f"{agency} seizures")
        self.people = People(self.draw, "en")
        self.spanish = People(self.draw, "es")
        self.table = Table(list(COLUMNS), encoding="cp1252")
        self.starts: list[int] = []

    def build(self) -> Table:
        while len(self.table.rows) < self.wanted:
            self.starts.append(len(self.table.rows))
            items = self._items()[: self.wanted - len(self.table.rows)]
            head = self._head(len(self.starts))
            person = self._person()
            for number, item in enumerate(items):
                row = {**head, **item}
                if number and self.draw.chance(30):
                    row.update(dict.fromkeys(HEAD[2:], ""))  # some clerks fill the head only once
                    row.update(item)
                if person and (number == 0 or self.draw.chance(60)):
                    row.update(person)
                row["Entered By"] = f"{self.agency}-{self.draw.between(100, 140)}"
                self.table.rows.append(row)
        return self.table

    def _head(self, number: int) -> dict[str, str]:
        draw = self.draw
        year = draw.between(2021, 2025)
        day = draw.day(date(year, 1, 1), date(year, 12, 31))
        border = draw.chance(22)
        head = {
            "Seizing Agency": self.agency,
            "CR No": f"{self.agency}/{year}/{number:04d}",
            "Seized At": f"{day:%d/%m/%Y} {draw.between(0, 23):02d}:{draw.one(['00', '15', '30', '40'])}",
            "Acquisition": draw.weighted({"Seized": 84.0, "Found": 12.0, "Surrendered": 4.0}),
            "Place Type": draw.one(["Port", "Airport", "Vessel", "Postal"]) if border else "Inland",
            "Offence": "Customs" if border else draw.one(["Possession", "Possession", "Violence", "Drugs", "Gang"]),
            "Status": draw.weighted({"Confirmed": 70.0, "Preliminary": 20.0, "Closed": 10.0}),
            **self._place(),
        }
        if border:
            head.update(self._route())
        if draw.chance(12):
            head["Other Goods"] = draw.one(["Cannabis 2.4 kg", "Cash TTD 14,500; two mobile phones", "Cocaine 310 g"])
        if draw.chance(15):
            head["Operation"] = f"Operation {self.people.surname()}"
        if draw.chance(25):
            head["Warrant"] = f"SW-{draw.digits(5)}"
        return head

    def _place(self) -> dict[str, str]:
        draw = self.draw
        if self.agency == "TTPS":
            region = draw.one(list(TOWNS))
            place = {"Country": "TT", "Region": region, "Town": draw.one(TOWNS[region])}
            if draw.chance(20):
                place.update({"Latitude": f"10.{draw.digits(4)}", "Longitude": f"-61.{draw.digits(4)}"})
        else:
            country = draw.one(list(ISLANDS))
            place = {"Country": country, "Region": "", "Town": draw.one(ISLANDS[country])}
        if draw.chance(50):
            place["Address"] = f"{draw.between(1, 90)} {self.people.surname()} Street"
        return place

    def _route(self) -> dict[str, str]:
        draw = self.draw
        sea = draw.chance(55)
        return {
            "Origin": draw.weighted({"US": 85.0, "VE": 12.0, "CO": 3.0}),
            "Departed From": draw.one(["US", "VE", "BB"]),
            "Transit": draw.one(["", "BB", "BB/GD"]),
            "Destination": "TT",
            "Transport": "Sea" if sea else draw.one(["Air", "Post", "Courier"]),
            "Vessel or Vehicle": f"MV {self.people.surname()}" if sea else "",
            "Container No": f"{draw.letters(3)}U{draw.digits(7)}" if sea and draw.chance(60) else "",
            "Concealment": draw.one(
                ["In a barrel of clothes", "Inside a speaker box", "Behind a false wall, 40cm deep"]
            ),
            "Manifest": f"BL{draw.digits(8)}",
        }

    def _person(self) -> dict[str, str]:
        draw = self.draw
        if not draw.chance(62):
            return {}
        venezuelan = draw.chance(18)
        people = self.spanish if venezuelan else self.people
        return {
            "Person": people.full(),
            "Date of Birth": people.birth().strftime("%d/%m/%Y") if draw.chance(80) else "UNK",
            "Sex": "M" if draw.chance(92) else "F",
            "Nationality": "VE" if venezuelan else "TT",
            "Person Address": f"{draw.between(1, 60)} {people.surname()} Trace" if draw.chance(70) else "",
            "Gang": f"{people.surname()} Seven" if draw.chance(9) else "",
        }

    def _items(self) -> list[dict[str, str]]:
        draw = self.draw
        items: list[dict[str, str]] = []
        count = draw.weighted({0: 12.0, 1: 62.0, 2: 14.0, 3: 8.0, 5: 4.0})
        items += [_gun(draw, draw_firearm(draw, {**SEIZED_TT, "Other": 60.0})) for _ in range(count)]
        caliber = items[0]["Calibre"] if items else "9mm"
        if not items or draw.chance(70):
            rounds = draw.between(1, 40) if draw.chance(93) else draw.between(400, 2500)
            items.append({"Item": "Ammunition", "Calibre": ROUNDS.get(caliber, caliber), "Quantity": f"{rounds:,}"})
        if draw.chance(45):
            items.append(
                {"Item": "Magazine", "Capacity": draw.one(["15", "17", "30"]), "Quantity": str(draw.between(1, 4))}
            )
        if draw.chance(7):
            items.append(
                {"Item": draw.one(["Conversion device", "Slide", "Frame", "Kit"]), "Quantity": str(draw.between(1, 6))}
            )
        return items


def _gun(draw: Draw, firearm: Firearm) -> dict[str, str]:
    return {
        "Item": ITEMS[firearm.kind],
        "Make": "" if firearm.kind == "Other" else firearm.model.make,
        "Model": firearm.model.model,
        "Calibre": firearm.model.caliber,
        "Serial No": firearm.serial,
        "Made In": firearm.model.origin,
        "Conversion Device": "Y" if draw.chance(0.5) else "N",
    }


def legible_guns(count: int) -> list[dict[str, str]]:
    """Firearms of Trinidad and Tobago's register whose number is clean, as a list of stolen firearms has them."""
    rows = Register("TTPS", TTPS_ROWS).build().rows
    clean = [row for row in rows if row["Item"] in ("Pistol", "Revolver", "Rifle") and row["Serial No"].isalnum()]
    clean = [row for row in clean if len(set(row["Serial No"])) > 3 and row["Serial No"].isupper()]
    return [
        {
            "Serial No": row["Serial No"],
            "Make": row["Make"],
            "Model": row["Model"],
            "Calibre": row["Calibre"],
            "Type": row["Item"],
            "Made In": row["Made In"],
            "Action": "Enter",
        }
        for row in clean[3 :: len(clean) // count][:count]
    ]


def _groups(register: Register) -> list[range]:
    ends = [*register.starts[1:], len(register.table.rows)]
    return [range(start, end) for start, end in zip(register.starts, ends, strict=True)]


def make_ttps() -> MadeFile:
    register = Register("TTPS", TTPS_ROWS)
    table = register.build()
    groups = _groups(register)
    refused = _spoil_ttps(table, groups)
    return MadeFile(
        "TTPS/seizures.csv",
        table.encode(),
        "seizure-register",
        len(table.rows),
        len(groups) - refused,
        table.bad,
        "Trinidad and Tobago Police Service: seizure register, Windows-1252, several rows to one seizure",
    )


def _spoil_ttps(table: Table, groups: list[range]) -> int:
    """One bad row holds back its whole seizure. Returns how many seizures are refused."""
    large = [group for group in groups if len(group) >= 3]
    spoils = [
        ("Seized At", "12/13/2024 10:00", "row.date"),
        ("Item", "Cannon", "row.kind_unknown"),
        ("Country", "Trinidad", "row.code_unknown"),
        ("Quantity", "1.5", "row.number"),
    ]
    used = []
    for number, (column, value, code) in enumerate(spoils):
        group = next(g for g in large[10 + 12 * number :] if _fits(table, g, column))
        index = _row_for(table, group, column)
        table.spoil(index, column, value, code)
        for other in group:
            if other != index:
                table.expect(other, "row.group_incomplete")
        used.append(group)
    conflict = large[80]
    table.spoil(conflict[1], "Seized At", "01/01/2020 00:00", "row.group_conflict")
    table.rows[conflict[0]]["Seized At"] = "02/01/2020 00:00"
    for other in conflict:
        if other != conflict[1]:
            table.expect(other, "row.group_incomplete")
    table.bad.sort(key=lambda bad: bad.row)
    return len(used) + 1


def _fits(table: Table, group: range, column: str) -> bool:
    return column != "Quantity" or any(table.rows[i]["Item"] in ("Ammunition", "Magazine") for i in group)


def _row_for(table: Table, group: range, column: str) -> int:
    if column == "Quantity":
        return next(i for i in group if table.rows[i]["Item"] in ("Ammunition", "Magazine"))
    if column in ("Seized At", "Country"):
        for index in group[1:]:
            table.rows[index][column] = ""
        return group[0]
    return group[1]


def make_rss() -> MadeFile:
    register = Register("RSS", RSS_ROWS)
    table = register.build()
    return MadeFile(
        "RSS/seizures.csv",
        table.encode(),
        "seizure-register",
        len(table.rows),
        len(register.starts),
        table.bad,
        "Regional Security System: seizure register of its member states",
    )
