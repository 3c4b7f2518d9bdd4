"""Trace registers: Jamaica's in English, Haiti's in French. Years in the proportions of ATF's traces of 2020 to 2024
(hemisphericavg.com, citing ATF: Jamaica 472, 576, 473, 276, 606; Haiti 81, 125, none published, none, 46)."""

from __future__ import annotations

from datetime import date

from examples.generator.draw import Draw, People
from examples.generator.firearms import TRACED, Firearm, draw_firearm
from examples.generator.tables import MadeFile, Table

JAMAICA_YEARS = {2020: 472.0, 2021: 576.0, 2022: 473.0, 2023: 276.0, 2024: 606.0}
HAITI_YEARS = {2020: 81.0, 2021: 125.0, 2022: 90.0, 2023: 70.0, 2024: 46.0}
JAMAICA_ROWS = 1200
HAITI_ROWS = 400

PARISHES = {
    "Kingston": ["Tivoli", "Rae Town", "Allman Town"],
    "St. Andrew": ["Half Way Tree", "Grants Pen", "Papine"],
    "St. Catherine": ["Spanish Town", "Portmore", "Linstead"],
    "St. James": ["Montego Bay", "Flanker", "Cambridge"],
    "Clarendon": ["May Pen", "Lionel Town"],
    "Westmoreland": ["Savanna-la-Mar", "Grange Hill"],
    "Manchester": ["Mandeville"],
}
DEPARTMENTS = {
    "Ouest": ["Port-au-Prince", "Carrefour", "Delmas", "Croix-des-Bouquets"],
    "Artibonite": ["Gonaïves", "Saint-Marc"],
    "Nord": ["Cap-Haïtien", "Limbé"],
    "Sud": ["Les Cayes"],
    "Nord-Est": ["Ouanaminthe"],
}
CRIMES = {"5212": 60.0, "0911": 14.0, "5202": 12.0, "0903": 6.0, "5801": 5.0, "5214": 3.0}

ENGLISH = [
    "Priority",
    "Urgent Justification",
    "NCIC Crime Code",
    "Project Code",
    "Special Instructions",
    "ORI",
    "Requesting Officer",
    "Badge No",
    "Unit",
    "E-mail",
    "Agency Case No",
    "Item No",
    "Serial Number",
    "Serial Location",
    "Other Numbers",
    "Serial Removed By",
    "Restoration",
    "Manufacturer",
    "NCIC Make",
    "Type of Firearm",
    "Caliber",
    "Model",
    "Country of Origin",
    "Importer",
    "Additional Markings",
    "Privately Made",
    "Possessor",
    "Possessor Alias",
    "Possessor DOB",
    "Possessor Sex",
    "Possessor Nationality",
    "Possessor Address",
    "Gang",
    "Associate",
    "Date Recovered",
    "Recovery Country",
    "Recovery Parish",
    "Recovery Town",
    "Recovery Address",
    "Remarks",
]
FRENCH = [
    "ORI",
    "N° dossier",
    "Pièce",
    "Priorité",
    "Motif d'urgence",
    "Code NCIC",
    "Instructions",
    "Enquêteur",
    "Matricule",
    "Service",
    "N° de série",
    "Mode d'effacement",
    "Marque",
    "Code fabricant",
    "Modèle",
    "Calibre",
    "Type d'arme",
    "Pays d'origine",
    "Importateur",
    "Autres marques",
    "Fabrication artisanale",
    "Détenteur",
    "Dit",
    "Né le",
    "Sexe",
    "Nationalité",
    "Domicile",
    "Bande",
    "Date de saisie",
    "Département",
    "Commune",
    "Observations",
]


def make_jamaica() -> MadeFile:
    draw = Draw("JCF traces")
    people = People(draw, "en")
    officers = [(people.full(), f"{draw.between(4000, 19999)}") for _ in range(24)]
    table = Table(list(ENGLISH), mark=True)
    for number in range(JAMAICA_ROWS):
        table.rows.append(_english_row(draw, people, officers, number))
    _colour_jamaica(table)
    _spoil_jamaica(table)
    return MadeFile(
        "JCF/traces-2020-2024.csv",
        table.encode(),
        "etrace-register",
        JAMAICA_ROWS,
        JAMAICA_ROWS - len(table.bad),
        table.bad,
        "Jamaica Constabulary Force: trace register, English, UTF-8 with the mark that Excel writes",
    )


