"""Every schema reaches the wheel, and loads from it outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

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


def test_every_schema_loads_from_the_wheel(tmp_path: Path) -> None:
    # hatchling is the build backend itself: no network, no isolated environment
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(target)
    for path in (ROOT / "schemas").rglob("*"):
        if path.is_file():
            assert f"hub/_schemas/{path.relative_to(ROOT / 'schemas').as_posix()}" in names
    for path in (ROOT / "connectors" / "profiles").glob("*.yaml"):
        assert f"connectors/profiles/{path.name}" in names
    script = SCRIPT.format(target=str(target))
    # -I: neither the folder nor the environment brings the checkout; the dependencies come from where they are
    paths = f"import sys; sys.path[:0] = [{str(target)!r}, {sysconfig.get_paths()['purelib']!r}]\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", paths + script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*catalog().names(), str(len(catalog().code_lists))]
