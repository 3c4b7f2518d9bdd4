"""docs/guides/agreements.md is true: its files are written as they stand, its commands run in their order."""

from __future__ import annotations

import doctest
import shlex
from pathlib import Path

import pytest

from hub.cli.main import run
from tests.support.guide import blocks, make_directory


def test_every_command_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    make_directory(["HUB", "JCF", "ATF"])
    ran = 0
    for block in blocks("agreements.md"):
        if block.name:
            assert block.language in ("yaml", "json")
            Path(block.name).write_text(block.text, encoding="utf-8")
        for line, wanted in block.commands() if block.language == "console" else ():
            program, *arguments = shlex.split(line)
            assert program == "hub"
            capfd.readouterr()
            run(arguments)
            captured = capfd.readouterr()
            got = captured.err + captured.out
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(wanted, got, flags), f"{line}\n{got}"
            ran += 1
    assert ran == 17
