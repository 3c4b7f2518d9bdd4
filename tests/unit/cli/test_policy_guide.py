"""docs/guides/policy.md is true: its files are written as they stand, its commands run, its output comes."""

from __future__ import annotations

import doctest
import os
import re
import shlex
from pathlib import Path

import pytest

from hub.cli.main import run
from hub.policy import agreement, release, subscription
from tests.support.guide import GUIDES, blocks, make_directory

GUIDE = GUIDES / "policy.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's files, and the directory with its agreements that the guide takes for granted."""
    folder = tmp_path_factory.mktemp("guide")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for block in blocks("policy.md"):
            if block.name:
                assert block.language in ("yaml", "json")
                Path(block.name).parent.mkdir(exist_ok=True)
                Path(block.name).write_text(block.text, encoding="utf-8")
        make_directory(["JCF", "ATF", "RSS", "CCGIU"], [Path("MOU-2024-07.yaml"), Path("CARICOM-IMPACS.yaml")])
    finally:
        os.chdir(before)
    return folder


def test_every_console_block_is_as_it_says(
    world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    monkeypatch.setenv("COLUMNS", "200")
    ran = 0
    for block in blocks("policy.md"):
        if block.language != "console":
            continue
        for line, wanted in block.commands():
            program, *arguments = shlex.split(line)
            assert program == "hub"
            run(arguments)
            captured = capfd.readouterr()
            got = captured.out + captured.err
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(wanted, got, flags), f"{line}\n{got}"
            ran += 1
    assert ran == 5


def test_every_code_is_in_the_guide() -> None:
    """And the guide has no code that nothing gives."""
    used: set[str] = set()
    for module in (agreement, release, subscription):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        used |= set(re.findall(r'"((?:agreement|release|subscription)\.[a-z_]+)"', text))
    used |= {f"agreement.{role}_{why}" for role in ("originator", "recipient") for why in ("unknown", "suspended")}
    used -= {"release.type_unknown", "release.yaml", "subscription.yaml"}  # an error, and names of files
    table = GUIDE.read_text(encoding="utf-8").partition("## 5. Codes")[2]
    told: set[str] = set()
    for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        for code in re.findall(r"`([a-z_.]+)`", row):
            told.add(code if not code.startswith(".") else "agreement" + code)
    assert told == used
