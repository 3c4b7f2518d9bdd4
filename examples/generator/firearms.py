"""Firearms in the proportions of what is traced and seized in the Caribbean, with the troubles of their serial numbers.

Types 2020-21: 72.1 % pistols, 12.7 revolvers, 8.0 rifles, 4.7 shotguns, 2.5 other (newsday.co.tt, 26 April 2023).
Trinidad and Tobago's seizures 2017-21: 2,309 pistols, 1,016 revolvers, 247 rifles, 408 shotguns, 83 submachine guns
(newsday.co.tt, 6 May 2023), where Glock, Taurus, Beretta and Smith & Wesson lead. Calibres: no table was found for the
Caribbean; 9 mm is taken to lead.
"""

from __future__ import annotations

from dataclasses import dataclass

from examples.generator.draw import Draw

TRACED = {"Pistol": 72.1, "Revolver": 12.7, "Rifle": 8.0, "Shotgun": 4.7, "Other": 2.5}
SEIZED_TT = {"Pistol": 2309.0, "Revolver": 1016.0, "Rifle": 247.0, "Shotgun": 408.0, "Submachine gun": 83.0}


@dataclass(frozen=True)
class Model:
    """A maker's model. ``serial``: A a letter, 9 a digit, anything else itself."""

    make: str
    model: str
    caliber: str
    origin: str
    serial: str
    weight: float
    ncic: str = ""
    importer: str = ""


MODELS: dict[str, list[Model]] = {
    "Pistol": [
        Model("GLOCK", "19", "9mm", "AT", "AAAA999", 16, "GLC", "GLOCK INC, SMYRNA GA"),
        Model("GLOCK", "17", "9mm", "AT", "AAA999", 10, "GLC", "GLOCK INC, SMYRNA GA"),
        Model("GLOCK", "43X", "9mm", "US", "AAAA999", 5, "GLD"),
        Model("GLOCK", "22", ".40 S&W", "AT", "AAA999", 5, "GLC", "GLOCK INC, SMYRNA GA"),
        Model("TAURUS", "G2C", "9mm", "BR", "AAA999999", 12, "", "TAURUS INT'L, BAINBRIDGE GA"),
        Model("TAURUS", "G3C", "9mm", "BR", "ACA999999", 7, "", "TAURUS INT'L, BAINBRIDGE GA"),
        Model("SMITH & WESSON", "SD9 VE", "9mm", "US", "FAA9999", 8),
        Model("SMITH & WESSON", "M&P SHIELD", "9mm", "US", "AAA9999", 6),
        Model("BERETTA", "92FS", "9mm", "IT", "A99999Z", 6, "", "BERETTA USA, ACCOKEEK MD"),
        Model("RUGER", "LCP", ".380 ACP", "US", "37-999999", 5),
        Model("RUGER", "EC9S", "9mm", "US", "45-999999", 3),
        Model("SCCY", "CPX-2", "9mm", "US", "9999999", 4),
        Model("SPRINGFIELD", "XD-9", "9mm", "HR", "AT999999", 3, "", "SPRINGFIELD INC, GENESEO IL"),
        Model("SIG SAUER", "P320", "9mm", "US", "58A999999", 3),
        Model("CANIK", "TP9", "9mm", "TR", "T9999-99 A 99999", 3, "", "CENTURY ARMS, GEORGIA VT"),
        Model("BERSA", "THUNDER 380", ".380 ACP", "AR", "A99999", 2, "AEI", "EAGLE IMPORTS, WANAMASSA NJ"),
        Model("COLT", "1911", ".45 ACP", "US", "999999A70", 2),
    ],
    "Revolver": [
        Model("SMITH & WESSON", "10", ".38 SPL", "US", "AAA9999", 34),
        Model("TAURUS", "82", ".38 SPL", "BR", "AA999999", 26),
        Model("ROSSI", "R461", ".357 MAG", "BR", "AA999999", 12),
        Model("ARMSCOR", "206", ".38 SPL", "PH", "A999999", 10),
        Model("RUGER", "GP100", ".357 MAG", "US", "17-999999", 8),
        Model("COLT", "DETECTIVE", ".38 SPL", "US", "A99999", 6),
    ],
    "Rifle": [
        Model("CENTURY ARMS", "VSKA", "7.62x39mm", "US", "SV7999999", 22),
        Model("ZASTAVA", "ZPAP M70", "7.62x39mm", "RS", "Z70-999999", 18, "", "ZASTAVA USA, DES PLAINES IL"),
        Model("WASR", "10/63", "7.62x39mm", "RO", "A1-99999-99", 16, "", "CENTURY ARMS, GEORGIA VT"),
        Model("ANDERSON", "AM-15", "5.56x45mm", "US", "99999999", 16),
        Model("PALMETTO", "PA-15", "5.56x45mm", "US", "PA999999", 14),
        Model("RUGER", "10/22", ".22 LR", "US", "0013-99999", 6),
    ],
    "Shotgun": [
        Model("MOSSBERG", "500", "12 GA", "US", "A999999", 40),
        Model("MAVERICK", "88", "12 GA", "US", "MV9999999", 25),
        Model("WINCHESTER", "SXP", "12 GA", "TR", "12AZX999999", 10, "", "WINCHESTER, MORGAN UT"),
        Model("REMINGTON", "870", "12 GA", "US", "AA999999A", 20),
    ],
    "Submachine gun": [
        Model("INTRATEC", "TEC-9", "9mm", "US", "999999", 50),
        Model("COBRAY", "M-11", "9mm", "US", "89-0099999", 50),
    ],
    "Other": [Model("UNKNOWN", "", "9mm", "", "", 60), Model("UNKNOWN", "", "12 GA", "", "", 40)],
}


