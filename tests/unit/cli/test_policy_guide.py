"""docs/guides/policy.md is true: its files are written as they stand, its commands run, its output comes."""

from __future__ import annotations

import doctest
import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.main import root as hub
from hub.cli.main import run
from hub.policy import agreement, release, subscription

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "policy.md"
_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys, statements and root that the guide takes for granted, made by the commands; and the guide's files."""
    folder = tmp_path_factory.mktemp("guide")
    before = Path.cwd()
    os.chdir(folder)
    try:
        custodians = ""
        for i in (1, 2, 3):
            command(f"keys generate custodian --out custodian{i}.key")
            custodians += f" --custodian custodian{i}=custodian{i}.pub"
        command(f"directory root --threshold 2 --out root.json{custodians}")
        for agency in ("JCF", "ATF", "RSS", "CCGIU"):
            Path(agency).mkdir()
            for use in ("identity", "signing", "kem"):
                command(f"keys generate {use} --out {agency}/{use}.key")
            command(
                f"keys statement --agency {agency} --identity {agency}/identity.key --signing {agency}/signing.pub "
                f"--kem {agency}/kem.pub --until 2031-01-01 --out {agency}/statement.json"
            )
        for language, name, text in _FENCE.findall(GUIDE.read_text(encoding="utf-8")):
            if name:
                assert language in ("yaml", "json")
                Path(name).write_text(text, encoding="utf-8")
    finally:
        os.chdir(before)
    return folder


def command(line: str) -> str:
    """What a command prints, errors too."""
    result = CliRunner().invoke(hub, shlex.split(line), standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_every_console_block_is_as_it_says(
    world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    monkeypatch.setenv("COLUMNS", "200")
    ran = 0
    for language, _, text in _FENCE.findall(GUIDE.read_text(encoding="utf-8")):
        if language != "console":
            continue
        for part in text.split("$ hub ")[1:]:
            line, _, wanted = part.partition("\n")
            run(shlex.split(line))
            captured = capfd.readouterr()
            got = captured.out + captured.err
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(wanted, got, flags), f"hub {line}\n{got}"
            ran += 1
    assert ran == 6


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
