"""Where a source was, kept in one small file that is replaced in one step. Blocking; call through a thread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.toolkit.errors import ConnectorInvalid
from connectors.toolkit.files import FileUnavailable, write_durably


class ProgressFile:
    """``{"position": ..., "report": ...}`` of one source. Losing it loses no event and doubles none: the keys hold."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any]:
        """What was stored last; empty at the first start. Raises ``ConnectorInvalid`` if the file is damaged."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise FileUnavailable("cannot read the progress", path=str(self.path), cause=error.strerror) from error
        try:
            state = json.loads(raw)
        except ValueError as error:
            raise ConnectorInvalid(
                "the progress file is damaged; delete it: what was taken is not taken again", path=str(self.path)
            ) from error
        if not isinstance(state, dict):
            raise ConnectorInvalid("the progress file is damaged; delete it", path=str(self.path))
        return state

    def store(self, state: dict[str, Any]) -> None:
        """Durable on return. Raises ``FileUnavailable``."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self.path, json.dumps(state, separators=(",", ":")).encode())
