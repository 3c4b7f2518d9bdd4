"""An agreement's YAML: what a lawyer writes is read as meant, and every slip is told with line, field and way out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.model import HUB, AgencyId, Compartment, Onward, Purpose, parse_handling
from hub.policy.agreement_draft import DAY_MS, parse_agreement_draft
from hub.policy.agreement_words import render_draft
from hub.policy.source import PolicyInvalid
from hub.trust.agreement import AgreementDocument, Clause, encode_agreement, parse_agreement
from tests.support.small_catalog import SMALL_CATALOG

TEXT = """\
# A comment for the lawyers.
agreement: MOU-2024-07
version: 2
title: Stolen firearms
mou: "Memorandum of 1 July 2024, article 4"   # and here
parties: [NCA, JCF]
first_day: 2026-12-01
last_day: 2027-11-30
clauses:
  - from: JCF
    to: NCA
    types: [firearm.notice, case.update]
    compartments: [core, personal]
    purposes: INVESTIGATION
    max_handling: TLP:AMBER H1
    onward_sharing: ORIGINATOR_CONSENT
    retention_days: 1825
  - from: NCA
    to: JCF
    types: [case.update]
    compartments: [core]
    purposes: [INVESTIGATION, STATISTICS]
    max_handling: TLP:GREEN
    onward_sharing: NONE
    retention_days: 30
