"""Export screening lists: CBP's and BIS's referrals.

The codes are those of the public lists (HTS 9301 to 9306, ECCN 0A501 to 0A509). The tiers of the real schemes are not
public, so these lists have two schemes of their own.
"""

from __future__ import annotations

from datetime import date, timedelta

from examples.generator.draw import Draw, People
from examples.generator.tables import MadeFile, Table

CBP_ROWS = 320
BIS_ROWS = 60
COLUMNS = [
    "Scheme",
    "Referral No",
    "Referred On",
    "Tier",
    "ITN",
    "Indicators",
    "HTS",
    "ECCN",
    "USML",
    "License Code",
    "License No",
    "Declared Description",
    "Qty",
    "Unit",
    "Value (USD)",
    "Shipping Weight (kg)",
    "USPPI Name",
    "USPPI Type",
    "USPPI Address",
    "USPPI Country",
    "Consignee Name",
    "Consignee Type",
    "Consignee Address",
    "Destination",
    "Consignee Phone",
    "Intermediate Consignee",
    "Forwarder",
    "Carrier",
    "Mode",
    "Port of Export",
    "Foreign Port of Unlading",
    "ETA",
    "Action",
    "Analyst Notes",
]
DESTINATIONS = {"JM": 30.0, "HT": 22.0, "TT": 20.0, "BS": 12.0, "DO": 8.0, "BB": 5.0, "LC": 3.0}
UNLADING = {"JM": "24118", "HT": "24542", "TT": "27424", "BS": "23645", "DO": "24741", "BB": "27201", "LC": "26101"}
PORTS = {"5201": 46.0, "5203": 18.0, "5206": 22.0, "1803": 6.0, "1703": 8.0}
DECLARED = {
    "HOUSEHOLD GOODS": ("9999999999", "", 30.0),
    "USED CLOTHING AND SHOES": ("6309000010", "", 18.0),
    "AUTO PARTS": ("8708998180", "", 14.0),
    "KITCHEN APPLIANCES": ("8516797000", "", 9.0),
    "SPORTING GOODS ACCESSORIES": ("9305992000", "0A501.X", 8.0),
    "PISTOL MAGAZINES": ("9305100020", "0A501.D", 6.0),
    "FIREARM PARTS": ("9305100080", "0A501.C", 5.0),
    "SMALL ARMS AMMUNITION": ("9306304120", "0A505", 5.0),
    "POWER TOOLS": ("8467210010", "", 5.0),
}
INDICATORS = [
    "First shipment of this consignee",
    "Value does not fit the weight",
    "Consignee's address is a freight forwarder",
    "Paid in cash at the counter",
    "Image shows a dense mass",
    "Repeated purchases of magazines by the shipper",
    "Consignee's phone stands in an earlier seizure",
]


def make_cbp() -> MadeFile:
    table = _list("CBP", "SCREEN-A", CBP_ROWS)
    table.spoil(31, "ITN", "X2024", "row.field")
    table.spoil(77, "Referred On", "25/12/2024", "row.date")
    table.spoil(120, "Value (USD)", "1.234,50", "row.number", "Value USD")
    table.spoil(188, "HTS", "9305.10.00.20", "row.field")
    table.spoil(204, "Action", "Seize", "row.code_unknown")
    table.rows[205]["USPPI Name"] = "=2+5 TRADING"
    table.rows[206]["Consignee Address"] = 'Unit 7,\n"Old Mill"\nGordon Town'
    return _made(table, "CBP/export-screening.csv", "Customs and Border Protection: shipments that screening referred")


def make_bis() -> MadeFile:
    table = _list("BIS", "LICENCE-CHECK", BIS_ROWS)
    table.spoil(9, "ECCN", "0A599", "row.code_unknown")
    table.spoil(44, "Tier", "high", "row.number")
    return _made(
        table, "BIS/licence-checks.csv", "Bureau of Industry and Security: shipments that licence checks referred"
    )


