"""What a connector gets of its site: the one thing that the hub and its connectors both know of each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hub.catalog import Catalog
from hub.model import AgencyId
from hub.ports import Observer, Tracer


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """``name`` is unique in the site's configuration, and relative paths in settings count from ``base``, its folder.

    ``state`` is a folder for what the connector's toolkit keeps.
    """

    agency: AgencyId
    name: str
    base: Path
    state: Path
    catalog: Catalog
    observer: Observer
    tracer: Tracer | None = field(default=None, kw_only=True)
    """Where its rows' spans go, where the site writes traces."""

    def path(self, value: Path) -> Path:
        """``value``, counted from ``base`` where it is relative."""
        return value if value.is_absolute() else self.base / value
