"""The rules that the demo ships are valid, and say what its pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.agencies import AGENCIES
from deploy.demo.ceremony import HERE
from hub.catalog import Catalog
from hub.policy.agreement_check import check_agreement
from hub.policy.agreement_draft import parse_agreement_draft
from hub.policy.release import load_release
from hub.policy.subscription import load_subscription
from hub.trust.agreement import AgreementDocument

CATALOG = Catalog.load()


@pytest.mark.parametrize("agency", AGENCIES)
def test_rules_of_each_site_name_agencies_that_there_are(agency: str) -> None:
    folder: Path = HERE / "sites" / agency
    assert load_release(folder / "release.yaml", CATALOG, agencies=AGENCIES).agency == agency
    assert load_subscription(folder / "subscription.yaml", CATALOG, agencies=AGENCIES).agency == agency


def test_agreements_never_give_persons_to_rss_or_interpol() -> None:
    clauses = [clause for document in agreements() for clause in document.clauses]
    given = {clause.recipient for clause in clauses if "personal" in clause.compartments}
    assert given == {"ATF", "HNP", "JCF", "TTPS"}


def test_agreements_are_in_order() -> None:
    """Nothing that `hub agreement check` would call an error, and each file named after its parties."""
    now_ms = 1_800_000_000_000
    for document in agreements():
        assert document.slug == "-".join(document.parties)
        assert set(document.parties) <= set(AGENCIES)
        assert not [found for found in check_agreement(document, CATALOG, now_ms) if found.error]


def agreements() -> list[AgreementDocument]:
    paths = sorted((HERE / "agreements").glob("*.yaml"))
    return [parse_agreement_draft(path.read_text("utf-8"), CATALOG, file=str(path)).document for path in paths]
