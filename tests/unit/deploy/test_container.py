"""deploy/container: what hadolint says of the file, and what the image promises."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deploy/container/Containerfile"
TEXT = FILE.read_text("utf-8")
RESULT = TEXT[TEXT.rindex("\nFROM ") :]
"""The last stage."""


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    return subprocess.run([program, "--no-color", file], capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    done = hadolint(FILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_sees_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text(TEXT.replace("USER 10001:10001", "USER root"))
    assert "root" in hadolint(tmp_path / "Containerfile").stdout


def test_nobodys_root_and_nothing_that_builds() -> None:
    assert re.findall(r"^USER (.*)$", RESULT, re.MULTILINE) == ["10001:10001"]
    assert "COPY --from=build /opt/cgi-hub /opt/cgi-hub" in RESULT
    assert RESULT.count("COPY") == 1
    assert not re.search(r"apt-get|pip install|uv |gcc|build-essential", RESULT)
    assert "/livez" in RESULT


def test_everything_comes_from_locks_with_hashes() -> None:
    installs = re.findall(r"pip (?:install|sync)[^&]*", TEXT)
    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes" in install or ("--offline" in install and "/wheel/" in install), install
    assert re.search(r"^ARG BASE=docker\.io/library/python:3\.\d+-slim-\w+$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", ["connectors", "hub", "pyproject.toml", "README.md", "requirements", "schemas"])
def test_the_context_is_what_the_image_is_made_of(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"
    assert f"!{name}" in ignored
    assert f"COPY {name}" in TEXT or f" {name} " in TEXT
