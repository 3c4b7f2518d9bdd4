"""``hub agency``: keys from nothing to the end of their retention, whatever kills a command on the way."""

from __future__ import annotations

import itertools
import shutil
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from hub.adapters import agency_folder as folders
from hub.adapters.agency_folder import AgencyFolder, load_state
from hub.adapters.enrolment import parse_enrolment
from hub.adapters.fingerprint import fingerprint_words
from hub.adapters.key_files import KeyAccess, load_kem_keys, load_signing_key, load_verify_key
from hub.adapters.tls import load_tls_key
from hub.adapters.tuf_roles import read_statement
from hub.trust import passphrase
from hub.trust.agency_state import Slot, Stage
from hub.trust.keys import KeyUse
from hub.trust.passphrase import Passphrase
from hub.trust.statement import KeyStatement
from tests.support.command import Ran, hub
from tests.support.killed import killed_at
from tests.support.softhsm import SoftToken, make_token

WORDS = "correct horse battery"
NAME = '--name "Jamaica Constabulary Force"'
MONTH = 31 * 86_400
STARTED = time.time()


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(passphrase, "NEW_COST", passphrase.Cost(19 * 1024, 2, 1))
    for name, text in (("pass", WORDS), ("wrong", "incorrect horse battery"), ("short", "short")):
        Path(name).write_text(text + "\n")
        Path(name).chmod(0o600)


def run(line: str, code: int = 0) -> Ran:
    ran = hub(line)
    assert ran.code == code, ran.err
    return ran


def init(more: str = "") -> Ran:
    return run(f"agency init a --agency JCF {NAME} --passphrase-file pass {more}")


def access(words: str = WORDS) -> KeyAccess:
    phrase = Passphrase(words)
    return KeyAccess(lambda: phrase)


def statement(folder: Path = Path("a")) -> KeyStatement:
    role = AgencyFolder(folder, load_state(folder), KeyAccess()).statement()
    assert role is not None
    return read_statement(role)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("hub.cli.agency_opened.time.time", lambda: STARTED + seconds)


def items(more: str = "", code: int = 0) -> dict[str, dict[str, object]]:
    return {item["what"]: item for item in run(f"agency status a --json {more}", code).json["items"]}


def assert_whole(folder: Path = Path("a")) -> None:
    """Everything that the state speaks of is there, opens, belongs together, and nothing is left over."""
    state = load_state(folder)
    assert not [key for key in state.keys if key.stage is Stage.PLANNED]
    agency = AgencyFolder(folder, state, access())
    found = statement(folder)
    role = agency.statement()
    assert role is not None
    assert role.signed_by([agency.identity_public()])
    assert found.version == state.version
    kem = {key.public.kem_id for key in load_kem_keys(folder / "keys/kem", access())}
    assert {key_id.hex() for key_id in kem} == {key.key_id for key in state.of(Slot.KEM, Stage.CURRENT)}
    assert kem <= {entry.key.kem_id for entry in found.kem_keys}
    listed = {entry.key.key_id for entry in found.signing_keys}
    assert load_signing_key(folder / "keys/signing.key", access=access()).public.key_id in listed
    for slot in (Slot.IDENTITY, Slot.SIGNING):
        for key in state.of(slot, Stage.CURRENT, Stage.WAITING):
            private = load_signing_key(folder / key.name, slot.use, access())
            assert private.public.key_id.hex() == key.key_id
            assert load_verify_key((folder / key.name).with_suffix(".pub"), slot.use) == private.public
    tls = load_tls_key(folder / (state.waiting(Slot.TLS) or state.current(Slot.TLS)).name, access().passphrase)
    request = x509.load_pem_x509_csr((folder / "tls.csr").read_bytes())
    assert request.public_key() == tls.public_key()
    assert request.is_signature_valid
    known = {key.name for key in state.keys if key.stage in (Stage.CURRENT, Stage.WAITING)}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.key")} == known
    assert list(folder.rglob(".*")) == []


