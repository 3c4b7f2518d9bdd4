"""The rules that the demo ships are valid, and say what its pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.agencies import AGENCIES, SITES
from deploy.demo.ceremony import HERE
from hub.catalog import Catalog
from hub.policy.draft import parse_draft
from hub.policy.release import load_release
from hub.policy.subscription import load_subscription

CATALOG = Catalog.load()


@pytest.mark.parametrize("agency", AGENCIES)
def test_rules_of_each_site_name_agencies_that_there_are(agency: str) -> None:
    folder: Path = HERE / "sites" / agency
    assert load_release(folder / "release.yaml", CATALOG, agencies=AGENCIES).agency == agency
    assert load_subscription(folder / "subscription.yaml", CATALOG, agencies=AGENCIES).agency == agency


def test_agreements_never_give_persons_to_rss_or_interpol() -> None:
    heading = "version: 1\nexpires: 2030-01-01\nagencies:\n" + "".join(
        f"  - {{agency: {site.agency}, name: x, identity: x/i.pub, statement: x/s.json}}\n" for site in SITES
    )
    draft = parse_draft(heading + (HERE / "agreements.yaml").read_text(encoding="utf-8"), CATALOG)
    given = {a.recipient for a in draft.agreements if "personal" in a.compartments}
    assert given == {"ATF", "HNP", "JCF", "TTPS"}
