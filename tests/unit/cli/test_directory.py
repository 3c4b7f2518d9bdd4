"""``hub directory``: begun, signed on copies, published, changed, read; and what each command refuses to do."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from hub.adapters import kafka_directory
from hub.adapters.repository_files import alone_in, load_repository, save_repository
from hub.errors import BusUnavailable
from tests.support.command import Ran, hub

AGREEMENT = """\
agreement: ATF-JCF
version: 1
title: "Traces"
mou: "MOU of 2024"
parties: [ATF, JCF]
first_day: 2024-07-01
last_day: 2031-06-30
clauses:
  - from: JCF
    to: ATF
    types: [trace.request]
    compartments: [core]
    purposes: [INVESTIGATION]
    max_handling: TLP:AMBER
    onward_sharing: NONE
    retention_days: 365
"""


def ok(line: str) -> Ran:
    ran = hub(line)
    assert ran.code == 0, f"{line}: {ran.err}{ran.out}"
    return ran


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Custodians c1 to c3, two of whom must sign; HUB, JCF and ATF with an agreement, published as version 1."""
    folder = tmp_path_factory.mktemp("directory")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("c1", "c2", "c3", "stranger"):
            ok(f"keys generate custodian --out {name}.key")
        for name in ("online", "other"):
            ok(f"keys generate online --out {name}.key")
        named = " ".join(f"--custodian {name}={name}.pub" for name in ("c1", "c2", "c3"))
        ok(f"directory init repo --threshold 2 {named} --online online.pub")
        for agency in ("HUB", "JCF", "ATF"):
            ok(f"agency init {agency} --agency {agency} --name 'the {agency}' --unsafe-no-passphrase")
            words = " ".join(ok(f"agency enrol {agency} --json").json["words"])
            ok(f"directory add-agency repo {agency}/enrolment.json --words '{words}'")
        Path("agreement.yaml").write_text(AGREEMENT, encoding="utf-8")
        ok("agreement sign agreement.yaml --agency ATF --key ATF/keys/identity.key --out agreement.json --yes")
        ok("agreement sign agreement.json --agency JCF --key JCF/keys/identity.key --yes")
        ok("directory add-agreement repo agreement.json --yes")
        ok("directory sign repo --key c1.key --key c2.key --yes")
        ok("directory publish repo --key online.key --yes")
        shutil.copy("repo/metadata/1.root.json", "root.json")
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def lacking(ran: Ran) -> dict[str, int]:
    return {part["part"]: part["lacking"] for part in ran.json["lacking"]}


class TestInit:
    def test_nothing_is_overwritten(self) -> None:
        ran = hub("directory init repo --threshold 1 --custodian c1=c1.pub --online online.pub")
        assert (ran.code, "nothing is overwritten" in ran.err) == (2, True)

    @pytest.mark.parametrize("threshold", [0, 3])
    def test_a_threshold_that_cannot_be_met(self, threshold: int) -> None:
        named = "--custodian c1=c1.pub --custodian c2=c2.pub"
        ran = hub(f"directory init new --threshold {threshold} {named} --online online.pub")
        assert (ran.code, "threshold" in ran.err) == (2, True)
        assert not Path("new").exists()

    def test_a_custodian_without_a_name(self) -> None:
        assert hub("directory init new --threshold 1 --custodian c1.pub --online online.pub").code == 2

    def test_keys_have_one_use(self) -> None:
        ran = hub("directory init new --threshold 1 --custodian c1=c1.pub --online c2.pub")
        assert (ran.code, "key_file.invalid" in ran.err) == (2, True)


