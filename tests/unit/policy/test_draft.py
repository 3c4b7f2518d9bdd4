"""hub/policy/draft.py: a draft of a directory, and each fault with its line."""

from __future__ import annotations

import pytest

from hub.model import Purpose
from hub.policy.draft import parse_draft
from hub.policy.source import PolicyInvalid
from tests.support.small_catalog import SMALL_CATALOG

DRAFT = """\
version: 7
expires: 2031-01-31
agencies:
  - {agency: JCF, name: Jamaica, identity: a.pub, statement: a.json}
  - {agency: ATF, name: A, active: false, identity: b.pub, statement: b.json}
agreements:
  - id: "MOU #1"
    from: JCF
    to: ATF
    types: [firearm.notice]
    compartments: [core, personal]
    purposes: INVESTIGATION
    max_handling: TLP:AMBER H1
    begins: 2026-01-01
    ends: 2026-01-02
"""


def test_read() -> None:
    found = parse_draft(DRAFT, SMALL_CATALOG)
    assert found.version == 7
    assert found.expires_at_ms == 1_927_584_000_000
    assert [(a.agency_id, a.active, a.identity) for a in found.agencies] == [
        ("JCF", True, "a.pub"),
        ("ATF", False, "b.pub"),
    ]
    (agreement,) = found.agreements
    assert agreement.purposes == {Purpose.INVESTIGATION}
    assert agreement.not_after_ms - agreement.not_before_ms == 86_400_000
    assert agreement.reference == ""
    assert parse_draft(DRAFT.partition("agreements:")[0], SMALL_CATALOG).agreements == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("version: 7", "version: 0", 1, "whole number"),
        ("version: 7", "version: 1.5", 1, "whole number"),
        ("expires: 2031-01-31", "expires: 31.1.2031", 2, "a day like"),
        ("expires: 2031-01-31", "expires: 2031-02-31", 2, "a day like"),
        ("agency: ATF", "agency: JCF", 5, "stands at directory.yaml:4 already"),
        ("agency: ATF", "agency: atf", 5, "agency code"),
        ("active: false", "active: no", 5, "true or false"),
        ("active: false", "actve: false", 5, "did you mean 'active'"),
        ("to: ATF", "to: AFT", 9, "did you mean 'ATF'"),
        ("to: ATF", "to: JCF", 9, "between two"),
        ("[firearm.notice]", "[firearm.notis]", 10, "did you mean 'firearm.notice'"),
        ("[firearm.notice]", "[]", 10, "empty list"),
        ("[core, personal]", "[core, persnal]", 11, "did you mean 'personal'"),
        ("INVESTIGATION", "INVESTIGATON", 12, "did you mean 'INVESTIGATION'"),
        ("TLP:AMBER H1", "AMBER", 13, "handling label"),
        ("ends: 2026-01-02", "ends: 2026-01-01", 15, "end before it begins"),
        ("    to: ATF\n", "", 7, "'to' is missing"),
    ],
)
def test_faults_name_their_line(old: str, new: str, line: int, message: str) -> None:
    assert old in DRAFT
    with pytest.raises(PolicyInvalid) as caught:
        parse_draft(DRAFT.replace(old, new), SMALL_CATALOG)
    assert message in caught.value.message
    assert caught.value.details["line"] == line


def test_an_agreement_twice() -> None:
    agreement = DRAFT.partition("agreements:\n")[2]
    with pytest.raises(PolicyInvalid, match="already"):
        parse_draft(DRAFT + agreement, SMALL_CATALOG)
