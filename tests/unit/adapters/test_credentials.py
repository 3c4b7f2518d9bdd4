"""hub/adapters/credentials.py: whose key may be read by whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.adapters.credentials import forbidden_bits
from hub.adapters.key_files import KeyFileExposed, load_signing_key, write_key
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFileInvalid
from hub.trust.keys import KeyUse


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    path = tmp_path / "given" / "signing.key"
    write_key(path, KeyUse.SIGNING, bytes(64))
    return path


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_given_by_a_service_manager(key: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    key.chmod(mode)
    load_signing_key(key)


@pytest.mark.parametrize("mode", [0o404, 0o444, 0o460, 0o420, 0o450])
def test_given_but_exposed_all_the_same(key: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    key.chmod(mode)
    with pytest.raises(KeyFileExposed):
        load_signing_key(key)


@pytest.mark.parametrize("folder", ["", ".", "elsewhere", "giv", "given/sub"])
def test_a_key_elsewhere_is_its_owners_alone(key: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(key.parent)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", folder if folder in ("", ".") else str(key.parents[1] / folder))
    key.chmod(0o440)
    with pytest.raises(KeyFileExposed):
        load_signing_key(key)


def test_no_way_out_of_the_folder(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    assert forbidden_bits(key.parent / ".." / "other" / "signing.key") == 0o077
    assert forbidden_bits(key.parent / "sub" / ".." / "signing.key") == 0o037


def test_a_tls_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Authority.create(tmp_path / "pki").issue_client("ATF", tmp_path / "tls")
    files.key.chmod(0o440)
    with pytest.raises(TlsFileInvalid, match="others can read"):
        files.check()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "tls"))
    files.check()
