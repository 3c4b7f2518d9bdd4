"""A command that changes something asks; where nobody can answer it does nothing."""

from __future__ import annotations

import io
import sys

import click
import pytest

from hub.cli.asking import ConfirmationMissing, ask


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_yes_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    ask("Sign it?", yes=True)


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ConfirmationMissing, match="--yes"):
        ask("Sign it?", yes=False)


def test_a_person_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    ask("Sign it?", yes=False)


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_person_declines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    with pytest.raises(click.exceptions.Exit) as caught:
        ask("Sign it?", yes=False)
    assert caught.value.exit_code == 1
    assert "nothing was changed" in capsys.readouterr().err