class TestSigning:
    def test_copies_are_carried_and_come_home(self) -> None:
        assert lacking(ok("directory suspend-agency repo ATF --yes --json")) == {"targets": 2}
        for name in ("c1", "c3"):
            ok(f"directory request repo --out {name}.json")
            ok(f"directory sign {name}.json --key {name}.key --root root.json --yes")
        assert ok("directory merge repo c1.json c3.json --json").json["new_signatures"] == 2
        assert hub("directory status repo").code == 0
        ok("directory publish repo --key online.key --yes")
        assert ok("directory show repo --root root.json --json").json["agencies"][0]["state"] == "suspended"

    def test_status_says_whose_signatures_lack(self) -> None:
        ok("directory suspend-agency repo ATF --yes")
        ok("directory sign repo --key c1.key --yes")
        ran = hub("directory status repo")
        assert ran.code == 1
        assert "agency ATF: is suspended" in ran.out
        assert "signed by c1; 1 more wanted of c2, c3" in ran.out
        assert hub("directory publish repo --key online.key --yes").code == 2

    def test_a_strangers_key_signs_nothing(self) -> None:
        ok("directory suspend-agency repo ATF --yes")
        ran = hub("directory sign repo --key stranger.key --yes")
        assert (ran.code, "repository.invalid" in ran.err) == (2, True)

    def test_a_custodian_who_knows_another_root_is_warned(self) -> None:
        ok("directory init other --threshold 1 --custodian c1=c1.pub --online other.pub")
        ok("directory sign other --key c1.key --yes")
        ok("directory publish other --key other.key --yes")
        ok("directory suspend-agency repo ATF --yes")
        ran = hub("directory sign repo --key c1.key --root other/metadata/1.root.json --yes")
        assert ran.code == 1
        assert not load_repository(Path("repo")).targets().signatures, "nothing was signed"

    def test_to_suspend_the_hub_stops_it(self) -> None:
        assert "its routers stop" in ok("directory suspend-agency repo HUB --yes").err
        assert "its routers stop" not in ok("directory suspend-agency repo ATF --yes").err

    def test_nobody_to_ask(self) -> None:
        ran = hub("directory suspend-agency repo ATF")
        assert (ran.code, "confirmation.missing" in ran.err) == (2, True)
        assert hub("directory status repo --json").json["staged"] == []

    def test_what_is_staged_can_be_taken_back(self) -> None:
        ok("directory suspend-agency repo ATF --yes")
        ok("directory discard repo --yes")
        assert hub("directory status repo --json").json["staged"] == []


class TestAgencies:
    def test_other_words_are_another_key(self) -> None:
        ok("agency init RSS --agency RSS --name RSS --unsafe-no-passphrase")
        ok("agency enrol RSS")
        words = " ".join(ok("agency enrol JCF --json").json["words"])
        ran = hub(f"directory add-agency repo RSS/enrolment.json --words '{words}'")
        assert (ran.code, "fingerprint.differs" in ran.err) == (1, True)
        assert hub("directory status repo --json").json["staged"] == []

    def test_another_identity_key_wants_rekey_and_names_the_agreements(self) -> None:
        ok("agency init new --agency JCF --name Jamaica --unsafe-no-passphrase")
        ok("agency rotate signing new --yes")  # a statement of a higher version
        ok("agency enrol new")
        ran = hub("directory add-agency repo new/enrolment.json --yes")
        assert (ran.code, "--rekey" in ran.err) == (2, True)
        ran = ok("directory add-agency repo new/enrolment.json --rekey --yes")
        assert "agreement ATF-JCF holds no more until JCF signs it" in ran.err
        ok("directory sign repo --key c1.key --key c2.key --yes")
        ran = hub("directory publish repo --key online.key --yes")
        assert (ran.code, "directory.agreements_would_end" in ran.err) == (2, True)
        ok("agreement sign agreement.json --agency JCF --key new/keys/identity.key --yes")
        ok("directory add-agreement repo agreement.json --yes")
        ok("directory publish repo --key online.key --yes")
        assert ok("directory verify repo --root root.json --json").json["faults"] == []

    def test_an_agreement_may_end_where_that_is_said(self) -> None:
        ok("agency init new --agency JCF --name Jamaica --unsafe-no-passphrase")
        ok("agency rotate signing new --yes")
        ok("agency enrol new")
        ok("directory add-agency repo new/enrolment.json --rekey --yes")
        ok("directory sign repo --key c1.key --key c2.key --yes")
        ok("directory publish repo --key online.key --end-agreements --yes")
        told = ok("directory verify repo --root root.json --json").json
        assert [fault["role"] for fault in told["faults"]] == ["agreement.ATF-JCF"]

    def test_an_older_statement(self) -> None:
        ran = hub("directory update-agency repo JCF/statement.json --yes")
        assert (ran.code, "not newer" in ran.err) == (2, True)

    @pytest.mark.parametrize(
        "command", ["suspend-agency repo NCA", "remove-agency repo NCA", "withdraw-agreement repo x"]
    )
    def test_who_is_not_there(self, command: str) -> None:
        ran = hub(f"directory {command} --yes")
        assert (ran.code, "repository.invalid" in ran.err) == (2, True)

    def test_one_who_leaves_takes_the_agreements_along(self) -> None:
        ran = ok("directory remove-agency repo JCF --yes --json")
        told = {(change["kind"], change["subject"]) for change in ran.json["changes"]}
        assert {("agency", "JCF"), ("agreement", "ATF-JCF")} <= told


