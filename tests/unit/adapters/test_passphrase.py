"""hub/adapters/passphrase.py: where a passphrase is looked for, in which order, and whose file is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.adapters import passphrase as p
from hub.adapters.files import FileUnreadable
from hub.adapters.key_files import KeyFileExposed
from hub.trust.passphrase import PassphraseInvalid, PassphraseNeeded


def secret(path: Path, text: str | bytes = "from a file\n", mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def never(_: str) -> str:
    return pytest.fail("asked")


def test_the_file_first_then_the_credential_then_whoever_is_there(tmp_path: Path, credentials: Path) -> None:
    def find(file: Path | None) -> str:
        return p.find_secret(file, p.PASSPHRASE_CREDENTIAL, "passphrase", ask=lambda prompt: f"told after {prompt}")

    assert find(None) == "told after Passphrase: "
    secret(credentials / "cgi-hub.passphrase", "from a credential\n", 0o440)
    assert find(None) == "from a credential"
    assert find(secret(tmp_path / "f")) == "from a file"


def test_one_object_read_once(tmp_path: Path) -> None:
    source = p.passphrase_source(secret(tmp_path / "f"), ask=never)
    first = source()
    (tmp_path / "f").unlink()
    assert source() is first


def test_nothing_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(PassphraseNeeded, match=r"cgi-hub\.passphrase"):
        p.passphrase_source()()
    with pytest.raises(PassphraseNeeded):
        p.new_passphrase(None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileExposed, match="passphrase"):
        p.read_secret_line(secret(tmp_path / "f", mode=mode), "passphrase")


@pytest.mark.parametrize("raw", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"a\0b", b"x" * 1100])
def test_not_one_line_of_text(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(PassphraseInvalid):
        p.read_secret_line(secret(tmp_path / "f", raw), "passphrase")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable) as caught:
        p.passphrase_source(tmp_path / "none")()
    assert caught.value.details["file"] == tmp_path / "none"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(tmp_path: Path, ending: str) -> None:
    assert p.read_secret_line(secret(tmp_path / "f", " with spaces " + ending), "PIN") == " with spaces "


def test_a_new_one_is_asked_for_twice() -> None:
    answers = iter(["correct horse battery", "correct horse battery"])
    assert p.new_passphrase(None, ask=lambda _: next(answers)).new_key()
    wrong = iter(["correct horse battery", "correct horse batterie"])
    with pytest.raises(PassphraseInvalid, match="not the same"):
        p.new_passphrase(None, ask=lambda _: next(wrong))