# --- init -------------------------------------------------------------------------------------------------------------


class TestInit:
    def test_everything_that_an_agency_needs(self) -> None:
        told = init("--json").json
        assert_whole()
        assert told["files"] == {
            "identity": "keys/identity.key",
            "signing": "keys/signing.key",
            "kem": "keys/kem/kem-0001.key",
            "tls": "tls.key",
        }
        public = load_verify_key(Path("a/keys/identity.pub"), KeyUse.IDENTITY)
        assert told["identity"] == public.key_id.hex()
        assert told["words"] == list(fingerprint_words(public.key_id))
        assert stat.S_IMODE(Path("a").stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in Path("a").rglob("*.key")} == {0o600}

    def test_the_request_names_agency_and_site(self) -> None:
        init("--site main")
        subject = x509.load_pem_x509_csr(Path("a/tls.csr").read_bytes()).subject
        assert subject.rfc4514_string() == "CN=JCF.main,O=JCF"
        assert statement().signing_keys[0].site == "main"

    def test_the_words_are_printed(self) -> None:
        told = init("--language french")
        public = load_verify_key(Path("a/keys/identity.pub"), KeyUse.IDENTITY)
        assert all(word in told.out for word in fingerprint_words(public.key_id, "french"))
        words = " ".join(fingerprint_words(public.key_id))
        assert run(f"keys check-words a/keys/identity.pub '{words}' --json").json["same"] is True
        run(f"keys check-words a/keys/signing.pub '{words}'", 1)

    def test_nothing_is_overwritten(self) -> None:
        init()
        before = {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()}
        assert "nothing is overwritten" in run(f"agency init a --agency JCF {NAME} --passphrase-file pass", 2).err
        assert {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()} == before
        Path("b/keys").mkdir(parents=True)
        run(f"agency init b --agency JCF {NAME} --passphrase-file pass", 2)

    @pytest.mark.parametrize(
        "more",
        [
            "--site Main",
            "--token /lib.so",
            "--token-label x",
            "--token pass --token-label x --unsafe-no-passphrase",
            "--kem-days 0",
        ],
    )
    def test_what_makes_no_sense_makes_nothing(self, more: str) -> None:
        run(f"agency init a --agency JCF {NAME} --passphrase-file pass {more}", 2)
        assert not Path("a").exists()

    def test_a_short_passphrase_makes_no_key(self) -> None:
        assert "at least 12" in run(f"agency init a --agency JCF {NAME} --passphrase-file short", 2).err
        assert not Path("a/agency.json").exists()

    def test_without_a_passphrase_only_where_it_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        assert "passphrase is needed" in run(f"agency init a --agency JCF {NAME}", 2).err
        shutil.rmtree("a", ignore_errors=True)
        run(f"agency init a --agency JCF {NAME} --unsafe-no-passphrase")
        load_signing_key(Path("a/keys/signing.key"))
        found = items(code=1)
        assert {what for what, item in found.items() if item["standing"] == "wrong"} == {
            "keys/identity.key",
            "keys/signing.key",
            "keys/kem/kem-0001.key",
            "tls.key",
        }


# --- rotate, finish, shred --------------------------------------------------------------------------------------------


