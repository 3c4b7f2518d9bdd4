"""The pages about deployment: each command in them is one that there is, and each file that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from hub.cli.main import root

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs/guides" / f"{name}.md" for name in ("deploy", "sizing", "upgrade", "backup")]
COMMAND = re.compile(r"(?<![\w.-])hub ((?:[a-z][a-z-]*|--?[a-z][a-z-]*)[^`\n&|;]*)")


def commands(page: Path) -> list[str]:
    """What stands after ``hub`` in code."""
    text = page.read_text("utf-8")
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (.+)$", text, re.MULTILINE)
    code += [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [found for line in code for found in COMMAND.findall(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_is_one_that_there_is(page: Path) -> None:
    found = commands(page)
    assert found or page.stem == "sizing"
    for line in found:
        words = line.split()
        command: click.Command | None = root
        while words and isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts} | {"--version"}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_file_of_ours_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for path in re.findall(r"`((?:deploy|tests|schemas)/[\w./@-]+)`", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:unit|broker)/[\w./-]+\.py)`", text):
        assert (ROOT / "tests" / path).exists(), path
