"""docs/guides/directory.md is true: its file is written as it stands, and each command says yes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hub.cli.main import run
from tests.support.command import hub

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "directory.md"
_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, name, text in _FENCE.findall(GUIDE.read_text(encoding="utf-8")):
        if name:
            assert language == "yaml"
            Path(name).write_text(text, encoding="utf-8")
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line.removeprefix("$ "))
            if program == "mkdir":
                for folder in arguments[1:]:
                    Path(folder).mkdir(parents=True)
                continue
            assert program == "hub"
            assert run(arguments) == 0, line
            ran += 1
    assert ran == 19
    told = hub("directory show directory.json --root root.json --json").json
    assert [agency["agency"] for agency in told["agencies"]] == ["HUB", "JCF"]
    assert set(told["signed_by"]) == {"north", "east"}
    assert hub("directory verify half.json --root root.json").code != 0
