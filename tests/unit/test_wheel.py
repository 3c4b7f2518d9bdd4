"""What the wheel carries works outside the checkout: schemas, declarations of topics, connectors, the command."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from hub.topics import Declaration
from tests.support.samples import catalog

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import hub, hub.catalog
assert hub.__file__.startswith({target!r}), hub.__file__
catalog = hub.catalog.Catalog.load()
for name in catalog.names():
    catalog.get(name).avro(catalog.get(name).compartments[0])
print(*catalog.names(), len(catalog.code_lists))
"""
TOPICS = """
import hub.topics
assert hub.topics.__file__.startswith({target!r}), hub.topics.__file__
for file in hub.topics.Declaration.load().files:
    print(file.topic)
"""
POINTS = """
import importlib.metadata
(found,) = importlib.metadata.distributions(name="cgi-hub", path=[{target!r}])
for point in found.entry_points:
    thing = point.load()
    module = sys.modules[point.value.split(":")[0]]
    assert module.__file__.startswith({target!r}), module.__file__
    assert callable(thing) or callable(thing.build), point
    print(point.group, point.name, point.value, sep="|")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what an installation of the wheel has."""
    folder = tmp_path_factory.mktemp("wheel")
    # hatchling is the build backend itself: no network, no isolated environment
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder / "dist"), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def run(script: str, installed: Path) -> list[str]:
    """The lines that a script prints which imports from ``installed`` alone."""
    # -I: neither the folder nor the environment brings the checkout; the dependencies come from where they are
    paths = f"import sys; sys.path[:0] = [{str(installed)!r}, {sysconfig.get_paths()['purelib']!r}]\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", paths + script.format(target=str(installed))],
        cwd=installed.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_file_of_schemas_and_every_profile_is_there(installed: Path) -> None:
    for path in (ROOT / "schemas").rglob("*"):
        if path.is_file():
            assert (installed / "hub" / "_schemas" / path.relative_to(ROOT / "schemas")).is_file(), path
    for path in (ROOT / "connectors" / "profiles").glob("*.yaml"):
        assert (installed / "connectors" / "profiles" / path.name).is_file(), path


def test_the_console_has_its_pages_words_and_scripts(installed: Path) -> None:
    """Those of npm too, where `make setup-console` has fetched them: they are not in git."""
    wanted = [path for path in (ROOT / "hub" / "console").rglob("*.*") if path.suffix not in (".py", ".pyc")]
    assert len(wanted) > 15
    for path in wanted:
        assert (installed / path.relative_to(ROOT)).is_file(), path


def test_every_schema_loads(installed: Path) -> None:
    assert run(SCRIPT, installed) == [" ".join([*catalog().names(), str(len(catalog().code_lists))])]


def test_the_declarations_of_the_topics_load(installed: Path) -> None:
    assert run(TOPICS, installed) == [file.topic for file in Declaration.load().files]


def test_every_entry_point_is_in_the_metadata_and_loads(installed: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {f"console_scripts|{name}|{value}" for name, value in project["scripts"].items()}
    for group, points in project["entry-points"].items():
        wanted |= {f"{group}|{name}|{value}" for name, value in points.items()}
    assert len(wanted) > len(project["scripts"])
    assert set(run(POINTS, installed)) == wanted
