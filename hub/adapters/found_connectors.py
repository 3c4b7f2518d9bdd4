"""Connectors by kind, from the entry points of the group ``cgi_hub.connectors``: the hub imports none of them itself.

An entry point ``source.csv`` or ``sink.jsonl`` names an object with ``build(table, context)``: for a source it gives
something with ``run(publisher)``, for a sink a ``hub.client.sink.Sink``. docs/guides/write-a-connector.md.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import Any, Final, Literal, Protocol

from hub.catalog import Catalog
from hub.client.connector import ConnectorContext
from hub.client.publisher import Publisher
from hub.client.sink import Sink
from hub.errors import ConfigError
from hub.ports import Observer, Tracer
from hub.settings import ConnectorTable, SiteSettings

GROUP: Final = "cgi_hub.connectors"
Role = Literal["source", "sink"]


class ConnectorUnknown(ConfigError):
    """No installed package offers a connector of this kind."""

    code = "connector.unknown"


class SourceTotals(Protocol):
    """What a source did in this run: in events, and in rows."""

    @property
    def published(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def rejected_rows(self) -> int: ...


class RunningSource(Protocol):
    """A source that is ready to run."""

    @property
    def totals(self) -> SourceTotals: ...

    async def run(self, publisher: Publisher) -> SourceTotals:
        """Until the source ends; cancelling is safe at any time."""


def _build(role: Role, settings: ConnectorTable, context: ConnectorContext) -> Any:
    wanted = f"{role}.{settings.kind}"
    offered = {point.name: point for point in entry_points(group=GROUP)}
    point = offered.get(wanted)
    if point is None:
        kinds = sorted(name.removeprefix(f"{role}.") for name in offered if name.startswith(f"{role}."))
        close = difflib.get_close_matches(settings.kind, kinds, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(kinds) or 'none'}"
        raise ConnectorUnknown(f'no connector is installed for [[{role}]] kind = "{settings.kind}": {hint}')
    return point.load().build(settings.options, context)


def build_source(settings: ConnectorTable, context: ConnectorContext) -> RunningSource:
    """The source of one ``[[source]]``. Raises ``ConfigError`` naming the setting."""
    source: RunningSource = _build("source", settings, context)
    return source


def build_sink(settings: ConnectorTable, context: ConnectorContext) -> Sink:
    """The sink of one ``[[sink]]``. Raises ``ConfigError`` naming the setting."""
    sink: Sink = _build("sink", settings, context)
    return sink


def connector_context(
    settings: SiteSettings,
    connector: ConnectorTable,
    role: Role,
    *,
    catalog: Catalog,
    observer: Observer,
    tracer: Tracer | None = None,
) -> ConnectorContext:
    """What a connector of ``settings`` gets; what it keeps is in ``state/sources`` or ``state/sinks``."""
    state = settings.state / f"{role}s"
    return ConnectorContext(settings.agency, connector.label, settings.folder, state, catalog, observer, tracer=tracer)
