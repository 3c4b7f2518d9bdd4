"""What is doubtful in an agreement is found, and nothing is said of one that is in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.catalog import Catalog
from hub.model import Compartment, Onward, Purpose, parse_handling
from hub.policy.agreement_check import Finding, check_agreement
from hub.policy.agreement_draft import DAY_MS, parse_agreement_draft
from hub.policy.agreement_words import agreement_words
from hub.trust.agreement import AgreementDocument, Clause
from tests.support.small_catalog import SMALL_CATALOG
from tests.unit.policy.test_agreement_draft import TEXT

DOCUMENT = parse_agreement_draft(
    TEXT.replace("[firearm.notice, case.update]", "[firearm.notice]"), SMALL_CATALOG
).document
FIRST, SECOND = DOCUMENT.clauses
NOW_MS = DOCUMENT.not_before_ms - DAY_MS


def found(document: AgreementDocument, now_ms: int = NOW_MS) -> list[tuple[bool, str]]:
    return [(finding.error, finding.field) for finding in check_agreement(document, SMALL_CATALOG, now_ms)]


def first(**changes: object) -> AgreementDocument:
    return replace(DOCUMENT, clauses=(replace(FIRST, **changes), SECOND))  # type: ignore[arg-type]


def beside(*more: Clause) -> AgreementDocument:
    return replace(DOCUMENT, clauses=(*DOCUMENT.clauses, *more))


def test_in_order() -> None:
    assert check_agreement(DOCUMENT, SMALL_CATALOG, NOW_MS) == ()


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (first(event_types=frozenset({"firearm.gone"})), (True, "1.types")),
        (first(compartments=frozenset({Compartment("core"), Compartment("medical")})), (False, "1.compartments")),
        (first(purposes=frozenset({Purpose.HUB_OPERATION})), (False, "1.purposes")),
        (first(purposes=frozenset(Purpose) - {Purpose.HUB_OPERATION}), (False, "1.purposes")),
        (first(max_handling=parse_handling("TLP:RED")), (False, "1.max_handling")),
        (
            first(max_handling=parse_handling("TLP:AMBER+STRICT"), onward=Onward.RECIPIENT_AGENCIES),
            (False, "1.onward_sharing"),
        ),
        (
            first(max_handling=parse_handling("TLP:GREEN H2"), onward=Onward.RECIPIENT_AGENCIES),
            (False, "1.onward_sharing"),
        ),
        (first(retention_days=1831), (False, "1.retention_days")),
        (beside(FIRST), (False, "3")),
        (beside(replace(FIRST, compartments=frozenset({Compartment("core")}))), (False, "3")),
        (
            beside(replace(FIRST, compartments=frozenset({Compartment("core"), Compartment("sensitive")}))),
            (False, "3"),
        ),
        (
            beside(
                replace(FIRST, compartments=frozenset({Compartment("core")}), retention_days=FIRST.retention_days + 1)
            ),
            (False, "3"),
        ),
        (replace(DOCUMENT, not_after_ms=DOCUMENT.not_before_ms + 1900 * DAY_MS), (False, "last_day")),
    ],
)
def test_doubtful(document: AgreementDocument, wanted: tuple[bool, str]) -> None:
    assert found(document) == [wanted]


def test_not_doubtful() -> None:
    assert found(first(max_handling=parse_handling("TLP:AMBER H1"), onward=Onward.RECIPIENT_AGENCIES)) == []
    assert found(first(compartments=frozenset({Compartment("core")}), retention_days=5000)) == []
    assert found(beside(replace(FIRST, event_types=frozenset({"case.update"}), compartments=SECOND.compartments))) == []


def test_a_compartment_that_comes_only_with_others() -> None:
    alone = first(event_types=frozenset({"trace.request"}), compartments=frozenset({Compartment("affiliation")}))
    (finding,) = check_agreement(replace(alone, clauses=alone.clauses[:1]), Catalog.load(), NOW_MS)
    assert finding.field == "1.compartments"
    assert "affiliation is given only together with personal, sensitive" in finding.message


def test_it_ended() -> None:
    assert found(DOCUMENT, DOCUMENT.not_after_ms - 1) == []
    assert found(DOCUMENT, DOCUMENT.not_after_ms) == [(True, "last_day")]


def test_a_clause_that_two_others_cover_together() -> None:
    both = replace(FIRST, event_types=frozenset({"firearm.notice", "case.update"}), compartments=SECOND.compartments)
    halves = [replace(both, event_types=frozenset({name})) for name in both.event_types]
    findings = check_agreement(replace(DOCUMENT, clauses=(*halves, both)), SMALL_CATALOG, NOW_MS)
    assert findings == (Finding(False, "3", "clause 3 adds nothing: the others cover all of it"),)


def test_in_words() -> None:
    text = "\n".join(agreement_words(DOCUMENT))
    assert (
        text
        == """\
Agreement MOU-2024-07, version 2, between JCF and NCA, in hub HUB
  Stolen firearms
  carries out: Memorandum of 1 July 2024, article 4
  holds from 2026-12-01 to the end of 2027-11-30 (UTC)

Clause 1 (MOU-2024-07 #1): NCA receives from JCF
  types           firearm.notice
  compartments    core, personal
  purposes        INVESTIGATION
  max_handling    up to TLP:AMBER and H1
  onward_sharing  only where the originator has consented (originator control)
  retention_days  deleted by the recipient 1825 days after receipt

Clause 2 (MOU-2024-07 #2): JCF receives from NCA
  types           case.update
  compartments    core
  purposes        INVESTIGATION, STATISTICS
  max_handling    up to TLP:GREEN, nothing with a SIENA code
  onward_sharing  none: it stays with the recipient
  retention_days  deleted by the recipient 30 days after receipt"""
    )


def test_a_moment_within_a_day_is_shown_whole() -> None:
    odd = replace(DOCUMENT, not_before_ms=DOCUMENT.not_before_ms + 1, not_after_ms=DOCUMENT.not_after_ms - 1)
    assert "from 2026-12-01T00:00:00.001Z to 2027-11-30T23:59:59.999Z (UTC)" in "\n".join(agreement_words(odd))
