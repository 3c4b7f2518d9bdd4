"""The wheel that a deployment installs: it has the schemas and topics, and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_file_of_schemas_is_in_it(unpacked: Path) -> None:
    inside = {path.relative_to(unpacked / "hub" / "_schemas") for path in (unpacked / "hub" / "_schemas").rglob("*")}
    here = {path.relative_to(ROOT / "schemas") for path in (ROOT / "schemas").rglob("*") if path.is_file()}
    assert here
    assert here <= inside


def test_it_loads_its_schemas_and_topics_without_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    program = (
        "import hub\n"
        "from pathlib import Path\n"
        f"assert Path(hub.__file__).is_relative_to({str(unpacked)!r}), hub.__file__\n"
        "from hub.catalog import Catalog\n"
        "from hub.topics import Declaration\n"
        "assert 'trace.request' in Catalog.load().names()\n"
        "assert Declaration.load().topics(['ATF'])\n"
    )
    # -S would hide the libraries too: the checkout's editable install comes after PYTHONPATH
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
