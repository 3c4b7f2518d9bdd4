"""The rules that the demo ships are valid, and say what its pages say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.demo.agencies import AGENCIES
from deploy.demo.ceremony import HERE
from hub.catalog import Catalog
from hub.policy.release import load_release
from hub.policy.subscription import load_subscription

CATALOG = Catalog.load()


@pytest.mark.parametrize("agency", AGENCIES)
def test_rules_of_each_site_name_agencies_that_there_are(agency: str) -> None:
    folder: Path = HERE / "sites" / agency
    assert load_release(folder / "release.yaml", CATALOG, agencies=AGENCIES).agency == agency
    assert load_subscription(folder / "subscription.yaml", CATALOG, agencies=AGENCIES).agency == agency


def test_agreements_never_give_persons_to_rss_or_interpol() -> None:
    agreements = yaml.safe_load((HERE / "agreements.yaml").read_text(encoding="utf-8"))["agreements"]
    given = {told["to"] for told in agreements if "personal" in told["compartments"]}
    assert given == {"ATF", "HNP", "JCF", "TTPS"}