class TestRotate:
    def test_a_kem_key_beside_the_old_one(self) -> None:
        init()
        first = statement().kem_keys[0]
        told = run("agency rotate kem a --passphrase-file pass --yes --json").json
        assert told["send"] == "statement.json"
        assert_whole()
        found = statement()
        assert found.version == 2
        assert found.kem_keys[0].key.raw == first.key.raw
        now_ms = int(time.time() * 1000)
        assert [key.usable(now_ms) for key in found.kem_keys] == [True, True]
        assert found.kem_keys[1].not_before_ms > first.not_before_ms

    def test_a_signing_key_waits_and_takes_its_place(self) -> None:
        init()
        old = load_signing_key(Path("a/keys/signing.key"), access=access()).public
        run("agency rotate signing a --passphrase-file pass --yes")
        assert_whole()
        assert load_signing_key(Path("a/keys/signing.key"), access=access()).public == old
        assert "waiting already" in run("agency rotate signing a --passphrase-file pass --yes", 2).err
        told = run("agency rotate signing a --finish --passphrase-file pass --yes")
        assert "no directory at hand" in told.err
        assert_whole()
        new = load_signing_key(Path("a/keys/signing.key"), access=access()).public
        assert new != old
        run("agency rotate kem a --passphrase-file pass --yes")  # the next statement lists both still
        assert {entry.key for entry in statement().signing_keys} == {old, new}
        assert not list(Path("a/keys").glob("*next*"))

    def test_stolen(self) -> None:
        init()
        run("agency rotate signing a --revoke --passphrase-file pass --yes")
        old, new = statement().signing_keys
        assert old.revoked_at_ms is not None
        assert new.revoked_at_ms is None

    def test_a_new_identity_signs_and_is_sent(self) -> None:
        init()
        old = run("agency enrol a --json").json["identity"]
        told = run("agency rotate identity a --passphrase-file pass --yes")
        assert "must be signed with it" in told.err
        assert_whole()
        new = run("agency enrol a --json").json["identity"]
        assert new != old
        run("agency rotate identity a --finish --passphrase-file pass --yes")
        assert_whole()
        assert load_state(Path("a")).current(Slot.IDENTITY).key_id == new

    def test_the_identity_key_is_in_a_safe(self) -> None:
        init()
        Path("a/keys/identity.key").rename("stick.key")
        assert items()["keys/identity.key"]["standing"] == "note"
        run("agency rotate kem a --passphrase-file pass --yes", 2)
        assert items(code=1)["key statement"]["standing"] == "wrong"
        told = run("agency rotate kem a --passphrase-file pass --identity stick.key --yes")
        assert "is completed" in told.err  # and not one more key
        assert len(statement().kem_keys) == 2
        run("agency rotate kem a --passphrase-file pass --identity a/keys/signing.key --yes", 2)
        run("keys generate identity --out other.key")
        ran = run("agency rotate kem a --passphrase-file pass --identity other.key --yes", 2)
        assert "another identity key" in ran.err

    def test_a_mistyped_passphrase_makes_no_key(self) -> None:
        init()
        assert "passphrase.wrong" in run("agency rotate kem a --passphrase-file wrong --yes", 2).err
        assert len(list(Path("a/keys/kem").glob("*.key"))) == 1
        run("agency rotate kem a --passphrase-file pass --yes")
        assert_whole()

    def test_asks_first(self) -> None:
        init()
        ran = run("agency rotate kem a --passphrase-file pass", 2)
        assert "--yes" in ran.err
        assert "kem-0002" in ran.err
        assert statement().version == 1

    @pytest.mark.parametrize("kind", ["kem", "tls"])
    def test_nothing_to_finish(self, kind: str) -> None:
        init()
        run(f"agency rotate {kind} a --finish --passphrase-file pass --yes", 2)

    def test_one_command_at_a_time(self) -> None:
        init()
        with folders.locked(Path("a")):
            assert "agency.busy" in run("agency rotate kem a --passphrase-file pass --yes", 2).err

    def test_not_an_agency(self) -> None:
        assert "agency.missing" in run("agency status b", 2).err


