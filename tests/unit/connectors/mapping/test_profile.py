"""Mistakes in a profile are found when it is loaded: the file, the line, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.mapping.mapper import load_mapper
from connectors.mapping.profile import SHIPPED, resolve_profile
from connectors.toolkit.errors import ProfileInvalid
from tests.support.profiles import NOTICES, changed, mapper_of
from tests.support.samples import catalog


@pytest.mark.parametrize(
    ("old", "new", "piece", "message"),
    [
        ("event_type: firearm.notice", "event_type: firearm.notise", "event_type", "did you mean 'firearm.notice'?"),
        ("profile: notices", "profile: No Tices", "profile:", "profile"),
        ("version: 1", "version: one", "version", "version"),
        ("title: Notices", "titel: Notices", "titel:", "did you mean 'title'?"),
        ("encoding: utf-8", "encoding: utf8", "encoding", "did you mean 'utf-8'?"),
        ("encoding: utf-8", "delimiter: ab", "delimiter", "one character"),
        ("  iarms_ref: Ref", "  iarms_reff: Ref", "iarms_ref", "did you mean 'iarms_ref'?"),
        ("  firearm.make_text: Make", "  firearm.make_txt: Make", "make_txt", "did you mean 'firearm.make_text'?"),
        ("  iarms_ref: Ref", "  iarms_ref.x: Ref", "iarms_ref", "no fields below it"),
        ("  iarms_ref: Ref", "  iarms_ref[0]: Ref", "iarms_ref", "not a list"),
        ("  iarms_ref: Ref", "  firearm: Ref", "firearm: Ref", "is a record"),
        ("codes: kinds}", "codes: kindz}", "codes: kindz", "did you mean 'kinds'?"),
        ("Stolen: STOLEN", "Stolen: STOLLEN", "kind: {", "did you mean 'STOLEN'?"),
        ("{value: ENTER}", "{value: ENTRE}", "action:", "did you mean 'ENTER'?"),
        ("{value: ENTER}", "{value: ENTER, column: A}", "action:", "one of column, columns or value"),
        ("{value: ENTER}", "{valeu: ENTER}", "action:", "did you mean 'value'?"),
        ("{value: PI}", "{value: P9}", "type_ncic", "schema's form"),
        ("{value: PI}", "{value: PY}", "type_ncic", "ncic-firearm-description"),
        ('default: "false"', "default: maybe", "ffl_theft", "kind boolean"),
        ('  dates: "%d/%m/%Y"\n', "", "date: Date", "how the agency writes dates"),
        ('"%d/%m/%Y"', '"%d/%m/%y"', "date: Date", "two_digit_years_from"),
        ('"%d/%m/%Y"', '["%d/%m/%Y", "%m/%d/%Y"]', "date: Date", "a guess"),
        ('"%d/%m/%Y"', '"%d/%m"', "date: Date", "no year"),
        ('"%d/%m/%Y"', '"%Y"', "date: Date", "no date format"),
        ("  yes: [Y]\n  no: [N]\n", "", "ffl_theft", "values.yes"),
        ("  no: [N]", "  no: [Y]", "values:", "both yes and no"),
        ("  no: [N]", '  no: [N]\n  decimal: ","\n  thousands: ","', "values:", "the same sign"),
        ("  no: [N]", "  no: [N]\n  timezone: Jamaica/Kingston", "values:", "no time zone"),
        ("TLP:GREEN", "TLP:GREN", "handling:", "did you mean 'TLP:GREEN'?"),
        ("INVESTIGATION", "INVESTIGATE", "purpose:", "did you mean 'INVESTIGATION'?"),
        ("unknown_code: ROUTINE, ", "unknown_code: SLOW, ", "priority:", "no code 'SLOW'"),
        ("expires: {column: Date, add_days: 3650}", "expires: {column: Date}", "expires:", "add_days"),
        ("expires: {column: Date, add_days: 3650}", "expires: {on: 31/12/2031}", "expires:", "2031-12-31"),
        ("  kind: {column: Kind, codes: kinds}\n", "", "fields:", "cannot do without kind"),
        ("  firearm.make_text: Make\n", "", "fields:", "cannot do without firearm.make_text"),
        ("  Serial: [Serial No., S/N]", "  Serials: [Serial No., S/N]", "Serials: [", "did you mean 'Serial'?"),
        ("  Serial: [Serial No., S/N]", "  Serial: [Make]", "columns:", "two columns answer to 'Make'"),
        ("key: [Ref]", "group_by: [Ref]", "profile:", "group_by and rows"),
        ('split: ";"}', 'split: ";", add_days: 3}', "other_numbers", "add_days is for a date"),
        (
            "  iarms_ref: Ref",
            '  iarms_ref: {column: Ref, split: ";"}',
            "iarms_ref",
            "split is for a field that is a list",
        ),
        ("  iarms_ref: Ref", "  iarms_ref: {column: Ref, unknown: omit}", "iarms_ref", "go with codes"),
        ("  iarms_ref: Ref", '  iarms_ref: {column: Ref, dates: "%d"}', "iarms_ref", "dates is for a date"),
        ("  iarms_ref: Ref", "  iarms_ref: Ref\n  owner.role: {value: POSSESSOR}", "fields:", "header.legal_basis_id"),
        ("    Lost: LOST", "    Lost: LOST\n    LOST: LOST", "kind: {", "letter case alone"),
    ],
)
def test_a_mistake_names_its_line_and_the_way_out(old: str, new: str, piece: str, message: str) -> None:
    text = changed(old, new)
    with pytest.raises(ProfileInvalid) as caught:
        mapper_of(text)
    said = caught.value.message
    assert message in said
    line = int(said.split(":")[1])
    assert piece in text.splitlines()[line - 1], said


def test_the_profile_itself_is_right() -> None:
    assert mapper_of().plan.used[0] == "Ref"


def test_its_digest_changes_with_it() -> None:
    assert mapper_of().digest != mapper_of(changed("3650", "3651")).digest
    assert mapper_of().digest == mapper_of(NOTICES + "# a comment\n").digest


def test_shipped_profiles_are_known_by_name(tmp_path: Path) -> None:
    assert resolve_profile("etrace-register", tmp_path) == SHIPPED / "etrace-register.yaml"
    assert resolve_profile("ours.yaml", tmp_path) == tmp_path / "ours.yaml"
    with pytest.raises(ProfileInvalid, match="did you mean 'etrace-register'"):
        resolve_profile("etrace-registre", tmp_path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_fits_the_catalog(path: Path, tmp_path: Path) -> None:
    assert load_mapper(path.stem, tmp_path, catalog()).profile.profile == path.stem
