"""From nothing to a site that could start: an agency's commands on one side, custodians and operator on the other."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from hub.adapters.agency_folder import load_state
from hub.adapters.fingerprint import fingerprint_words
from hub.adapters.pki import Authority
from hub.adapters.repository_files import load_repository
from hub.adapters.tls import client_context
from hub.app.keys import key_access, tls_files
from hub.app.site import load_publisher_key
from hub.settings import load_site
from hub.trust import passphrase
from hub.trust.agency_state import Slot
from hub.trust.signed_json import encode_json
from tests.support.command import Ran, hub

NAME = '--name "Jamaica Constabulary Force"'


def run(line: str, code: int = 0) -> Ran:
    ran = hub(line)
    assert ran.code == code, f"{line}: {ran.err}"
    return ran


@pytest.fixture(autouse=True)
def _two_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two custodians, an operator with its CA, and a passphrase of the agency's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))
    Path("pass").write_text("correct horse battery\n")
    Path("pass").chmod(0o600)
    for name in ("north", "east"):
        run(f"keys generate custodian --out {name}.key")
    run("keys generate online --out online.key")
    run(
        "directory init repository --threshold 2 --custodian north=north.pub --custodian east=east.pub "
        "--online online.pub"
    )
    Authority.create(Path("ca"))


def publish() -> None:
    run("directory sign repository --key north.key --key east.key --yes")
    date()


def date() -> None:
    run("directory publish repository --key online.key --yes")


def enrolled(site: str = "") -> None:
    """JCF is listed, and its reply is in reply.json."""
    run(f"agency init a --agency JCF {NAME} --passphrase-file pass {site and f'--site {site}'}")
    run("agency enrol a")
    run("directory add-agency repository a/enrolment.json --yes")
    publish()
    answer()


def answer() -> None:
    run("directory reply repository a/enrolment.json --authority ca --bootstrap broker.example:9093 --out reply.json")


def install(more: str = "--yes", code: int = 0) -> Ran:
    return run(f"agency enrol a --reply reply.json --passphrase-file pass {more}", code)


def items(more: str = "", code: int = 0) -> dict[str, dict[str, object]]:
    told = run(f"agency status a --warn-days 10 --directory repository --json {more}", code).json
    return {item["what"]: item for item in told["items"]}


def root_words(language: str = "english") -> str:
    return " ".join(run(f"keys show a/root.json --words --language {language} --json").json[0]["words"])


class TestJoining:
    def test_the_site_could_start(self) -> None:
        enrolled("main")
        told = install("--yes --json").json
        assert told["written"] == ["root.json", "ca.pem", "tls.pem", "site.toml"]
        settings = load_site(Path("a/site.toml"))
        assert (settings.agency, settings.kafka.bootstrap) == ("JCF", "broker.example:9093")
        client_context(tls_files(settings.kafka))
        assert load_publisher_key(settings).public.key_id.hex() == load_state(Path("a")).current(Slot.SIGNING).key_id
        assert key_access(settings.keys).passphrase is not None
        found = items()
        assert {item["standing"] for item in found.values()} <= {"ok"}
        assert {"TLS certificate", "operator's CA", "directory"} <= found.keys()

    def test_the_roots_words_are_compared(self) -> None:
        enrolled()
        assert "--yes" in install("", 2).err
        assert not Path("a/root.json").exists()
        told = install("--root-words 'legal winner thank year wave sausage worth useful legal winner thank yellow'", 1)
        assert "another key's fingerprint" in told.err
        assert not Path("a/root.json").exists()
        install()
        for language in ("english", "spanish"):
            run(f"keys check-words a/root.json '{root_words(language)}'")
        Path("a/root.json").unlink()
        words = " ".join(json.loads(install("--yes --json").out)["root_words"])
        install(f"--root-words '{words}'")

    def test_twice_keeps_what_the_agency_has_changed(self) -> None:
        enrolled()
        install()
        Path("a/site.toml").write_text(Path("a/site.toml").read_text() + "# ours\n")
        assert "site.toml" not in install("--yes --json").json["written"]
        assert Path("a/site.toml").read_text().endswith("# ours\n")


def changed(change: Callable[[dict[str, object]], object]) -> None:
    form = json.loads(Path("reply.json").read_bytes())
    change(form)
    Path("reply.json").write_bytes(encode_json(form))


class TestReplyRefused:
    @pytest.fixture(autouse=True)
    def _answered(self) -> None:
        enrolled()

    def refused(self, text: str) -> None:
        assert text in install(code=1).err
        assert not [path.name for path in Path("a").glob("*.pem")]
        assert not Path("a/root.json").exists()

    def test_for_another_agency(self) -> None:
        changed(lambda form: form.update(agency="ATF"))
        self.refused("another agency")

    def test_without_our_certificate(self) -> None:
        changed(lambda form: form.update(certificates={"other": "x"}))
        self.refused("no certificate for this site")

    def test_a_site_whose_name_leads_elsewhere(self) -> None:
        changed(lambda form: form.update(certificates={"": "x", "../../x": "x"}))
        self.refused("not the reply to an enrolment")

    def test_not_pem(self) -> None:
        changed(lambda form: form.update(certificates={"": "x"}))
        self.refused("not in PEM")

    @pytest.mark.parametrize("what", ["another key", "another agency", "expired", "another CA"])
    def test_a_certificate_that_is_not_ours(self, what: str) -> None:
        request = Path("a/tls.csr").read_bytes()
        authority = Authority.load(Path("ca"))
        match what:
            case "another key":
                pem = authority.issue_client("JCF", Path("other")).certificate.read_text()
            case "another agency":
                pem = authority.sign_request(request, "ATF").decode()
            case "expired":
                long_ago = datetime.now(UTC) - timedelta(days=1000)
                pem = authority.sign_request(request, "JCF", now=long_ago).decode()
            case _:
                pem = Authority.create(Path("ca2")).sign_request(request, "JCF").decode()
        changed(lambda form: form.update(certificates={"": pem}))
        self.refused({"another CA": "not issued by the CA"}.get(what, what))

    def test_a_root_of_another_hub(self) -> None:
        run("directory init other --hub OTHER --threshold 1 --custodian north=north.pub --online online.pub")
        run("directory sign other --key north.key --yes")
        raw = load_repository(Path("other")).staged["root"]
        changed(lambda form: form.update(root=b64encode(raw).decode()))
        assert install(code=1).err
        assert not Path("a/root.json").exists()


class TestLivingOn:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        enrolled()
        install()

    def test_a_new_kem_key(self) -> None:
        run("agency rotate kem a --passphrase-file pass --yes")
        assert items(code=1)["listing"]["standing"] == "soon"  # signed, and not sent yet
        run("directory update-agency repository a/statement.json --yes")
        date()
        assert "listing" not in items()

    def test_a_new_signing_key_takes_its_place_when_it_is_listed(self) -> None:
        run("agency rotate signing a --passphrase-file pass --yes")
        finish = "agency rotate signing a --finish --passphrase-file pass --directory repository --yes"
        assert "agency.not_listed" in run(finish, 2).err
        assert items(code=1)["new signing key"]["text"] == "the directory does not list it yet"
        run("directory update-agency repository a/statement.json --yes")
        date()
        assert "the directory lists it" in str(items()["new signing key"]["text"])
        run(finish)
        assert {item["standing"] for item in items().values()} == {"ok"}

    def test_a_new_certificate(self) -> None:
        before = x509.load_pem_x509_certificate(Path("a/tls.pem").read_bytes())
        run("agency rotate tls a --passphrase-file pass --yes")
        settings = load_site(Path("a/site.toml"))
        client_context(tls_files(settings.kafka))  # the old one serves until the new one is there
        run("agency enrol a --passphrase-file pass")
        answer()
        install()
        client_context(tls_files(settings.kafka))
        after = x509.load_pem_x509_certificate(Path("a/tls.pem").read_bytes())
        assert after.public_key() != before.public_key()
        assert not list(Path("a").glob("tls.next*"))

    def test_a_new_identity(self) -> None:
        run("agency rotate identity a --passphrase-file pass --yes")
        run("agency enrol a --passphrase-file pass")
        run("directory add-agency repository a/enrolment.json --yes", 2)
        run("directory add-agency repository a/enrolment.json --rekey --yes")
        publish()
        assert "listing" not in items()
        run("agency rotate identity a --finish --passphrase-file pass --directory repository --yes")
        assert {item["standing"] for item in items().values()} == {"ok"}

    def test_another_identity_is_listed(self) -> None:
        run(f"agency init b --agency JCF {NAME} --passphrase-file pass")
        run("agency rotate kem b --passphrase-file pass --yes")
        run("agency enrol b")
        run("directory add-agency repository b/enrolment.json --rekey --yes")
        publish()
        assert items(code=1)["listing"]["standing"] == "wrong"

    def test_suspended(self) -> None:
        run("directory suspend-agency repository JCF --yes")
        publish()
        assert "suspended" in str(items(code=1)["listing"]["text"])

    def test_another_root_is_pinned(self) -> None:
        run("keys generate custodian --out west.key")
        run("directory init other --threshold 1 --custodian west=west.pub --online online.pub")
        run("directory sign other --key west.key --yes")
        run("directory publish other --key online.key --yes")
        raw = Path("other/metadata/1.root.json").read_bytes()
        changed(lambda form: form.update(root=b64encode(raw).decode()))
        assert "another root is pinned" in install(code=1).err


def test_the_words_of_a_key_are_those_that_are_read_out() -> None:
    told = run(f"agency init a --agency JCF {NAME} --passphrase-file pass --json").json
    assert told["words"] == list(fingerprint_words(bytes.fromhex(told["identity"])))


@pytest.mark.parametrize("name", ["", " JCF", "two\nlines", "\x1b[2JJCF", "\u202eFCJ", "x" * 201])
def test_a_name_that_is_no_line(name: str) -> None:
    """On both sides: custodians read it beside the fingerprint."""
    assert run(f"agency init b --agency JCF --name {shlex.quote(name)} --unsafe-no-passphrase", code=2).err
    run("agency init b --agency JCF --name plain --unsafe-no-passphrase")
    run("agency enrol b")
    form = json.loads(Path("b/enrolment.json").read_text())
    Path("b/enrolment.json").write_bytes(encode_json({**form, "name": name}))
    assert "enrolment.malformed" in run("directory add-agency repository b/enrolment.json --yes", code=1).err
