"""A PKCS #11 token in software: SoftHSM2, in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
PIN = "271828"


@dataclass(frozen=True)
class SoftToken:
    """``library`` is what a site's settings name; ``folder`` is what the token is stored in."""

    library: Path
    folder: Path
    label: str
    pin_file: Path

    def pull(self) -> None:
        """As if somebody took the token out of its reader."""
        self.folder.rename(self.folder.with_name("pulled"))
        self.folder.mkdir()

    def put_back(self) -> None:
        self.folder.rmdir()
        self.folder.with_name("pulled").rename(self.folder)


def find_library() -> Path:
    """Skips the test where SoftHSM2 is not installed."""
    found = next((Path(name) for name in LIBRARIES if Path(name).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed (on Debian: apt-get install softhsm2, or make setup-token)")
    return found


def make_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str = "JCF") -> SoftToken:
    """A fresh token. Its library reads SOFTHSM2_CONF when it is initialised: see :func:`forget_library`."""
    library = find_library()
    folder = tmp_path / "tokens"
    folder.mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "31415926"],
        check=True,
        capture_output=True,
        env={**os.environ, "SOFTHSM2_CONF": str(configuration)},
    )
    forget_library(library)
    pin_file = tmp_path / "pin"
    pin_file.write_text(PIN + "\n")
    pin_file.chmod(0o600)
    return SoftToken(library, folder, label, pin_file)


def forget_library(library: Path) -> None:
    """One process has one initialisation of a PKCS #11 library: end it, so that the next one reads its settings."""
    import pkcs11

    known = pkcs11._loaded.get(str(library))
    if known is not None and known.initialized:
        known.finalize()
