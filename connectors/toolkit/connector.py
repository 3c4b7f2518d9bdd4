"""What an entry point of the group ``cgi_hub.connectors`` is: a :class:`Connector`.

The hub's composition root finds it by its kind (``[[source]] kind = "csv"``), reads the rest of that table with
``settings`` and calls ``build``. It needs to know no connector by name, and no connector needs to know the hub's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.toolkit.errors import ConnectorInvalid
from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.run import SourceRun
from connectors.toolkit.source import Source
from hub.client.connector import ConnectorContext

__all__ = ["Connector", "ConnectorContext", "ConnectorSettings"]  # all that a connector needs to say what it is


class ConnectorSettings(BaseModel):
    """The settings of a connector, without ``kind`` and ``name``: frozen, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=ConnectorSettings)


@dataclass(frozen=True, slots=True)
class Connector(Generic[S]):
    """A kind of source or sink: its settings, and how one is built of them."""

    kind: str
    role: Literal["source", "sink"]
    settings: type[S]
    make: Callable[[S, ConnectorContext], Any]
    """Gives a ``Source`` (toolkit) or a ``Sink`` (hub.client.sink). Raises ``ConfigError``."""

    def build(self, table: dict[str, Any], context: ConnectorContext) -> Any:
        """From a table of the site's TOML (without ``kind`` and ``name``): a ``SourceRun`` to ``run()``, or a ``Sink``.

        Raises ``ConfigError`` that names the setting.
        """
        try:
            settings = self.settings.model_validate(table)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            raise ConnectorInvalid(f'[[{self.role}]] kind = "{self.kind}": {where}: {first["msg"]}') from error
        made = self.make(settings, context)
        if self.role == "sink":
            return made
        source: Source = made
        progress = ProgressFile(context.state / f"{context.name}.progress.json")
        return SourceRun(source, progress, context.observer, tracer=context.tracer)