def _made(table: Table, path: str, what: str) -> MadeFile:
    rows = len(table.rows)
    return MadeFile(path, table.encode(), "export-screening", rows, rows - len(table.bad), table.bad, what)


def _list(agency: str, scheme: str, rows: int) -> Table:
    draw = Draw(f"{agency} referrals")
    people = People(draw, "en")
    table = Table(list(COLUMNS), line_end="\n")
    for number in range(rows):
        table.rows.append(_row(draw, people, agency, scheme, number))
    return table


def _row(draw: Draw, people: People, agency: str, scheme: str, number: int) -> dict[str, str]:
    referred = draw.day(date(2024, 1, 1), date(2025, 12, 20))
    country = draw.weighted(DESTINATIONS)
    described = draw.weighted({text: weight for text, (_, _, weight) in DECLARED.items()})
    hts, eccn, _ = DECLARED[described]
    mode = draw.weighted({"Air": 48.0, "Vessel": 36.0, "Courier": 11.0, "Mail": 5.0})
    filed = agency == "BIS" or draw.chance(70)
    licensed = bool(eccn) and (agency == "BIS" or draw.chance(30))
    row = {
        "Scheme": scheme,
        "Referral No": f"{agency}-{referred.year}-{number + 1:05d}",
        "Referred On": referred.strftime("%m/%d/%Y"),
        "Tier": str(draw.weighted({1: 12.0, 2: 33.0, 3: 55.0})),
        "ITN": f"X{referred:%Y%m%d}{draw.digits(6)}" if filed else "",
        "Indicators": "; ".join(dict.fromkeys(draw.one(INDICATORS) for _ in range(draw.between(1, 3)))),
        "HTS": hts,
        "ECCN": eccn,
        "License Code": "C33" if licensed else "",
        "License No": f"D{draw.digits(6)}" if licensed else "",
        "Declared Description": described,
        "Qty": str(draw.between(1, 60)),
        "Unit": "NO",
        "Value (USD)": f"{draw.between(40, 9800):,}.{draw.digits(2)}",
        "Shipping Weight (kg)": f"{draw.between(1, 420)}.{draw.digits(1)}",
        "Destination": country,
        "Carrier": f"{people.surname()} {'Lines' if mode == 'Vessel' else 'Cargo'}",
        "Mode": mode,
        "Port of Export": draw.weighted(PORTS),
        "Foreign Port of Unlading": UNLADING[country] if mode == "Vessel" else "",
        "ETA": f"{referred + timedelta(days=draw.between(1, 14)):%m/%d/%Y} {draw.between(0, 23):02d}:00",
        "Action": draw.weighted({"Examine": 60.0, "Hold": 22.0, "Monitor": 15.0, "Controlled delivery": 3.0}),
        "Analyst Notes": draw.one(["", "", "see image", "2nd this month"]),
    }
    row.update(_parties(draw, people))
    return row


def _parties(draw: Draw, people: People) -> dict[str, str]:
    person = draw.chance(72)
    cells = {
        "USPPI Name": people.full() if person else f"{people.surname()} Trading LLC",
        "USPPI Type": "Individual" if person else draw.one(["Business", "Reseller"]),
        "USPPI Address": f"{draw.between(100, 9900)} NW {draw.between(10, 99)} St, Miami FL",
        "USPPI Country": "US",
        "Consignee Name": people.full() if draw.chance(80) else f"{people.surname()} Enterprises",
        "Consignee Type": draw.one(["Individual", "Individual", "Direct consumer", "Business"]),
        "Consignee Address": f"{draw.between(1, 140)} {people.surname()} Avenue",
        "Consignee Phone": f"+1 876 555 {draw.digits(4)}",
    }
    if draw.chance(15):
        cells["Intermediate Consignee"] = f"{people.surname()} Freight"
    if draw.chance(60):
        cells["Forwarder"] = f"{people.surname()} Shipping Inc"
    return cells
