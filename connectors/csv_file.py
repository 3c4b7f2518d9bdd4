"""Source: one CSV file, read by a mapping profile, from its beginning to its end.

    [[source]]
    kind = "csv"
    path = "exports/traces.csv"
    profile = "etrace-register"      # a shipped one, or "profiles/ours.yaml"

Keys: the profile's natural key. The same file read again, or mended and put there again, publishes nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from connectors.mapping.mapper import load_mapper
from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.file_steps import FileReader, read_steps
from connectors.toolkit.source import Position, Step


class CsvSettings(ConnectorSettings):
    """``path`` of the file; ``profile`` by name, or by a path that ends in ``.yaml``."""

    path: Path
    profile: str


class FileSource:
    """A file and what reads it, as a source that ends."""

    def __init__(self, name: str, path: Path, reader: FileReader) -> None:
        self.name = name
        self._path = path
        self._reader = reader

    def steps(self, position: Position | None) -> AsyncGenerator[Step, None]:
        return read_steps(self._path, self._reader, position)


def make_csv(settings: CsvSettings, context: ConnectorContext) -> FileSource:
    """Raises ``ProfileInvalid``."""
    mapper = load_mapper(settings.profile, context.base, context.catalog)
    return FileSource(context.name, context.path(settings.path), mapper)


connector = Connector("csv", "source", CsvSettings, make_csv)
