"""hub/cli/main.py: exit codes, one line for an error, quick to start."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import click
import pytest

from hub.cli import main
from hub.errors import ConfigError, HubError, InvariantError, RejectedError, UnavailableError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException | int]:
    """A command ``hub fail`` that raises or exits as the test says."""
    wanted: dict[str, BaseException | int] = {}

    @click.command("fail")
    @click.pass_context
    def cli(ctx: click.Context) -> None:
        what = wanted["what"]
        if isinstance(what, int):
            ctx.exit(what)
        raise what

    module = types.ModuleType("hub_cli_fail")
    module.cli = cli  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hub_cli_fail", module)
    monkeypatch.setitem(main.GROUPS, "fail", ("hub_cli_fail", "fails"))
    return wanted


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("c"), 2),
        (RejectedError("r"), 1),
        (UnavailableError("u"), 3),
        (InvariantError("i"), 4),
        (HubError("h"), 4),
        (ExceptionGroup("g", [UnavailableError("u"), ExceptionGroup("g", [ConfigError("c")])]), 3),
        (click.UsageError("usage"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=str,
)
def test_exit_codes(failing: dict, error: BaseException, code: int) -> None:
    failing["what"] = error
    assert main.run(["fail"]) == code


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_may_exit_itself(failing: dict, code: int) -> None:
    failing["what"] = code
    assert main.run(["fail"]) == code


def test_an_error_is_one_line(failing: dict, capsys: pytest.CaptureFixture[str]) -> None:
    failing["what"] = ConfigError("no such file", file="site.toml", key="kafka.ca")
    main.run(["fail"])
    assert capsys.readouterr().err == "error: config.invalid: no such file (file=site.toml, key=kafka.ca)\n"


def test_a_bug_shows_where_and_not_what_it_quotes(
    failing: dict, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing["what"] = ZeroDivisionError("oops")
    assert main.run(["fail"]) == 4
    shown = capsys.readouterr().err
    assert "ZeroDivisionError\n  at hub/cli/main.py" in shown
    assert "oops" not in shown
    monkeypatch.setenv("CGI_HUB_UNSAFE_TRACEBACK", "1")
    assert main.run(["fail"]) == 4
    assert "ZeroDivisionError: oops" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    for name in main.GROUPS:
        assert name in out
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hub ")
    assert main.run(["nonsense"]) == 2


@pytest.mark.parametrize("group", sorted(main.GROUPS))
def test_every_group_exists(group: str) -> None:
    assert isinstance(importlib.import_module(main.GROUPS[group][0]).cli, click.Command)


def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "{'aiokafka', 'cryptography', 'fastavro', 'pydantic', 'prometheus_client', 'structlog', 'starlette', 'rich'}"
    )
    script = f"import sys, hub.cli.main as m; m.run(['--help']); sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
