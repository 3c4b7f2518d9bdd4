"""hub/adapters/found_connectors.py: connectors by kind, from the entry points; a mistyped kind is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.adapters.found_connectors import ConnectorUnknown, build_sink, build_source
from hub.adapters.memory_observer import MemoryObserver
from hub.catalog import Catalog
from hub.client.connector import ConnectorContext
from hub.errors import ConfigError
from hub.model import AgencyId
from hub.settings import ConnectorTable


def settings(**table: object) -> ConnectorTable:
    return ConnectorTable.model_validate(table)


@pytest.fixture
def context(tmp_path: Path) -> ConnectorContext:
    return ConnectorContext(AgencyId("JCF"), "desk", tmp_path, tmp_path / "state", Catalog.load(), MemoryObserver())


def test_a_source_and_a_sink(context: ConnectorContext) -> None:
    assert hasattr(build_source(settings(kind="jsonl", path="in.jsonl"), context), "run")
    assert build_sink(settings(kind="jsonl", path="out.jsonl"), context).name == "desk"


def test_a_kind_that_is_not_there(context: ConnectorContext) -> None:
    with pytest.raises(ConnectorUnknown, match='kind = "jsnol": did you mean "jsonl"'):
        build_source(settings(kind="jsnol"), context)
    with pytest.raises(ConnectorUnknown, match="there are: jsonl, sqlite, webhook"):
        build_sink(settings(kind="zzzzzz"), context)


def test_a_source_is_no_sink(context: ConnectorContext) -> None:
    with pytest.raises(ConnectorUnknown):
        build_sink(settings(kind="csv", path="x", profile="y"), context)


def test_the_connectors_own_settings_are_checked_by_it(context: ConnectorContext) -> None:
    with pytest.raises(ConfigError, match="paht"):
        build_source(settings(kind="jsonl", path="in.jsonl", paht="x"), context)