@dataclass(frozen=True)
class Firearm:
    """A firearm as a register writes it. ``serial`` is the cell; ``number`` the number behind it."""

    kind: str
    model: Model
    serial: str
    number: str
    privately_made: bool

    @property
    def obliterated(self) -> bool:
        return self.serial in WORDS["en"]["obliterated"] + WORDS["fr"]["obliterated"]


WORDS = {
    "en": {
        "none": ["NONE", "NO SERIAL", "NIL"],
        "obliterated": ["OBLITERATED", "FILED OFF", "GROUND OFF", "DEFACED"],
        "restored": ["(RESTORED)"],
    },
    "fr": {
        "none": ["AUCUN", "SANS NUMÉRO"],
        "obliterated": ["EFFACÉ", "LIMÉ", "MEULÉ"],
        "restored": ["(RESTAURÉ)"],
    },
}

TROUBLES = {
    "clean": 79.0,
    "lower": 2.0,
    "spaced": 2.5,
    "letter_o": 2.0,
    "unread": 4.0,
    "obliterated": 5.5,
    "restored": 2.0,
    "restored_in_part": 0.7,
    "suspect": 0.8,
    "outer_spaces": 1.5,
}
"""Percent. Of all US traces of 1999 some 11 % failed by the serial number; NCIC's manuals describe these troubles."""


def draw_number(draw: Draw, model: Model) -> str:
    """A serial number in the maker's form."""
    return "".join(draw.letters(1) if sign == "A" else draw.digits(1) if sign == "9" else sign for sign in model.serial)


def draw_firearm(draw: Draw, kinds: dict[str, float], language: str = "en") -> Firearm:
    kind = draw.weighted(kinds)
    model = draw.weighted({model: model.weight for model in MODELS[kind]})
    words = WORDS[language]
    if kind == "Other":
        return Firearm(kind, model, draw.one(words["none"]), "", privately_made=True)
    number = draw_number(draw, model)
    return Firearm(kind, model, _trouble(draw, number, words), number, privately_made=False)


def _trouble(draw: Draw, number: str, words: dict[str, list[str]]) -> str:
    """What the register has instead of the clean number."""
    trouble = draw.weighted(TROUBLES)
    if trouble == "lower":
        return number.lower()
    if trouble == "spaced":
        middle = len(number) // 2
        return number[:middle] + draw.one([" ", "-", " - ", "."]) + number[middle:]
    if trouble == "letter_o":
        return number.replace("0", "O")
    if trouble == "unread":
        return _hide(draw, number, draw.between(1, 3))
    if trouble == "obliterated":
        return draw.one(words["obliterated"])
    if trouble == "restored":
        return f"{number} {words['restored'][0]}"
    if trouble == "restored_in_part":
        return f"{_hide(draw, number, 1)} {words['restored'][0]}"
    if trouble == "suspect":
        return draw.one(["0000000", "111111", "XXXXXX", "9999999"])
    if trouble == "outer_spaces":
        return f" {number}  "
    return number


def _hide(draw: Draw, number: str, count: int) -> str:
    sign = draw.one("?*_")
    shown = list(number)
    for _ in range(count):
        shown[draw.below(len(shown))] = sign
    return "".join(shown)