"""


def ms(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type, misc]


def test_a_draft() -> None:
    drafted = parse_agreement_draft(TEXT, SMALL_CATALOG)
    jcf, nca = AgencyId("JCF"), AgencyId("NCA")
    assert drafted.document == AgreementDocument(
        "MOU-2024-07",
        HUB,
        2,
        "Stolen firearms",
        "Memorandum of 1 July 2024, article 4",
        (jcf, nca),
        ms(2026, 12, 1),
        ms(2027, 12, 1),
        (
            Clause(
                jcf,
                nca,
                frozenset({"firearm.notice", "case.update"}),
                frozenset({Compartment("core"), Compartment("personal")}),
                frozenset({Purpose.INVESTIGATION}),
                parse_handling("TLP:AMBER H1"),
                Onward.ORIGINATOR_CONSENT,
                1825,
            ),
            Clause(
                nca,
                jcf,
                frozenset({"case.update"}),
                frozenset({Compartment("core")}),
                frozenset({Purpose.INVESTIGATION, Purpose.STATISTICS}),
                parse_handling("TLP:GREEN"),
                Onward.NONE,
                30,
            ),
        ),
    )
    assert drafted.lines["last_day"] == 8
    assert drafted.lines["2.retention_days"] == 25
    assert drafted.lines["2"] == 18


def test_the_last_day_is_within() -> None:
    document = parse_agreement_draft(TEXT.replace("2027-11-30", "2026-12-01"), SMALL_CATALOG).document
    assert document.not_after_ms - document.not_before_ms == DAY_MS


def test_a_hub_of_another_name() -> None:
    assert parse_agreement_draft("hub: HUB2\n" + TEXT, SMALL_CATALOG).document.hub == "HUB2"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version: 2", "version: 0", "a.yaml:3: version: a whole number from 1"),
        ("version: 2", "version: two", "a.yaml:3: version: a whole number from 1"),
        ("agreement: MOU-2024-07", "agreement: MOU 2024", "a.yaml:2: agreement: an agreement's name"),
        ("title: Stolen firearms", "title:", "a.yaml:4: title: one line .* say in a few words"),
        ('mou: "Memorandum of 1 July 2024, article 4" ', "mou: ", "a.yaml:5: mou: .*name the memorandum"),
        ('"Memorandum of 1 July 2024, article 4"', '"two\\nlines"', "a.yaml:5: mou: one line"),
        ("[NCA, JCF]", "[NCA]", "a.yaml:6: parties: an agreement is between two agencies; here are 1"),
        ("[NCA, JCF]", "[NCA, NCA]", "a.yaml:6: parties: an agreement is between two"),
        ("[NCA, JCF]", "[NCA, JCF, ATF]", "a.yaml:6: parties: an agreement is between two agencies; here are 3"),
        ("[NCA, JCF]", "[NCA, jcf]", "a.yaml:6: parties: not an agency code"),
        ("2026-12-01", "1 December 2026", "a.yaml:7: first_day: a day like 2027-01-31"),
        ("2026-12-01", "20261201", "a.yaml:7: first_day: a day like 2027-01-31"),
        ("2027-11-30", "2027-11-31", "a.yaml:8: last_day: a day like"),
        ("2027-11-30", "9999-12-31", "a.yaml:8: last_day: a day like"),
        ("2027-11-30", "2026-11-30", "a.yaml:8: last_day: it is before first_day"),
        ("    to: NCA", "    to: JCF", "a.yaml:11: clause 1, to: JCF would receive from itself"),
        ("    to: NCA", "    to: ATF", "a.yaml:11: clause 1, to: ATF is no party: the parties are JCF and NCA"),
        ("[firearm.notice, case.update]", "[]", "a.yaml:12: clause 1, types: an empty list"),
        ("[firearm.notice, case.update]", "'*'", "a.yaml:12: clause 1, types: there is no wildcard"),
        ("[firearm.notice, case.update]", "[hub.notice]", "a.yaml:12: clause 1, types: 'hub.notice' is not an event"),
        (
            "[firearm.notice, case.update]",
            "[firearm.notise]",
            "a.yaml:12: clause 1, types: .*mean 'firearm.notice'",
        ),
        ("[firearm.notice, case.update]", "[case.update, case.update]", "a.yaml:12: clause 1, types: .*twice"),
        ("compartments: [core]", "compartments: [personal]", "a.yaml:21: clause 2, compartments: 'personal' is not"),
        ("purposes: INVESTIGATION", "purposes: FUN", "a.yaml:14: clause 1, purposes: 'FUN' is not a purpose"),
        ("TLP:GREEN", "GREEN", "a.yaml:23: clause 2, max_handling: not a handling label"),
        ("onward_sharing: NONE", "onward_sharing: ANYONE", "a.yaml:24: clause 2, onward_sharing: .*known: NONE"),
        ("retention_days: 30", "retention_days: 1 month", "a.yaml:25: clause 2, retention_days: a whole number"),
        ("retention_days: 30", "retention_days: 0", "a.yaml:25: clause 2, retention_days: a whole number"),
        ("retention_days: 30", "retention: 30", "a.yaml:25: unknown key 'retention' .did you mean 'retention_days'"),
        ("    retention_days: 30\n", "", "a.yaml:18: 'retention_days' is missing"),
        ("last_day: 2027-11-30\n", "", "'last_day' is missing"),
    ],
)
def test_a_slip(old: str, new: str, why: str) -> None:
    assert old in TEXT
    with pytest.raises(PolicyInvalid, match=why) as caught:
        parse_agreement_draft(TEXT.replace(old, new, 1), SMALL_CATALOG, file="a.yaml")
    assert caught.value.details["file"] == "a.yaml"


def test_no_clause() -> None:
    with pytest.raises(PolicyInvalid, match="clauses: 1 to 64 clauses"):
        parse_agreement_draft(TEXT.partition("clauses:")[0] + "clauses: []\n", SMALL_CATALOG)


def test_all_slips_are_told_at_once() -> None:
    text = TEXT.replace("version: 2", "version: x").replace("TLP:GREEN", "GREEN").replace("2027-11-30", "soon")
    with pytest.raises(ExceptionGroup) as caught:
        parse_agreement_draft(text, SMALL_CATALOG, file="a.yaml")
    assert [error.details["field"] for error in caught.value.exceptions if isinstance(error, PolicyInvalid)] == [
        "version",
        "last_day",
        "2.max_handling",
    ]


def test_an_agency_that_the_directory_does_not_list() -> None:
    agencies = [AgencyId("JCF"), AgencyId("NCAA")]
    with pytest.raises(PolicyInvalid, match=r"parties: the directory lists no agency 'NCA' .did you mean 'NCAA'"):
        parse_agreement_draft(TEXT, SMALL_CATALOG, agencies=agencies)


def test_what_is_rendered_is_read_back() -> None:
    document = replace(
        parse_agreement_draft(TEXT, SMALL_CATALOG).document, title='A "title" with \\ in it', reference="MOU: # 4"
    )
    assert parse_agreement_draft(render_draft(document, SMALL_CATALOG), SMALL_CATALOG).document == document
    assert parse_agreement(encode_agreement(document)) == document


def test_a_template_says_what_is_to_be_filled_in() -> None:
    document = parse_agreement_draft(TEXT, SMALL_CATALOG).document
    with pytest.raises(PolicyInvalid, match=r"mou: .*name the memorandum"):
        parse_agreement_draft(render_draft(document, SMALL_CATALOG, mou=""), SMALL_CATALOG)


def test_what_ends_within_a_day_is_no_draft() -> None:
    document = parse_agreement_draft(TEXT, SMALL_CATALOG).document
    with pytest.raises(ValueError, match="within a day"):
        render_draft(replace(document, not_after_ms=document.not_after_ms - 1), SMALL_CATALOG)
