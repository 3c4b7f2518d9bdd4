"""``hub policy``: explain, check and hub-part, at a site and with single files."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from rich.text import Text

from hub.adapters.files import write_file
from tests.support.authority import World
from tests.support.command import hub
from tests.unit.cli.test_agreement import TEXT

RELEASE = """\
agency: JCF
allow:
  - rule: stolen firearms
    types: [firearm.notice]
    to: [ATF, RSS]
    compartments: [core, sensitive]
    when: {field: kind, equals: STOLEN}
  - rule: of the one who asked
    types: [firearm.notice]
    to: requester
    compartments: [core]
never:
  - rule: no serials to RSS
    types: [firearm.notice]
    to: [RSS]
    compartments: [sensitive]
    when: {field: iarms_ref, exists: true}
"""
SUBSCRIPTION = """\
agency: ATF
accept:
  - name: pistols
    types: [firearm.notice]
    from: "*"
    when: {field: firearm.serial_raw, starts_with: TXK}
"""
SITE = """\
agency = "JCF"
state = "state"
release = "release.yaml"
subscription = "subscription.yaml"
[kafka]
bootstrap = "127.0.0.1:9092"
ca = "x.pem"
certificate = "x.pem"
key = "x.pem"
[keys]
[directory]
path = "directory.json"
root = "root.json"
"""
EVENT = Path(__file__).parents[3] / "schemas" / "examples" / "firearm.notice" / "valid" / "stolen-pistol.json"


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    world = World.of("JCF", "ATF", "RSS", "NCA", now_ms=int(time.time() * 1000))
    world.agree("JCF", "ATF", "firearm.notice", agreement_id="MOU-1")
    world.agree("JCF", "RSS", "firearm.notice", agreement_id="MOU-2", max_handling="TLP:CLEAR")
    Path("directory.json").write_bytes(world.snapshot())
    write_file(Path("root.json"), world.root_bytes())
    Path("release.yaml").write_text(RELEASE, encoding="utf-8")
    Path("subscription.yaml").write_text(SUBSCRIPTION.replace("ATF", "JCF"), encoding="utf-8")
    Path("ATF.yaml").write_text(SUBSCRIPTION, encoding="utf-8")
    Path("site.toml").write_text(SITE, encoding="utf-8")
    Path("x.pem").write_text("", encoding="utf-8")
    Path("event.json").write_bytes(EVENT.read_bytes())


class TestExplain:
    def test_yes_with_each_consent(self) -> None:
        found = hub("policy explain event.json --to ATF --config site.toml --subscription ATF.yaml --json").json
        assert found["allowed"] is True
        assert found["granted"] == ["core", "sensitive"]
        assert "owner.names" in found["withheld_fields"] or "owner" in found["withheld_fields"]
        assert found["release"]["clause"] == 'release.yaml:3 rule "stolen firearms"'
        assert found["release"]["rules"][0]["condition"] == {
            "place": "release.yaml:7",
            "condition": "kind is STOLEN",
            "found": "STOLEN",
            "verdict": "yes",
            "parts": [],
        }
        assert found["release"]["rules"][1]["verdict"] == "unknown"  # it answers nobody
        assert found["agreement"]["clause"] == "MOU-1"
        assert found["agreement"]["compartments"] == ["core", "sensitive"]
        assert found["subscription"]["code"] == "subscription.asked"

    def test_no_agreement(self) -> None:
        found = hub("policy explain event.json --to RSS --config site.toml --json").json
        assert (found["allowed"], found["granted"]) == (False, [])
        assert found["release"]["allowed"] is True
        assert found["agreement"]["code"] == "agreement.handling"
        assert found["agreement"]["agreements"][0]["gap"].startswith("TLP:GREEN is over")
        assert found["subscription"] is None

    def test_no_release(self) -> None:
        found = hub("policy explain event.json --to NCA --config site.toml --json").json
        assert found["release"]["code"] == "release.unknown"
        assert found["agreement"]["code"] == "agreement.none"

    def test_content_that_the_recipient_does_not_ask_for(self) -> None:
        Path("ATF.yaml").write_text(SUBSCRIPTION.replace("TXK", "AAA"), encoding="utf-8")
        found = hub("policy explain event.json --to ATF --config site.toml --subscription ATF.yaml --json").json
        assert (found["allowed"], found["granted"]) == (False, ["core", "sensitive"])
        assert found["subscription"]["code"] == "subscription.content"

    def test_content_that_is_withheld(self) -> None:
        release = RELEASE.replace("[core, sensitive]", "[core]")
        Path("release.yaml").write_text(release, encoding="utf-8")
        found = hub("policy explain event.json --to ATF --config site.toml --subscription ATF.yaml --json").json
        assert found["subscription"]["code"] == "subscription.unknown"

    def test_the_hubs_folder(self) -> None:
        Path("subscriptions").mkdir()
        ran = hub("policy explain event.json --to ATF --config site.toml --subscription subscriptions --json")
        assert ran.json["subscription"]["code"] == "subscription.none"
        Path("subscriptions/ATF.yaml").write_text(hub("policy hub-part ATF.yaml").out, encoding="utf-8")
        ran = hub("policy explain event.json --to ATF --config site.toml --subscription subscriptions --json")
        assert ran.json["subscription"]["code"] == "subscription.asked"

    def test_the_label(self) -> None:
        event = json.loads(EVENT.read_bytes())
        event["body"]["header"]["handling"] = {"scheme": "TLP", "code": "RED"}
        Path("event.json").write_text(json.dumps(event), encoding="utf-8")
        found = hub("policy explain event.json --to ATF --config site.toml --json").json
        assert (found["allowed"], found["granted"]) == (False, [])
        assert "TLP RED" in found["label_fault"]
        assert "TLP RED" in hub("policy explain event.json --to ATF --config site.toml").out

    def test_another_day(self) -> None:
        past = hub("policy explain event.json --to ATF --config site.toml --at 2020-01-01 --json").json
        assert past["agreement"]["code"] == "agreement.not_yet"
        later = hub("policy explain event.json --to ATF --config site.toml --at 2100-01-01 --json").json
        assert later["agreement"]["code"] == "agreement.ended"  # not directory_expired: by then it was dated anew

    def test_for_a_person(self) -> None:
        ran = hub("policy explain event.json --to ATF --config site.toml --subscription ATF.yaml")
        assert ran.code == 0
        for wanted in (
            "1 release: yes",
            "kind is STOLEN: yes (STOLEN)",
            "unknown, so it gives nothing",
            "2 agreement: yes",
            "3 subscription: yes",
            "ATF gets core, sensitive",
            "withheld: ",
        ):
            assert wanted in ran.out
        ran = hub("policy explain event.json --to RSS --config site.toml")
        assert "does not apply" in ran.out
        assert "RSS gets nothing of it" in ran.out

    @pytest.mark.parametrize("terminal", [True, False])
    def test_no_clause_is_cut_off(self, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
        """A narrow terminal folds; a file or a pipe has one line for each thing said."""
        monkeypatch.setenv("COLUMNS", "44")
        monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
        out = hub("policy explain event.json --to ATF --config site.toml --subscription ATF.yaml").out
        out = Text.from_ansi(out).plain
        said = " ".join(out.replace("│", " ").split())
        for clause in ('(release.yaml:3 rule "stolen firearms")', '(ATF.yaml:3 accept "pistols")', "(MOU-1)"):
            assert clause in said, out
        assert terminal == all(len(line) <= 44 for line in out.splitlines())

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ("--to atf --config site.toml", 2, "agency code"),
            ("--to ATF", 2, "--from or --config"),
            ("--to ATF --from JCF", 2, "--directory"),
            ("--to ATF --from JCF --directory directory.json --root root.json", 2, "--release"),
            ("--to ATF --from RSS --config site.toml", 2, "JCF's"),
            ("--to RSS --config site.toml --subscription ATF.yaml", 2, "ATF's"),
            ("--to ATF --config none.toml", 2, "settings.invalid"),
        ],
    )
    def test_what_is_wanted(self, arguments: str, code: int, message: str) -> None:
        ran = hub(f"policy explain event.json {arguments}")
        assert ran.code == code
        assert message in ran.err

    @pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
    def test_no_event(self, text: str) -> None:
        Path("event.json").write_text(text, encoding="utf-8")
        assert hub("policy explain event.json --to ATF --config site.toml").code == 1


class TestCheck:
    def test_everything_of_a_site(self) -> None:
        ran = hub("policy check --config site.toml --json")
        assert ran.code == 0
        assert [Path(row["file"]).name for row in ran.json["files"]] == [
            "directory.json",
            "release.yaml",
            "subscription.yaml",
        ]

    def test_every_fault_is_told(self) -> None:
        Path("release.yaml").write_text(RELEASE.replace("ATF", "AFT"), encoding="utf-8")
        Path("subscription.yaml").write_text(SUBSCRIPTION, encoding="utf-8")
        ran = hub("policy check --config site.toml")
        assert ran.code == 2
        assert "release.yaml:5" in ran.err
        assert "did you mean 'ATF'" in ran.err
        assert "subscription.yaml: it is ATF's" in ran.err
        assert "ok: " in ran.out

    def test_files_and_folders(self) -> None:
        Path("rules").mkdir()
        Path("rules/a.yaml").write_text(RELEASE, encoding="utf-8")
        Path("rules/b.yaml").write_text("allow: 1", encoding="utf-8")
        ran = hub("policy check ATF.yaml rules --json")
        assert ran.code == 2
        assert [(row["kind"], row["ok"], row["line"]) for row in ran.json["files"]] == [
            ("subscription of ATF, 1 clauses", True, None),
            ("release rules of JCF", True, None),
            ("", False, 1),
        ]

    def test_agencies_of_a_directory(self) -> None:
        text = RELEASE.replace("[ATF, RSS]", "[FBI]")
        Path("release.yaml").write_text(text, encoding="utf-8")
        assert hub("policy check release.yaml").code == 0
        assert hub("policy check release.yaml --directory directory.json --root root.json").code == 2

    def test_a_routers_folder(self) -> None:
        Path("subscriptions").mkdir()
        Path("router.toml").write_text(
            SITE.replace('"JCF"', '"HUB"')
            .replace('release = "release.yaml"\n', "")
            .replace('subscription = "subscription.yaml"', 'subscriptions = "subscriptions"')
            .replace("[keys]", '[keys]\nsigning = "x.pem"'),
            encoding="utf-8",
        )
        ran = hub("policy check --config router.toml")
        assert (ran.code, ran.err) == (0, "")
        Path("subscriptions/ATF.yaml").write_text(SUBSCRIPTION, encoding="utf-8")
        ran = hub("policy check --config router.toml")
        assert ran.code == 2
        assert "hub-part" in ran.err

    @pytest.mark.parametrize("arguments", ["", "none.yaml", "--config none.toml", "release.yaml --root root.json"])
    def test_nothing_to_check(self, arguments: str) -> None:
        assert hub(f"policy check {arguments}").code == 2

    def test_not_text(self) -> None:
        Path("release.yaml").write_bytes(b"\xff\xfe")
        ran = hub("policy check release.yaml")
        assert ran.code == 2
        assert "not UTF-8" in ran.err


def test_an_agreement_is_known_by_its_clauses(tmp_path: Path) -> None:
    file = tmp_path / "mou.yaml"
    file.write_text(TEXT.replace("TLP:AMBER", "TLP:RED"))
    found = hub(f"policy check {file}")
    assert found.code == 0
    assert "agreement MOU-2024-07 of ATF and JCF, version 1" in found.out
    assert "TLP:RED is for named persons" in found.err
    file.write_text(TEXT.replace("TLP:AMBER", "AMBER").replace("version: 1", "version: 0"))
    refused = hub(f"policy check {file}")
    assert refused.code == 2
    assert "2 faults" in refused.err
    Path(file).write_text(re.sub("(first|last)_day: .*", r"\1_day: 2020-01-01", TEXT))
    ended = hub(f"policy check {file}")
    assert ended.code == 2
    assert f"{file}:7: it ended at the end of 2020-01-01" in ended.err