class TestPublishing:
    def test_a_new_date_alone(self) -> None:
        told = ok("directory publish repo --key online.key --days 3 --json").json
        assert (told["version"], told["written"]) == (1, ["metadata/timestamp.json"])

    def test_the_daily_date_while_custodians_are_asked(self) -> None:
        """What waits for signatures must not let the published directory expire, nor be published by the timer."""
        ok("directory suspend-agency repo JCF --yes")
        staged = hub("directory status repo --json").json["staged"]
        assert hub("directory publish repo --key online.key --yes").code == 2
        told = ok("directory publish repo --key online.key --days 3 --date-only --json").json
        assert (told["version"], told["written"]) == (1, ["metadata/timestamp.json"])
        assert hub("directory status repo --json").json["staged"] == staged
        ok("directory sign repo --key c1.key --key c2.key --yes")
        told = ok("directory publish repo --key online.key --date-only --json").json
        assert told["version"] == 1, "signed, and still for a person to publish"
        ok("directory publish repo --key online.key --yes")
        shown = ok("directory show repo --root root.json --json").json
        assert (shown["version"], {a["agency"]: a["state"] for a in shown["agencies"]}["JCF"]) == (2, "suspended")

    def test_nothing_is_dated_before_the_first_version(self) -> None:
        ok("directory init new --threshold 1 --custodian c1=c1.pub --online online.pub")
        ran = hub("directory publish new --key online.key --date-only")
        assert (ran.code, "nothing is published yet" in ran.err) == (2, True)

    def test_the_folder_goes_before_kafka(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def away(*_: object) -> int:
            raise BusUnavailable("the broker does not answer")

        monkeypatch.setattr(kafka_directory, "publish_files", away)
        ran = hub("directory publish repo --key online.key --bootstrap localhost:1 --tls .")
        assert (ran.code, "not on Kafka yet: run it again" in ran.err) == (3, True)

    def test_a_revocation_does_not_wait_for_a_ceremony(self) -> None:
        assert hub("directory publish repo --key online.key --urgent --yes").code == 2, "nothing is staged"
        ok("directory suspend-agency repo ATF --yes")
        ran = hub("directory publish repo --key online.key --urgent --yes")
        assert (ran.code, "needs no custodian" in ran.err) == (2, True)
        ok("agency rotate signing JCF --revoke --yes")
        ok("directory update-agency repo JCF/statement.json --yes")
        assert hub("directory publish repo --key online.key --yes").code == 2, "ATF's suspension lacks signatures"
        ran = hub("directory publish repo --key online.key --urgent")
        assert ("is revoked" in ran.out, "is suspended" in ran.out) == (True, False), "only what is published is shown"
        told = ok("directory publish repo --key online.key --urgent --yes --json").json
        assert told["version"] == 2
        shown = ok("directory show repo --root root.json --json").json["agencies"]
        assert {row["agency"]: (row["state"], row["statement"]) for row in shown} == {
            "ATF": ("active", 1),
            "HUB": ("active", 1),
            "JCF": ("active", 2),
        }
        assert hub("directory status repo --json").json["staged"] == ["index", "targets"]
        ok("directory sign repo --key c1.key --key c2.key --yes")
        assert ok("directory publish repo --key online.key --yes --json").json["version"] == 3

    def test_another_key_dates_nothing(self) -> None:
        ran = hub("directory publish repo --key other.key")
        assert (ran.code, "online" in ran.err) == (2, True)

    def test_the_topic_wants_both_or_none(self) -> None:
        assert hub("directory publish repo --key online.key --bootstrap 127.0.0.1:1").code == 2

    def test_a_reply_only_to_who_is_published(self) -> None:
        ok("agency init RSS --agency RSS --name RSS --unsafe-no-passphrase")
        ok("agency enrol RSS")
        ran = hub("directory reply repo RSS/enrolment.json --authority ca --bootstrap h:1 --out reply.json")
        assert (ran.code, "not published" in ran.err) == (2, True)


class TestReading:
    def test_shown(self) -> None:
        told = ok("directory show repo --root root.json --json").json
        assert (told["version"], told["threshold"], told["custodians"]) == (1, 2, ["c1", "c2", "c3"])
        assert len(told["root_words"]) == 12
        (row,) = told["agreements"]
        assert (row["agreement"], row["from"], row["to"], row["begins"]) == ("ATF-JCF", "JCF", "ATF", "2024-07-01")
        text = ok("directory show repo --root root.json").out
        for wanted in ("JCF", "ATF-JCF", "TLP:AMBER", *told["root_words"]):
            assert wanted in text
        assert "365" in ok("directory show repo --root root.json --agreement ATF-JCF").out
        assert hub("directory show repo --root root.json --agreement none").code == 2

    def test_at_least(self) -> None:
        ok("directory verify repo --root root.json --at-least 1")
        ran = hub("directory verify repo --root root.json --at-least 2")
        assert (ran.code, "directory.rolled_back" in ran.err) == (1, True)

    def test_in_one_file(self) -> None:
        ok("directory request repo --out one.json")
        ok("directory verify repo --root root.json")
        files = json.loads(Path("one.json").read_bytes())["files"]
        assert not [name for name in files if name.startswith("staged/")]
        ok("directory verify one.json --root root.json")

    def test_changed_by_a_bit(self) -> None:
        path = Path("repo/metadata/1.targets.json")
        path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
        assert hub("directory verify repo --root root.json").code == 1

    def test_another_root(self) -> None:
        ok("directory init other --threshold 1 --custodian c1=stranger.pub --online other.pub")
        ok("directory sign other --key stranger.key --yes")
        ok("directory publish other --key other.key --yes")
        ran = hub("directory verify repo --root other/metadata/1.root.json")
        assert ran.code == 1
        assert "directory.too_few_signatures" in ran.err

    @pytest.mark.parametrize("line", ["verify none --root root.json", "verify repo --root none.json"])
    def test_what_is_not_there(self, line: str) -> None:
        assert hub(f"directory {line}").code == 2

    def test_diff(self) -> None:
        shutil.copytree("repo", "before")
        assert ok("directory diff before repo --root root.json").out.endswith("nothing changes\n")
        ok("agency rotate kem JCF --yes")
        ok("directory update-agency repo JCF/statement.json --yes")
        ok("directory withdraw-agreement repo ATF-JCF --yes")
        ok("directory sign repo --key c1.key --key c3.key --yes")
        ok("directory publish repo --key online.key --yes")
        ran = hub("directory diff before repo --root root.json --json")
        assert ran.code == 1
        told = [(change["kind"], change["subject"]) for change in ran.json["changes"]]
        assert told == [("key", "JCF"), ("agreement", "ATF-JCF")]


class TestShown:
    """What a custodian is shown before it signs."""

    def test_without_a_root_all_that_is_signed_is_shown(self) -> None:
        """Whoever carries the file could have put an agency among those that are said to be published."""
        ok("directory suspend-agency repo ATF --yes")
        ran = ok("directory sign repo --key c1.key --yes")
        assert "agency JCF: joins" in ran.out
        assert "without --root" in ran.err

    def test_with_a_root_the_changes_are(self) -> None:
        ok("directory suspend-agency repo ATF --yes")
        ran = ok("directory sign repo --key c1.key --root root.json --yes")
        assert "ATF: is suspended" in ran.out
        assert "JCF" not in ran.out
        assert "targets 2: holds to" in ran.out
        assert "compared with directory 1, dated" in ran.err

    def test_nothing_follows_from_a_root_where_nothing_is_published(self) -> None:
        ok("directory init other --threshold 1 --custodian c1=c1.pub --online other.pub")
        ran = hub("directory sign other --key c1.key --root root.json --yes")
        assert (ran.code, "nothing is published" in ran.err) == (2, True)

    def test_an_expired_directory_can_be_signed_for_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time()
        with monkeypatch.context() as later:
            later.setattr(time, "time", lambda: now + 30 * 86_400)
            ok("directory renew repo --yes")
            ran = ok("directory sign repo --key c1.key --key c2.key --root root.json --yes")
            assert "warning: the directory has expired" in ran.err
            ok("directory publish repo --key online.key --yes")
            ok("directory verify repo --root root.json")

    def test_one_command_at_a_time(self) -> None:
        with alone_in(Path("repo")):
            for line in ("suspend-agency repo ATF --yes", "publish repo --key online.key --yes", "discard repo --yes"):
                ran = hub(f"directory {line}")
                assert (ran.code, "repository.in_use" in ran.err) == (3, True)

    def test_what_is_damaged_can_be_taken_back(self) -> None:
        ok("directory suspend-agency repo ATF --yes")
        repository = load_repository(Path("repo"))
        repository.staged["index"] = repository.staged["index"].replace(b"false", b"true")
        save_repository(repository, Path("repo"))
        assert hub("directory status repo").code == 2
        ran = ok("directory discard repo --yes")
        assert "warning: what is staged cannot be shown" in ran.err
        ok("directory status repo")

    def test_names_with_marks_of_a_terminal(self) -> None:
        ok("agency init RSS --agency RSS --name 'a [/b] [red]c' --unsafe-no-passphrase")
        ok("agency enrol RSS")
        ok("directory add-agency repo RSS/enrolment.json --yes")
        ok("directory sign repo --key c1.key --key c2.key --yes")
        ok("directory publish repo --key online.key --yes")
        assert "[red]c" in ok("directory show repo --root root.json").out.replace("\n", "")
