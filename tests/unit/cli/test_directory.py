"""``hub directory``: a draft, signed by one custodian after the other, verified and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Ran, hub

DRAFT = """\
version: {version}
expires: 2031-01-31
agencies:
  - {{agency: JCF, name: Jamaica, identity: JCF/identity.pub, statement: JCF/statement.json}}
  - {{agency: ATF, name: ATF, active: false, identity: ATF/identity.pub, statement: ATF/statement.json}}
agreements:
  - id: "MOU #1"
    from: JCF
    to: ATF
    types: [trace.request]
    compartments: [core]
    purposes: [INVESTIGATION]
    max_handling: TLP:AMBER
    begins: 2024-07-01
    ends: 2031-07-01
    reference: MOU of 2024
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("directory")
    custodians = ""
    for i in (1, 2, 3):
        hub(f"keys generate custodian --out {folder}/c{i}.key")
        custodians += f" --custodian c{i}={folder}/c{i}.pub"
    assert hub(f"directory root --threshold 2 --out {folder}/root.json {custodians}").code == 0
    hub(f"keys generate custodian --out {folder}/stranger.key")
    for agency in ("JCF", "ATF"):
        (folder / agency).mkdir()
        for use in ("identity", "signing", "kem"):
            hub(f"keys generate {use} --out {folder}/{agency}/{use}.key")
        assert (
            hub(
                f"keys statement --agency {agency} --identity {folder}/{agency}/identity.key --until 2031-01-01 "
                f"--signing {folder}/{agency}/signing.pub --kem {folder}/{agency}/kem.pub "
                f"--out {folder}/{agency}/statement.json"
            ).code
            == 0
        )
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    write()
    return made


def write(version: int = 1, old: str = "", new: str = "") -> None:
    text = DRAFT.format(version=version)
    assert old in text
    Path("draft.yaml").write_text(text.replace(old, new) if old else text, encoding="utf-8")


def sign(source: str, keys: str = "c1", out: str = "directory.json") -> Ran:
    named = " ".join(f"--key {key}.key" for key in keys.split())
    return hub(f"directory sign {source} --root root.json {named} --out {out} --json")


@pytest.mark.usefixtures("folder")
class TestSign:
    def test_one_custodian_after_the_other(self) -> None:
        first = sign("draft.yaml", "c1", "half.json").json
        assert (first["signed_by"], first["signatures_lacking"]) == (["c1"], 1)
        assert hub("directory verify half.json --root root.json").code == 1
        second = sign("half.json", "c3").json
        assert (set(second["signed_by"]), second["signatures_lacking"]) == ({"c1", "c3"}, 0)
        assert first["digest"] == second["digest"]
        verified = hub("directory verify directory.json --root root.json --json")
        assert verified.code == 0
        assert verified.json["version"] == 1

    def test_nobody(self) -> None:
        assert sign("draft.yaml", "").json["signatures_lacking"] == 2
        assert "directory.unsigned" in hub("directory verify directory.json --root root.json").err

    def test_a_stranger(self) -> None:
        Path("never.json").unlink(missing_ok=True)
        ran = sign("draft.yaml", "stranger", "never.json")
        assert ran.code == 2
        assert "directory.custodian_unknown" in ran.err
        assert not Path("never.json").exists()

    def test_what_a_reader_would_refuse_is_not_signed(self) -> None:
        write(old="ATF/identity.pub", new="JCF/identity.pub")
        ran = sign("draft.yaml", "c1 c2", "never.json")
        assert ran.code == 1
        assert "statement.signature_invalid" in ran.err
        assert not Path("never.json").exists()

    def test_expired(self) -> None:
        write(old="2031-01-31", new="2020-01-31")
        assert sign("draft.yaml", "c1 c2", "never.json").code == 3

    def test_agreements_that_are_better_one(self) -> None:
        text = DRAFT.format(version=1)
        agreement = text.partition("agreements:\n")[2]
        two = agreement.replace("MOU #1", "MOU #2").replace("[core]", "[sensitive]")
        Path("draft.yaml").write_text(text + two, encoding="utf-8")
        assert "MOU #2" in sign("draft.yaml").json["warnings"][0]
        ran = hub("directory sign draft.yaml --root root.json --key c1.key --out directory.json")
        assert "warning" in ran.err
        assert "1 more of 2 signatures" in ran.out


@pytest.mark.usefixtures("folder")
class TestShow:
    def test_shown(self) -> None:
        sign("draft.yaml", "c1 c2")
        ran = hub("directory show directory.json --root root.json --json")
        assert [row["state"] for row in ran.json["agencies"]] == ["suspended", "active"]
        (row,) = ran.json["agreements"]
        assert (row["agreement"], row["begins"], row["ends"]) == ("MOU #1", "2024-07-01", "2031-07-01")
        text = hub("directory show directory.json --root root.json").out
        for wanted in ("JCF", "suspended", "MOU #1", "TLP:AMBER"):
            assert wanted in text

    def test_refused(self) -> None:
        write(version=3)
        sign("draft.yaml", "c1 c2")
        assert hub("directory verify directory.json --root root.json --at-least 3").code == 0
        ran = hub("directory verify directory.json --root root.json --at-least 4")
        assert ran.code == 1
        assert "directory.rolled_back" in ran.err
        envelope = json.loads(Path("directory.json").read_bytes())
        envelope["signatures"].pop()
        Path("directory.json").write_text(json.dumps(envelope), encoding="utf-8")
        assert "directory.too_few_signatures" in hub("directory show directory.json --root root.json").err


@pytest.mark.parametrize("arguments", ["--threshold 3", "--threshold 0"])
@pytest.mark.usefixtures("folder")
def test_a_root_that_cannot_be_met(arguments: str) -> None:
    ran = hub(f"directory root {arguments} --custodian a=c1.pub --custodian b=c2.pub --out r.json")
    assert ran.code == 2
    assert "root.invalid" in ran.err


@pytest.mark.usefixtures("folder")
def test_a_custodian_without_a_name() -> None:
    assert hub("directory root --threshold 1 --custodian c1.pub --out r.json").code == 2