def _english_row(draw: Draw, people: People, officers: list[tuple[str, str]], number: int) -> dict[str, str]:
    year = draw.weighted(JAMAICA_YEARS)
    recovered = draw.day(date(year, 1, 1), date(year, 12, 31))
    firearm = draw_firearm(draw, TRACED)
    parish = draw.one(list(PARISHES))
    officer, badge = draw.one(officers)
    urgent = draw.chance(3)
    row = {
        "Priority": "Urgent" if urgent else "Routine",
        "Urgent Justification": "Homicide, suspect in custody" if urgent else "",
        "NCIC Crime Code": draw.weighted(CRIMES),
        "Project Code": draw.one(["", "", "", "FIREARMS INTERDICTION"]),
        "ORI": "JMJCF0000",
        "Requesting Officer": officer,
        "Badge No": badge,
        "Unit": draw.one(["C-TOC", "Firearms and Ballistics", "Area 1 CIB", "Area 5 CIB"]),
        "E-mail": f"trace.desk{badge}@jcf.example",
        "Agency Case No": f"FB/{number // 3 + 1:04d}/{year % 100}",
        "Item No": str(number % 3 + 1),
        "Caliber": firearm.model.caliber,
        "Type of Firearm": firearm.kind,
        "Country of Origin": firearm.model.origin,
        "Importer": firearm.model.importer,
        "Privately Made": "Y" if firearm.privately_made else "N",
        "Date Recovered": recovered.strftime("%d/%m/%Y"),
        "Recovery Country": "JM",
        "Recovery Parish": parish,
        "Recovery Town": draw.one(PARISHES[parish]),
        "Recovery Address": f"{draw.between(1, 180)} {people.surname()} Road" if draw.chance(60) else "",
        "Manufacturer": firearm.model.make,
        "NCIC Make": firearm.model.ncic,
        "Model": firearm.model.model,
    }
    row.update(_english_serial(draw, firearm))
    if draw.chance(70):
        row.update(_english_possessor(draw, people))
    return row


def _english_serial(draw: Draw, firearm: Firearm) -> dict[str, str]:
    cells = {"Serial Number": firearm.serial, "Serial Location": draw.one(["Frame", "Frame", "Receiver", "Slide"])}
    if firearm.obliterated:
        cells["Serial Removed By"] = draw.one(["Ground", "Ground", "Scratched", "Drilled", "Overstamped"])
        cells["Restoration"] = draw.one(["Not tried", "Acid", "Magnaflux"])
    if draw.chance(6) and firearm.number:
        cells["Other Numbers"] = f"SLIDE {draw.letters(2)}{draw.digits(4)}; BARREL {draw.digits(5)}"
    return cells


def _english_possessor(draw: Draw, people: People) -> dict[str, str]:
    cells = {
        "Possessor": people.full(),
        "Possessor DOB": people.birth().strftime("%d/%m/%Y") if draw.chance(85) else "UNK",
        "Possessor Sex": "M" if draw.chance(93) else "F",
        "Possessor Nationality": "JM" if draw.chance(94) else draw.one(["HT", "US", "TT"]),
        "Possessor Address": f"{draw.between(1, 99)} {people.surname()} Lane, {draw.one(PARISHES['St. Catherine'])}",
    }
    if draw.chance(20):
        cells["Possessor Alias"] = people.given()
    if draw.chance(8):
        cells["Gang"] = f"{people.surname()} Crew"
    if draw.chance(10):
        cells["Associate"] = people.full()
    return cells


def _colour_jamaica(table: Table) -> None:
    """What is unusual and right all the same: it must arrive as it is."""
    rows = table.rows
    rows[14]["Special Instructions"] = '=HYPERLINK("http://intranet.example/case","see file")'
    rows[15]["Special Instructions"] = "+1 876 555 0100 call before sending; -2 attachments; @desk"
    rows[40]["Recovery Address"] = 'Shop 4\r\n"Bullseye" Plaza\r\nHagley Park Road'
    rows[41]["Additional Markings"] = 'Slide: "BERETTA, GARDONE V.T."; proof marks'
    rows[77]["Possessor Alias"] = 'O\'Bri; "Shotta", the elder'
    rows[120]["Additional Markings"] = "Ligne\u2028separator and a no-break\u00a0space"
    rows[300]["Serial Number"] = "369J257"
    rows[301]["Serial Number"] = "369257"
    rows[300]["Manufacturer"] = rows[301]["Manufacturer"] = "STAR"
    rows[300]["NCIC Make"] = rows[301]["NCIC Make"] = "STA"
    for index in (300, 301):
        rows[index].update({"Serial Removed By": "", "Restoration": "", "Privately Made": "N", "Model": "BM"})


def _spoil_jamaica(table: Table) -> None:
    table.spoil(23, "Date Recovered", "31/02/2023", "row.date", "Recovery Date")
    table.spoil(59, "Date Recovered", "2024-03-04", "row.date", "Recovery Date")
    table.spoil(88, "Type of Firearm", "Pistoll", "row.code_unknown", "Weapon Type")
    table.spoil(131, "NCIC Crime Code", "9999", "row.code_unknown")
    table.spoil(177, "Requesting Officer", "", "row.cell_missing")
    table.spoil(240, "ORI", "", "row.key_missing")
    table.spoil(333, "Recovery Country", "Jamaica", "row.code_unknown")
    table.spoil(402, "Serial Number", "OBLITERATED", "row.field", "Serial Removed By")
    table.rows[402].update({"Serial Removed By": "", "Restoration": ""})
    table.rows[511] = {**table.rows[510], "Caliber": ".45 ACP", "Model": "RE-ENTERED"}
    table.expect(511, "row.key_repeated", "ORI, Agency Case No, Item No")
    table.spoil(600, "ORI", "JM-JCF", "row.field")
    table.rows[655]["Possessor"] = "Name, with commas"
    table.spoil_text(655, lambda text: text.replace('"', "").encode(), "row.columns")
    table.spoil_text(700, lambda text: b'"' + text.encode(), "row.quote")
    table.spoil_text(777, lambda text: text.replace("JM,", "J\x00M,", 1).encode(), "row.control_character")
    table.bad[-1].column = "Recovery Country"
    table.rows[840]["Recovery Town"] = "Grand Bouléa"
    table.spoil_text(840, lambda text: text.encode("cp1252"), "row.encoding", "Recovery Town")
    table.spoil(999, "Privately Made", "MAYBE", "row.boolean")


