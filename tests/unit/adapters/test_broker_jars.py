from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from hub.adapters.broker_jars import JarCorrupt, JarMissing, verify_jars
from hub.errors import ConfigError


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in ("a.jar", "b.jar"):
        (jars / name).write_bytes(name.encode())
    pins = tmp_path / "jars.sha256"
    pins.write_text("".join(f"{sha256(n.encode()).hexdigest()}  {n}\n" for n in ("a.jar", "b.jar")))
    return pins


def test_the_listed_jars_are_the_class_path_and_no_other(pins: Path) -> None:
    (pins.parent / "jars" / "evil.jar").write_bytes(b"x")
    assert [jar.name for jar in verify_jars(pins.parent / "jars", pins)] == ["a.jar", "b.jar"]


def test_a_missing_jar(pins: Path) -> None:
    (pins.parent / "jars" / "b.jar").unlink()
    with pytest.raises(JarMissing, match="make broker") as caught:
        verify_jars(pins.parent / "jars", pins)
    assert caught.value.details["jar"] == pins.parent / "jars" / "b.jar"


def test_a_corrupt_jar(pins: Path) -> None:
    (pins.parent / "jars" / "b.jar").write_bytes(b"b.jaR")
    with pytest.raises(JarCorrupt, match="make broker") as caught:
        verify_jars(pins.parent / "jars", pins)
    assert caught.value.details["jar"] == pins.parent / "jars" / "b.jar"


@pytest.mark.parametrize("text", ["", "abc  a.jar\n", f"{'0' * 64}  ../a.jar\n", f"{'0' * 64} a.jar\n"])
def test_a_list_that_is_none(pins: Path, text: str) -> None:
    pins.write_text(text)
    with pytest.raises(ConfigError):
        verify_jars(pins.parent / "jars", pins)


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        verify_jars(tmp_path, tmp_path / "none")
