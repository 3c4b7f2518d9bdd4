"""Guides are run: their files are written as they stand, their console blocks are commands with what they print."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from hub.cli.main import root as hub
from hub.cli.main import run

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``name`` of a file, or "" for a console or an example that is only shown."""

    language: str
    name: str
    text: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Of a console block: each line after ``$ ``, and what it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            line, _, wanted = part.partition("\n")
            yield line, wanted


def blocks(name: str) -> list[Block]:
    """The fenced blocks of a guide, in its order."""
    return [Block(*found) for found in _FENCE.findall((GUIDES / name).read_text(encoding="utf-8"))]


def command(line: str) -> str:
    """What ``hub`` prints, errors too; it must not fail."""
    result = CliRunner().invoke(hub, shlex.split(line), standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def follow(line: str, wanted: str) -> str:
    """Run a line of a guide (``hub ...``, perhaps with ``# exit code N``) and hold what it prints, on either stream, to
    what the guide shows, where ``...`` is anything. Gives what it printed."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = run(shlex.split(line.removeprefix("hub "), comments=True))
    got = told.getvalue()
    assert code == int(line.partition("# exit code ")[2] or 0), f"{line}: {code}\n{got}"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(wanted, got, flags), f"{line}\n{got}"
    return got


def make_directory(agencies: Sequence[str], agreements: Sequence[Path] = ()) -> None:
    """A published directory in ``directory`` and its ``root.json``, in the folder that one is in.

    Two of three custodians (``custodian1.key``...) sign; each agency's keys are in a folder of its own. ``agreements``
    are drafts (YAML) that both parties sign.
    """
    custodians = ""
    for i in (1, 2, 3):
        command(f"keys generate custodian --out custodian{i}.key")
        custodians += f" --custodian custodian{i}=custodian{i}.pub"
    command("keys generate online --out online.key")
    command(f"directory init directory --threshold 2 --online online.pub{custodians}")
    for agency in agencies:
        command(f'agency init {agency} --agency {agency} --name "The agency {agency}" --unsafe-no-passphrase')
        command(f"agency enrol {agency} --out {agency}.json")
        command(f"directory add-agency directory {agency}.json --yes")
    for draft in agreements:
        first, second = re.findall(r"[A-Z]+", re.search(r"^parties: (.*)$", draft.read_text(), re.MULTILINE)[1])  # type: ignore[index]
        signed = draft.with_suffix(".json")
        command(f"agreement sign {draft} --agency {first} --key {first}/keys/identity.key --yes")
        command(f"agreement sign {signed} --agency {second} --key {second}/keys/identity.key --yes")
        command(f"directory add-agreement directory {signed} --yes")
    command("directory sign directory --key custodian1.key --key custodian2.key --yes")
    command("directory publish directory --key online.key --yes")
    Path("root.json").write_bytes(Path("directory/metadata/1.root.json").read_bytes())