class TestOtherSites:
    """A site on another machine keeps its private key; the agency's statement lists its public one."""

    @pytest.fixture(autouse=True)
    def _island(self) -> None:
        init("--site main")
        run("keys generate signing --out island.key")

    def add(self, more: str = "--signing island.pub", code: int = 0) -> Ran:
        return run(f"agency add-site a --site island --passphrase-file pass --yes {more}", code)

    def test_listed_and_revoked(self) -> None:
        shutil.copy("a/tls.csr", "island.csr")
        self.add("--signing island.pub --request island.csr")
        assert_whole()
        assert [entry.site for entry in statement().signing_keys] == ["main", "island"]
        assert items()["signing key of island"]["standing"] == "ok"
        run("agency enrol a")
        sent = parse_enrolment(Path("a/enrolment.json").read_bytes())
        assert set(sent.requests) == {"main", "island"}
        self.add("--revoke")
        assert [entry.revoked_at_ms is None for entry in statement().signing_keys] == [True, False]
        assert "signing key of island" not in items()
        run("keys generate signing --out second.key")
        self.add("--signing second.pub")
        assert len(statement().signing_keys) == 3
        assert_whole()

    @pytest.mark.parametrize(
        "line",
        [
            "--site main --signing island.pub",
            "--site Island --signing island.pub",
            "--site island",
            "--site island --revoke",
            "--site island --signing a/keys/identity.pub",
            "--site island --signing a/keys/signing.pub",
        ],
    )
    def test_what_makes_no_sense_changes_nothing(self, line: str) -> None:
        run(f"agency add-site a --passphrase-file pass --yes {line}", 2)
        assert statement().version == 1


class TestShred:
    def test_the_end_of_retention(self, monkeypatch: pytest.MonkeyPatch) -> None:
        init("--kem-days 30 --retention-days 10")
        later(monkeypatch, 0.9 * MONTH)
        run("agency rotate kem a --passphrase-file pass --yes")
        assert "nothing to destroy" in run("agency shred a --yes").out
        later(monkeypatch, 1.5 * MONTH)
        assert items("--warn-days 5", code=1)["old KEM key"]["standing"] == "over"
        told = run("agency shred a --yes --json")
        assert [key["file"] for key in told.json["destroyed"]] == ["keys/kem/kem-0001.key"]
        assert "becomes unreadable" in told.err
        assert [path.name for path in Path("a/keys/kem").glob("*.key")] == ["kem-0002.key"]
        run("agency rotate kem a --passphrase-file pass --yes")
        assert_whole()
        assert len(statement().kem_keys) == 2

    def test_asks_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        init("--kem-days 1 --retention-days 1")
        run("agency rotate kem a --passphrase-file pass --yes")
        later(monkeypatch, MONTH)
        run("agency shred a", 2)
        assert len(load_kem_keys(Path("a/keys/kem"), access())) == 2


# --- status -----------------------------------------------------------------------------------------------------------


