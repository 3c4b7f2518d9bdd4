"""docs/guides/keys.md is true: each command says yes, in its order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.command import hub

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "keys.md"
_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, name, text in _FENCE.findall(GUIDE.read_text(encoding="utf-8")):
        if name:
            Path(name).write_text(text, encoding="utf-8")
            Path(name).chmod(0o600)
        elif language == "console":
            for line in text.splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                assert program == "hub"
                told = hub(shlex.join(arguments))
                assert told.code == 0, (line, told.err)
                ran += 1
    assert ran == 15
    kinds = [row["encrypted"] for row in hub("keys show jcf/keys/signing.key old/keys/signing.key --json").json]
    assert kinds == [True, True]
