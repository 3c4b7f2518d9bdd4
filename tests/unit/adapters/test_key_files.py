"""hub/adapters/key_files.py: who may read a key, and what is never written over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hub.adapters import key_files as f
from hub.adapters.files import FileUnreadable
from hub.trust import passphrase
from hub.trust.keys import KeyFileInvalid, KeyUse, read_derivation
from tests.support.authority import kem_key, signing_key


class TestKeyFiles:
    def test_never_for_others_not_even_for_a_moment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fchmod", lambda *_: None)
        before = os.umask(0)
        try:
            f.write_secret(tmp_path / "a.key", b"x")
        finally:
            os.umask(before)
        assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("umask", [0, 0o077, 0o277])
    def test_written_for_the_owner_alone(self, tmp_path: Path, umask: int) -> None:
        path = tmp_path / "signing.key"
        before = os.umask(umask)
        try:
            public = f.write_key(path, KeyUse.SIGNING, signing_key("x").seed)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o600
        assert public == tmp_path / "signing.pub"
        assert f.load_signing_key(path).seed == signing_key("x").seed
        assert f.load_verify_key(public, KeyUse.SIGNING) == signing_key("x").public

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
    def test_refused_when_others_can_read_or_write_it(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "signing.key"
        f.write_key(path, KeyUse.SIGNING, signing_key("x").seed)
        path.chmod(mode)
        with pytest.raises(f.KeyFileExposed, match="chmod 600"):
            f.load_signing_key(path)

    def test_never_over_another_key(self, tmp_path: Path) -> None:
        path = tmp_path / "signing.key"
        f.write_key(path, KeyUse.SIGNING, signing_key("x").seed)
        with pytest.raises(FileUnreadable, match="never written over"):
            f.write_key(path, KeyUse.SIGNING, signing_key("y").seed)
        assert f.load_signing_key(path).seed == signing_key("x").seed

    def test_the_file_is_named_in_what_is_wrong_with_it(self, tmp_path: Path) -> None:
        path = tmp_path / "identity.key"
        f.write_key(path, KeyUse.IDENTITY, signing_key("x").seed)
        with pytest.raises(KeyFileInvalid) as caught:
            f.load_signing_key(path)
        assert caught.value.details["file"] == path
        with pytest.raises(FileUnreadable):
            f.load_signing_key(tmp_path / "none.key")
        with pytest.raises(FileUnreadable, match="plain file"):
            f.load_signing_key(Path("/dev/null"))

    def test_every_kem_key_of_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileUnreadable):
            f.load_kem_keys(tmp_path / "none")
        with pytest.raises(FileUnreadable, match="0 KEM keys"):
            f.load_kem_keys(tmp_path)
        for name in ("2026-10", "2026-11"):
            public = f.write_key(tmp_path / f"{name}.key", KeyUse.KEM, kem_key(name).seed)
            assert f.load_kem_public_key(public).raw == kem_key(name).public.raw
        assert [key.seed for key in f.load_kem_keys(tmp_path)] == [kem_key("2026-10").seed, kem_key("2026-11").seed]
        (tmp_path / "2026-10.key").chmod(0o644)
        with pytest.raises(f.KeyFileExposed):
            f.load_kem_keys(tmp_path)

    def test_too_long(self, tmp_path: Path) -> None:
        path = tmp_path / "signing.key"
        f.write_secret(path, b" " * (f.MAX_KEY_FILE + 1))
        with pytest.raises(FileUnreadable, match="longer"):
            f.load_signing_key(path)


class TestEncrypted:
    @pytest.fixture(autouse=True)
    def _cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))

    def test_a_folder_is_derived_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        writer = passphrase.Passphrase("correct horse battery")
        for name in ("a", "b", "c"):
            f.write_key(tmp_path / f"{name}.key", KeyUse.KEM, kem_key(name).seed, f.folder_key(tmp_path, writer))
        derived = []
        derive = passphrase.Passphrase._derive
        monkeypatch.setattr(
            passphrase.Passphrase, "_derive", lambda self, *told: derived.append(told) or derive(self, *told)
        )
        reader = passphrase.Passphrase("correct horse battery")
        assert len(f.load_kem_keys(tmp_path, f.KeyAccess(lambda: reader))) == 3
        assert len(set(derived)) == 1

    def test_a_new_file_takes_the_salt_of_its_folder(self, tmp_path: Path) -> None:
        f.write_key(
            tmp_path / "a.key", KeyUse.KEM, kem_key("a").seed, passphrase.Passphrase("correct horse battery").new_key()
        )
        (tmp_path / "b.key").write_text("not a key")
        same = f.folder_key(tmp_path, passphrase.Passphrase("correct horse battery"))
        other = f.folder_key(tmp_path, passphrase.Passphrase("incorrect horse battery"))
        found = read_derivation((tmp_path / "a.key").read_bytes())
        assert found is not None
        assert same.derivation == found
        assert other.derivation.check != found.check

    def test_the_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.key"
        f.write_key(path, KeyUse.KEM, kem_key("a").seed, passphrase.Passphrase("correct horse battery").new_key())
        with pytest.raises(passphrase.PassphraseNeeded) as needed:
            f.load_kem_key(path)
        with pytest.raises(passphrase.PassphraseWrong) as wrong:
            f.load_kem_key(path, f.KeyAccess(lambda: passphrase.Passphrase("wrong")))
        assert needed.value.details["file"] == wrong.value.details["file"] == path

    def test_a_plain_file_is_encrypted_in_its_place(self, tmp_path: Path) -> None:
        path = tmp_path / "a.key"
        f.write_key(path, KeyUse.KEM, kem_key("a").seed)
        phrase = passphrase.Passphrase("correct horse battery")
        f.encrypt_key_file(path, None, phrase.new_key())
        assert path.stat().st_mode & 0o777 == 0o600
        assert f.load_kem_key(path, f.KeyAccess(lambda: phrase)).seed == kem_key("a").seed
        assert [found.name for found in tmp_path.iterdir() if found.suffix == ".tmp"] == []


class TestWriting:
    def test_a_crash_leaves_no_half_of_a_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "link", stopped)
        with pytest.raises(KeyboardInterrupt):
            f.write_secret(tmp_path / "a.key", b"x")
        assert list(tmp_path.iterdir()) == []

    def test_on_a_stick_without_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_links(*_: object) -> None:
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", no_links)
        f.write_secret(tmp_path / "a.key", b"x")
        assert f.read_secret(tmp_path / "a.key") == b"x"
        with pytest.raises(FileUnreadable, match="never written over"):
            f.write_secret(tmp_path / "a.key", b"y")
        assert [found.name for found in tmp_path.iterdir()] == ["a.key"]

    def test_destroyed(self, tmp_path: Path) -> None:
        f.write_secret(tmp_path / "a.key", b"x")
        os.link(tmp_path / "a.key", tmp_path / "seen")
        for _ in range(2):
            f.destroy_secret(tmp_path / "a.key")
        assert not (tmp_path / "a.key").exists()
        assert (tmp_path / "seen").read_bytes() == b"\0"
