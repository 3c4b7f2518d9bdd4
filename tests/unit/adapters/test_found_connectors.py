"""hub/adapters/found_connectors.py: connectors by kind, from the entry points; a mistyped kind is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.adapters.found_connectors import ConnectorUnknown, SiteContext, build_sink, build_source
from hub.adapters.memory_observer import MemoryObserver
from hub.catalog import Catalog
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.settings import ConnectorSettings


def settings(**table: object) -> ConnectorSettings:
    return ConnectorSettings.model_validate(table)


@pytest.fixture
def context(tmp_path: Path) -> SiteContext:
    return SiteContext(AgencyId("JCF"), "desk", tmp_path, tmp_path / "state", Catalog.load(), MemoryObserver())


def test_a_source_and_a_sink(context: SiteContext) -> None:
    assert hasattr(build_source(settings(kind="jsonl", path="in.jsonl"), context), "run")
    assert build_sink(settings(kind="jsonl", path="out.jsonl"), context).name == "desk"


def test_a_kind_that_is_not_there(context: SiteContext) -> None:
    with pytest.raises(ConnectorUnknown, match='kind = "jsnol": did you mean "jsonl"'):
        build_source(settings(kind="jsnol"), context)
    with pytest.raises(ConnectorUnknown, match="there are: jsonl, sqlite, webhook"):
        build_sink(settings(kind="zzzzzz"), context)


def test_a_source_is_no_sink(context: SiteContext) -> None:
    with pytest.raises(ConnectorUnknown):
        build_sink(settings(kind="csv", path="x", profile="y"), context)


def test_the_connectors_own_settings_are_checked_by_it(context: SiteContext) -> None:
    with pytest.raises(ConfigError, match="paht"):
        build_source(settings(kind="jsonl", path="in.jsonl", paht="x"), context)
