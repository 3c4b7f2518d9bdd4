"""``hub keys``: keys of one use for their owner alone; an agency's statement, made, extended, and with keys revoked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.adapters.files import load_statement
from hub.adapters.key_files import load_kem_keys, load_signing_key, load_verify_key
from hub.model import HUB, AgencyId
from hub.trust.keys import KeyUse
from hub.trust.statement import KeyStatement, verify_statement
from tests.support.command import hub

JCF = AgencyId("JCF")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def statement(path: str) -> KeyStatement:
    identity = load_verify_key(Path("identity.pub"), KeyUse.IDENTITY)
    return verify_statement(load_statement(Path(path)), identity=identity, hub=HUB, agency=JCF)


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


class TestStatement:
    @pytest.fixture(autouse=True)
    def _keys(self) -> None:
        for name, use in (
            ("identity", "identity"),
            ("main", "signing"),
            ("island", "signing"),
            ("k1", "kem"),
            ("k2", "kem"),
        ):
            assert hub(f"keys generate {use} --out {name}.key").code == 0

    def make(self, arguments: str, out: str = "s.json", identity: str = "identity.key") -> int:
        return hub(f"keys statement --agency JCF --identity {identity} --until 2031-01-01 --out {out} {arguments}").code

    def test_first(self) -> None:
        assert self.make("--signing main.pub --kem k1.pub") == 0
        found = statement("s.json")
        assert found.version == 1
        assert [entry.site for entry in found.signing_keys] == ["main"]
        begins = found.signing_keys[0].not_before_ms
        assert begins <= time.time() * 1000 < begins + 2 * 86_400_000
        assert begins % 86_400_000 == 0

    def test_the_next_keeps_what_the_last_had(self) -> None:
        self.make("--signing main.pub --kem k1.pub")
        assert self.make("--previous s.json --signing island.pub --kem k2.pub", "t.json") == 0
        found = statement("t.json")
        assert found.version == 2
        assert [entry.site for entry in found.signing_keys] == ["main", "island"]
        assert len(found.kem_keys) == 2
        assert found.kem_keys[0].not_before_ms < found.kem_keys[1].not_before_ms

    def test_revoke(self) -> None:
        self.make("--signing main.pub --signing island.pub --kem k1.pub")
        lost = statement("s.json").signing_keys[1].key.key_id.hex()
        assert self.make(f"--previous s.json --revoke {lost[:10]}", "t.json") == 0
        revoked = [entry.revoked_at_ms for entry in statement("t.json").signing_keys]
        assert revoked[0] is None
        assert revoked[1] is not None
        assert abs(revoked[1] - time.time() * 1000) < 60_000
        assert self.make(f"--previous t.json --revoke {lost}", "u.json") == 0  # it stays as it was
        assert statement("u.json").signing_keys[1].revoked_at_ms == revoked[1]

    @pytest.mark.parametrize("revoke", ["00000000", "abc", ""])
    def test_revoke_what_is_not_there(self, revoke: str) -> None:
        self.make("--signing main.pub --kem k1.pub")
        assert self.make(f"--previous s.json --revoke '{revoke}'", "t.json") == 2
        assert not Path("t.json").exists()

    def test_revoke_without_a_last_statement(self) -> None:
        assert self.make("--signing main.pub --revoke 0123456789") == 2

    def test_keys_of_another_use(self) -> None:
        assert self.make("--signing k1.pub") == 2
        assert self.make("--kem main.pub") == 2
        assert self.make("--signing main.pub", identity="main.key") == 2

    def test_a_last_statement_of_another(self) -> None:
        self.make("--signing main.pub --kem k1.pub")
        hub("keys generate identity --out other.key")
        assert self.make("--previous s.json", "t.json", identity="other.key") == 1