class TestStatus:
    def test_all_is_well(self) -> None:
        init()
        found = items("--warn-days 30")
        assert found["signing key"]["days"] in (396, 397)
        assert found["KEM key"]["days"] in (89, 90)
        assert {item["standing"] for item in found.values()} <= {"ok", "note"}
        assert "KEM key" in run("agency status a").out

    @pytest.mark.parametrize(("days", "standing"), [(60, "ok"), (70, "soon"), (100, "over")])
    def test_what_ends(self, days: int, standing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        init()
        later(monkeypatch, days * 86_400)
        assert items("--warn-days 25", code=0 if standing == "ok" else 1)["KEM key"]["standing"] == standing

    def test_what_others_can_read(self) -> None:
        init()
        Path("a/keys/signing.key").chmod(0o644)
        assert items(code=1)["keys/signing.key"]["standing"] == "wrong"

    def test_what_is_gone(self) -> None:
        init()
        Path("a/keys/kem/kem-0001.key").unlink()
        assert items(code=1)["keys/kem/kem-0001.key"]["standing"] == "wrong"


# --- encrypt ----------------------------------------------------------------------------------------------------------


def test_plain_keys_are_encrypted_in_their_places() -> None:
    run(f"agency init a --agency JCF {NAME} --unsafe-no-passphrase")
    files = "a/keys/identity.key a/keys/signing.key a/keys/kem/kem-0001.key a/tls.key"
    run(f"keys encrypt {files} --new-passphrase-file pass", 2)  # it asks
    run(f"keys encrypt {files} --new-passphrase-file pass --yes")
    load_signing_key(Path("a/keys/signing.key"), access=access())
    assert {item["standing"] for item in items().values()} <= {"ok", "note"}
    run(f"keys encrypt {files} --passphrase-file pass --new-passphrase-file wrong --yes")
    load_tls_key(Path("a/tls.key"), access("incorrect horse battery").passphrase)
    run("agency rotate kem a --passphrase-file wrong --yes")
    assert all(row["encrypted"] for row in run("keys show a/keys/kem/kem-0002.key --json").json)


# --- killed -----------------------------------------------------------------------------------------------------------

STEPS = {
    "site": (["init"], "agency add-site a --site island --signing b.pub --passphrase-file pass --yes"),
    "init": ([], f"agency init a --agency JCF {NAME} --passphrase-file pass"),
    "kem": (["init"], "agency rotate kem a --passphrase-file pass --yes"),
    "signing": (["init"], "agency rotate signing a --passphrase-file pass --yes"),
    "tls": (["init"], "agency rotate tls a --passphrase-file pass --yes"),
    "finish": (["init", "signing"], "agency rotate signing a --finish --passphrase-file pass --yes"),
    "identity": (["init"], "agency rotate identity a --passphrase-file pass --yes"),
    "finish identity": (["init", "identity"], "agency rotate identity a --finish --passphrase-file pass --yes"),
    "shred": (["init", "kem"], "agency shred a --passphrase-file pass --yes"),
}


@pytest.mark.parametrize("what", STEPS)
def test_killed_at_any_step_it_is_completed_by_the_next(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 before each change of the disk; then the same command again, and the next."""
    earlier, line = STEPS[what]
    run("keys generate signing --out b.key")
    if what == "shred":
        init("--kem-days 1 --retention-days 1")
        later(monkeypatch, 2 * 86_400)
        run(STEPS["kem"][1])
        later(monkeypatch, 3.5 * 86_400)
    else:
        for name in earlier:
            run(STEPS[name][1])
    if earlier:
        shutil.copytree("a", "before", symlinks=True)
    wanted: list[str] | None = None
    for step in itertools.count():
        shutil.rmtree("a", ignore_errors=True)
        if earlier:
            shutil.copytree("before", "a", symlinks=True)
        if not killed_at(step, Path("a").resolve(), lambda: hub(line)):
            assert step > 2
            assert_whole()
            assert wanted is not None
            return
        ran = hub(line)
        assert ran.code == 0 or (what == "init" and "nothing is overwritten" in ran.err), f"at step {step}: {ran.err}"
        assert_whole()
        kinds = [f"{key.slot.value} {key.stage.value}" for key in load_state(Path("a")).keys]
        wanted = wanted or kinds
        assert kinds == wanted, f"killed at step {step}"


# --- with a token -----------------------------------------------------------------------------------------------------


class TestToken:
    @pytest.fixture
    def soft(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
        return make_token(tmp_path, monkeypatch)

    def test_from_the_first_key_to_the_next(self, soft: SoftToken) -> None:
        run(
            f"agency init a --agency JCF {NAME} --passphrase-file pass --token {soft.library} "
            f"--token-label {soft.label} --pin-file {soft.pin_file}"
        )
        shown = run("keys show a/keys/identity.key a/keys/signing.key a/keys/kem/kem-0001.key --json").json
        assert [bool(row["token"]) for row in shown] == [True, True, False]
        more = f"--passphrase-file pass --pin-file {soft.pin_file} --yes"
        run(f"agency rotate signing a {more}")
        run(f"agency rotate signing a --finish {more}")
        again = run("keys show a/keys/signing.key --json").json[0]["token"]
        assert again != shown[1]["token"]
        soft.pull()
        ran = run(f"agency rotate kem a {more}", 3)
        assert "token.absent" in ran.err
        soft.put_back()
        run(f"agency rotate kem a {more}")
        assert statement().version == 3
        assert {item["standing"] for item in items().values()} <= {"ok", "note"}