def make_haiti() -> MadeFile:
    draw = Draw("HNP traces")
    people = People(draw, "fr")
    table = Table(list(FRENCH), delimiter=";", encoding="cp1252")
    for number in range(HAITI_ROWS):
        table.rows.append(_french_row(draw, people, number))
    _spoil_haiti(table)
    return MadeFile(
        "HNP/registre-tracage.csv",
        table.encode(),
        "etrace-register-fr",
        HAITI_ROWS,
        HAITI_ROWS - len(table.bad),
        table.bad,
        "Haitian National Police: trace register, French, Windows-1252, semicolons",
    )


_KINDS_FR = {
    "Pistol": "Pistolet",
    "Revolver": "Revolver",
    "Rifle": "Fusil",
    "Shotgun": "Fusil à pompe",
    "Other": "Autre",
}
_CALIBERS_FR = {
    "9mm": "9 mm",
    ".380 ACP": ".380",
    ".38 SPL": ".38",
    ".357 MAG": ".357",
    ".40 S&W": ".40",
    ".45 ACP": ".45",
    ".22 LR": ".22",
    "5.56x45mm": "5,56 mm",
    "7.62x39mm": "7,62 mm",
    "12 GA": "Cal. 12",
}
HAITI_MIX = {**TRACED, "Rifle": 24.0, "Pistol": 58.0}
"""More rifles than in the region's mix."""


def _french_row(draw: Draw, people: People, number: int) -> dict[str, str]:
    year = draw.weighted(HAITI_YEARS)
    recovered = draw.day(date(year, 1, 1), date(year, 12, 31))
    firearm = draw_firearm(draw, HAITI_MIX, "fr")
    department = draw.one(list(DEPARTMENTS))
    row = {
        "ORI": "HTPNH0000",
        "N° dossier": f"DCPJ-{year}-{number + 1:04d}",
        "Pièce": "1",
        "Priorité": "Urgente" if draw.chance(5) else "Normale",
        "Code NCIC": draw.weighted(CRIMES),
        "Enquêteur": people.full(),
        "Matricule": f"{draw.between(10000, 29999)}",
        "Service": draw.one(["DCPJ", "BLTS", "BRI"]),
        "N° de série": firearm.serial,
        "Mode d'effacement": draw.one(["Meulage", "Rayures", "Perçage"]) if firearm.obliterated else "",
        "Marque": firearm.model.make,
        "Code fabricant": firearm.model.ncic,
        "Modèle": firearm.model.model,
        "Calibre": _CALIBERS_FR.get(firearm.model.caliber, firearm.model.caliber),
        "Type d'arme": _KINDS_FR[firearm.kind],
        "Pays d'origine": firearm.model.origin,
        "Importateur": firearm.model.importer,
        "Fabrication artisanale": "OUI" if firearm.privately_made else "NON",
        "Date de saisie": recovered.strftime("%d.%m.%Y"),
        "Département": department,
        "Commune": draw.one(DEPARTMENTS[department]),
    }
    if row["Priorité"] == "Urgente":
        row["Motif d'urgence"] = "Enlèvement, otage en danger"
    if draw.chance(55):
        row.update(
            {
                "Détenteur": people.full(),
                "Né le": people.birth().strftime("%d.%m.%Y") if draw.chance(60) else "INCONNU",
                "Sexe": "M" if draw.chance(95) else "F",
                "Nationalité": "HT",
                "Domicile": f"{draw.between(1, 60)}, rue {people.surname()}",
                "Bande": f"Base {people.given()}" if draw.chance(25) else "",
            }
        )
    return row


def _spoil_haiti(table: Table) -> None:
    table.spoil(12, "Date de saisie", "14/07/2021", "row.date")
    table.spoil(57, "Type d'arme", "Fusil mitrailleur", "row.code_unknown")
    table.spoil(101, "Enquêteur", "", "row.cell_missing")
    table.spoil(150, "N° dossier", "", "row.key_missing")
    table.spoil(222, "Marque", "ND", "row.cell_missing")
    table.spoil_text(301, lambda text: text.rstrip("\r\n").rpartition(";")[0].encode("cp1252") + b"\r\n", "row.columns")
