"""Every command of `hub`: a help text, a help for each option, --json, and an example in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hub.cli import main

ROOT = Path(__file__).parents[3]

WITHOUT_JSON = {
    "broker follow": "runs until it is stopped; its log may be JSON",
    "broker stop": "says nothing",
    "console run": "runs until it is stopped; its log may be JSON",
    "exporter run": "runs until it is stopped; its log may be JSON",
    "policy hub-part": "prints a file: the part of a subscription that the hub may have",
    "router run": "runs until it is stopped; its log may be JSON",
    "site run": "runs until it is stopped; its log may be JSON",
}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))
    else:
        yield " ".join(path), command


ALL = dict(commands(main.root))
each = pytest.mark.parametrize("name", ALL)


def first_sentence(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


@each
def test_its_help_begins_with_a_sentence(name: str) -> None:
    text = first_sentence(ALL[name])
    assert re.fullmatch(r"[A-Z].*[.]", text), text


@each
def test_each_option_says_what_it_is_for(name: str) -> None:
    options = [option for option in ALL[name].params if isinstance(option, click.Option)]
    assert [option.opts for option in options if not option.help] == []


@each
def test_what_all_have_says_the_same(name: str) -> None:
    options = [option for option in ALL[name].params if isinstance(option, click.Option)]
    help_of = {flag: option.help for option in options for flag in option.opts}
    assert help_of.get("--json", "Print JSON.") in ("Print JSON.", "Print JSON, one object a line.")
    assert help_of.get("--yes", "Do not ask.") == "Do not ask."


@each
def test_it_speaks_to_machines(name: str) -> None:
    has = any("--json" in option.opts for option in ALL[name].params)
    assert has != (name in WITHOUT_JSON), "an exception that is none" if has else "--json is missing"


def test_no_exception_is_of_a_command_that_is_gone() -> None:
    assert set(WITHOUT_JSON) <= set(ALL)


@pytest.fixture(scope="module")
def pages() -> str:
    files = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@each
def test_a_page_shows_it(name: str, pages: str) -> None:
    assert re.search(rf"\bhub {re.escape(name)}\b", pages), f"hub {name}"


@pytest.mark.parametrize("group", main.GROUPS)
def test_the_line_in_the_list_is_no_other_than_the_groups_own(group: str) -> None:
    """`hub --help` imports no group, so its lines are said twice: a group's is the beginning of its own help."""
    found = main.root.get_command(click.Context(main.root), group)
    assert found is not None
    assert main.GROUPS[group][1].endswith(".")
    if isinstance(found, click.Group):
        assert first_sentence(found) == main.GROUPS[group][1]
