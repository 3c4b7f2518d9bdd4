"""``hub keys``: keys of one use for their owner alone, plain or encrypted; fingerprints to read out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.adapters.key_files import KeyAccess, load_kem_keys, load_signing_key
from hub.trust import passphrase
from hub.trust.keys import KeyUse, read_derivation
from tests.support.command import hub


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("use", ["custodian", "identity", "signing", "kem"])
def test_generate_and_show(use: str) -> None:
    made = hub(f"keys generate {use} --out a.key --json").json
    assert Path("a.key").stat().st_mode & 0o777 == 0o600
    shown = hub("keys show a.key a.pub --json").json
    assert [(row["use"], row["key_id"], row["private"]) for row in shown] == [
        (use, made["key_id"], True),
        (use, made["key_id"], False),
    ]
    assert made["key_id"] in hub("keys show a.pub").out
    seed = Path("a.key").read_text(encoding="ascii").partition('"seed":"')[2].partition('"')[0]
    assert seed not in hub("keys show a.key").out


def test_into_a_folder_by_id() -> None:
    Path("kem").mkdir()
    for _ in range(2):
        assert hub("keys generate kem --out kem").code == 0
    assert len(load_kem_keys(Path("kem"))) == 2


def test_never_over_a_key() -> None:
    hub("keys generate signing --out a.key")
    before = load_signing_key(Path("a.key")).seed
    ran = hub("keys generate signing --out a.key")
    assert ran.code == 2
    assert "never written over" in ran.err
    assert load_signing_key(Path("a.key")).seed == before


def test_show_refuses_what_others_can_read() -> None:
    hub("keys generate signing --out a.key")
    Path("a.key").chmod(0o640)
    ran = hub("keys show a.key")
    assert (ran.code, ran.out) == (2, "")
    assert "key_file.exposed" in ran.err


class TestEncrypted:
    @pytest.fixture(autouse=True)
    def _cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))
        Path("pass").write_text("correct horse battery\n", encoding="ascii")
        Path("pass").chmod(0o600)

    def test_from_the_first_moment(self) -> None:
        for name in ("a", "b"):
            assert hub(f"keys generate custodian --out {name}.key --passphrase-file pass").code == 0
        phrase = passphrase.Passphrase("correct horse battery")
        for name in ("a", "b"):
            load_signing_key(Path(f"{name}.key"), KeyUse.CUSTODIAN, KeyAccess(lambda: phrase))
        assert read_derivation(Path("a.key").read_bytes()) == read_derivation(Path("b.key").read_bytes())
        assert hub("keys show a.key --json").json[0]["encrypted"] is True

    def test_nobody_to_ask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        assert "passphrase.needed" in hub("keys generate custodian --out a.key --encrypt").err
        assert not Path("a.key").exists()

    def test_a_file_that_others_can_read(self) -> None:
        Path("pass").chmod(0o644)
        assert "key_file.exposed" in hub("keys generate custodian --out a.key --passphrase-file pass").err


class TestWords:
    @pytest.mark.parametrize("language", ["english", "french", "spanish"])
    def test_read_out_and_compared(self, language: str) -> None:
        hub("keys generate custodian --out a.key")
        words = hub(f"keys show a.pub --words --language {language} --json").json[0]["words"]
        told = hub(f"keys check-words a.key '{' '.join(words)}' --json")
        assert (told.code, told.json["language"]) == (0, language)

    def test_of_another_key(self) -> None:
        for name in ("a", "b"):
            hub(f"keys generate custodian --out {name}.key")
        words = " ".join(hub("keys show a.pub --words --json").json[0]["words"])
        ran = hub(f"keys check-words b.pub '{words}'")
        assert (ran.code, ran.out) == (1, "")
        assert "fingerprint.differs" in ran.err
