"""hub/app/process.py: what a process needs before it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub.adapters.files import FileUnreadable
from hub.app.process import start_process


@pytest.mark.parametrize("state", ["taken", "taken/below"])
def test_a_state_folder_that_cannot_be_made_is_the_operators_fault(tmp_path: Path, state: str) -> None:
    (tmp_path / "taken").write_text("a file")
    settings: Any = SimpleNamespace(state=tmp_path / state)
    with pytest.raises(FileUnreadable, match="state folder"):
        start_process(settings, "site")
