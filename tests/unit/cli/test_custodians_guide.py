"""docs/guides/custodians.md is true: its file is written as it stands, and each command says what it should."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hub.cli.main import run
from tests.support.command import hub

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "custodians.md"
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
            code = re.search(r"#.*exit code (\d)$", line)
            program, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
            if program == "mkdir":
                for folder in arguments:
                    Path(folder).mkdir()
            elif program == "cp":
                copy = shutil.copytree if Path(arguments[0]).is_dir() else shutil.copy
                copy(*arguments)
            else:
                assert program == "hub"
                assert run(arguments) == (int(code[1]) if code else 0), line
                ran += 1
    assert ran == 49
    told = hub("directory show directory --root root.json --json").json
    assert told["custodians"] == ["north", "east", "west"]
    assert (told["root"], told["agreements_count"], told["faults"]) == (3, 0, [])
    assert {agency["agency"]: agency["state"] for agency in told["agencies"]} == dict.fromkeys(
        ("ATF", "HUB", "JCF"), "active"
    )
