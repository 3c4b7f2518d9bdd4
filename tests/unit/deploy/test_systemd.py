"""deploy/systemd: the units are right by systemd's own checks, and let a process do as little as promised."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hub.cli.main import root

FOLDER = Path(__file__).parents[3] / "deploy/systemd"
UNITS = sorted(FOLDER.glob("*.service"))
WHOSE = ("User", "LoadCredential")
MOST_EXPOSED = 1.3
"""Of 10, as `systemd-analyze security` counts. What is left is the network, which is what they are for."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as a machine has them, each template with an instance, and a ``hub`` that exists."""
    folder = tmp_path / "system"
    shutil.copytree(FOLDER, folder)
    hub = tmp_path / "hub"
    hub.write_text("#!/bin/sh\n")
    hub.chmod(0o755)
    for unit in folder.glob("*.service"):
        text = unit.read_text().replace("/opt/cgi-hub/bin/hub", str(hub))
        unit.write_text(text)
        if unit.stem.endswith("@"):
            (folder / f"{unit.stem}1.service").write_text(text)
            unit.unlink()
    return folder


def analyze(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{installed}:"}
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False
    )


@needs_systemd
def test_verify_has_nothing_to_say(installed: Path) -> None:
    units = [str(unit) for unit in installed.glob("*.service")]
    assert len(units) == len(UNITS)
    done = analyze(installed, "verify", *units)
    about_ours = [line for line in done.stderr.splitlines() if "cgi-hub" in line or str(installed) in line]
    assert (done.returncode, about_ours) == (0, [])


@needs_systemd
def test_verify_sees_a_mistake(installed: Path) -> None:
    unit = installed / "cgi-hub-site@1.service"
    unit.write_text(unit.read_text().replace("User=", "Usre="))
    assert "Usre" in analyze(installed, "verify", str(unit)).stderr


@needs_systemd
def test_exposure(installed: Path) -> None:
    for unit in installed.glob("*.service"):
        done = analyze(installed, "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", str(unit))
        assert done.returncode == 0, done.stdout.splitlines()[-1]
    (installed / "cgi-hub-.service.d/10-common.conf").write_text("[Service]\nType=notify\n")
    done = analyze(installed, "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", str(unit))
    assert done.returncode != 0  # without the common part


@needs_systemd
@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["systemd-sysusers", "--dry-run"], "cgi-hub.sysusers.conf"),
        (["systemd-tmpfiles", "--create", "--root={root}"], "cgi-hub.tmpfiles.conf"),
    ],
)
def test_users_and_folders(tmp_path: Path, command: list[str], file: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", tmp_path / "etc" / name)
    words = [word.format(root=tmp_path) for word in command]
    done = subprocess.run([*words, FOLDER / file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if "tmpfiles" in file:
        assert (tmp_path / "etc/cgi-hub/credentials").stat().st_mode & 0o777 == 0o700


def settings(unit: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", unit.read_text())
    return [tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and line[0] != "#"]  # type: ignore[misc]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_each_unit_runs_a_command_that_there_is(unit: Path) -> None:
    mine = dict(settings(unit))
    command: click.Command | None = root
    words = [word for word in mine["ExecStart"].split()[1:] if not word.startswith("/")]
    for word in itertools.takewhile(lambda word: not word.startswith("-"), words):
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert mine["User"] == mine["Group"] != "root"
    users = (FOLDER / "cgi-hub.sysusers.conf").read_text()
    assert re.search(rf"^u +{mine['User']} ", users, re.MULTILINE)
    assert all(key in mine for key in ("StateDirectory", "LoadCredential"))


def test_no_two_roles_share_a_user_or_a_key() -> None:
    users, keys = ([value for unit in UNITS for name, value in settings(unit) if name == what] for what in WHOSE)
    assert len(users) == len(set(users)) == len(UNITS)
    files = [key.split(":")[1] for key in keys]
    assert len(files) == len(set(files)) > len(UNITS)


def test_starts_in_a_day_stay_below_what_recipients_take() -> None:
    common = dict(settings(FOLDER / "cgi-hub-.service.d/10-common.conf"))
    assert common["StartLimitIntervalSec"] == "1d"
    assert int(common["StartLimitBurst"]) < 100  # spec 11.8
    assert (common["Type"], common["WatchdogSec"]) == ("notify", "3min")


def test_examples_are_drop_ins_that_systemd_understands(installed: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    folder = installed / "cgi-hub-site@.service.d"
    folder.mkdir()
    for example in FOLDER.glob("*.conf.example"):
        shutil.copy(example, folder / example.stem)
    unit = installed / "cgi-hub-site@1.service"
    assert "Unknown" not in analyze(installed, "verify", str(unit)).stderr
