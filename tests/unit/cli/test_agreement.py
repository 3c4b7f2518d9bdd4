"""`hub agreement`: a draft, its checking, two signatures on the same bytes, and what a new version changes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from hub.adapters.directory_files import encode_bundle
from hub.adapters.key_files import write_key
from hub.adapters.tuf_publish import publish as publish_version
from hub.adapters.tuf_roles import SignedRole, encode_signed_role, parse_signed_role, read_agreement
from hub.catalog import Catalog
from hub.policy.agreement_draft import parse_agreement_draft
from hub.trust.agreement import encode_agreement
from hub.trust.keys import KeyUse
from tests.support.authority import World
from tests.support.command import Ran, hub

CATALOG = Catalog.load()
DAY = timedelta(days=1)
TODAY = datetime.now(UTC)
TEXT = f"""\
agreement: MOU-2024-07
version: 1
title: Stolen firearms
mou: Memorandum of 1 July 2024, article 4
parties: [JCF, ATF]
first_day: {TODAY - 2 * DAY:%Y-%m-%d}
last_day: {TODAY + 200 * DAY:%Y-%m-%d}
clauses:
  - from: JCF
    to: ATF
    types: [trace.request]
    compartments: [core, personal]
    purposes: [INVESTIGATION]
    max_handling: TLP:AMBER
    onward_sharing: ORIGINATOR_CONSENT
    retention_days: 1825
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a draft, and the identity keys of the parties and of a stranger."""
    monkeypatch.chdir(tmp_path)
    Path("mou.yaml").write_text(TEXT)
    for name in ("JCF", "ATF", "RSS"):
        write_key(
            Path(f"{name}.key"), KeyUse.IDENTITY, hashlib.sha512(f"tests signing {name} identity".encode()).digest()
        )
    return tmp_path


@pytest.fixture
def publish(here: Path) -> Callable[[World], str]:
    """Writes a world's directory and root; gives the options that name them."""

    def write(world: World) -> str:
        Path("directory.json").write_bytes(world.snapshot())
        Path("root.json").write_bytes(world.root_bytes())
        return "--directory directory.json --root root.json"

    return write


def a_world() -> World:
    return World.of("JCF", "ATF", "RSS", now_ms=int(time.time() * 1000))


def sign(name: str, file: str, more: str = "--yes") -> Ran:
    return hub(f"agreement sign {file} --key {name}.key --agency {name} {more}")


def next_version(old: str = "", new: str = "") -> str:
    Path("next.yaml").write_text(TEXT.replace("version: 1", "version: 2").replace(old, new))
    return "next.yaml"


# --- draft and check --------------------------------------------------------------------------------------------------


def test_a_template_is_a_draft_that_lacks_its_memorandum(here: Path) -> None:
    line = "agreement draft MOU-1 --from JCF --to ATF --types trace.request --return-types trace.ack,trace.result"
    assert hub(f"{line} --out a.yaml").code == 0
    refused = hub("agreement check a.yaml")
    assert refused.code == 2
    assert "a.yaml:10: mou: " in refused.err
    assert "name the memorandum" in refused.err
    assert hub(f"{line} --mou 'MOU of 1 July 2024' --out b.yaml").code == 0
    assert hub("agreement check b.yaml").out.startswith("ok: b.yaml: MOU-1, version 1, ATF and JCF, 2 clauses")
    told = hub(f"{line} --mou 'MOU of 1 July 2024' --json").json
    assert told["draft"] == Path("b.yaml").read_text()
    assert hub(f"{line} --out b.yaml").code == 2  # not written over


@pytest.mark.parametrize(
    "line",
    [
        "",
        "MOU-1 --from JCF --to ATF",
        "MOU-1 --from JCF --to JCF --types trace.ack",
        "MOU-1 --from JCF --to ATF --types trace.ack,trace.nack",
        "MOU-1 --from JCF --to ATF --types hub.notice",
        "'MOU 1' --from JCF --to ATF --types trace.ack",
        "MOU-1 --from JCF --to ATF --types trace.ack --last-day 2020-01-01",
    ],
)
def test_no_template_of_nonsense(line: str) -> None:
    assert hub(f"agreement draft {line}").code == 2


def test_a_draft_of_the_next_version(here: Path) -> None:
    sign("JCF", "mou.yaml")
    for file in ("mou.yaml", "mou.json"):
        text = hub(f"agreement draft --previous {file}").out
        before = parse_agreement_draft(TEXT, CATALOG).document
        assert parse_agreement_draft(text, CATALOG).document == replace(before, version=2)


def test_every_slip_is_told_at_once(here: Path) -> None:
    Path("bad.yaml").write_text(TEXT.replace("[JCF, ATF]", "[JCF]").replace("TLP:AMBER", "AMBER"))
    refused = hub("agreement check bad.yaml")
    assert refused.code == 2
    assert refused.err.count("error: policy.invalid: bad.yaml:") == 2
    told = hub("agreement check bad.yaml --json")
    assert told.code == 2
    assert [(found["field"], found["line"]) for found in told.json["findings"]] == [
        ("parties", 5),
        ("1.max_handling", 14),
    ]


def test_a_doubt_is_a_warning_with_its_line(here: Path) -> None:
    Path("red.yaml").write_text(TEXT.replace("TLP:AMBER", "TLP:RED"))
    found = hub("agreement check red.yaml")
    assert found.code == 0
    assert found.err.startswith("warning: red.yaml:14: clause 1, max_handling: TLP:RED is for named persons")


def test_what_has_ended_cannot_be_signed(here: Path) -> None:
    Path("old.yaml").write_text(TEXT.replace(f"{TODAY + 200 * DAY:%Y-%m-%d}", f"{TODAY - DAY:%Y-%m-%d}"))
    assert hub("agreement check old.yaml").code == 2
    assert sign("JCF", "old.yaml").code == 2
    assert not Path("old.json").exists()


def test_checked_against_the_directory(publish: Callable[[World], str]) -> None:
    world = a_world()
    options = publish(world)
    assert hub(f"agreement check mou.yaml {options}").code == 0
    Path("other.yaml").write_text(TEXT.replace("ATF", "NCA"))
    refused = hub(f"agreement check other.yaml {options}")
    assert refused.code == 2
    assert "the directory lists no agency 'NCA'" in refused.err
    world.suspend("ATF")
    world.agree("JCF", "ATF", "trace.request", compartments=["core", "sensitive"], agreement_id="SECOND")
    world.agree("RSS", "ATF", "trace.request", agreement_id="THIRD")
    warned = hub(f"agreement check mou.yaml {publish(world)}")
    assert warned.code == 0
    assert "ATF is suspended" in warned.err
    assert "MOU-2024-07 and SECOND are each wider" in warned.err
    assert "THIRD" not in warned.err
    assert hub("agreement check mou.yaml --directory directory.json").code == 2


# --- sign -------------------------------------------------------------------------------------------------------------


def test_both_parties_sign_the_same_bytes(publish: Callable[[World], str]) -> None:
    options = publish(a_world())
    first = sign("JCF", "mou.yaml", f"{options} --yes")
    assert first.code == 0
    assert "ATF receives from JCF" in first.out
    assert "has no MOU-2024-07: all of it is new" in first.out
    assert "next: ATF signs this file too" in first.out
    before = parse_signed_role(Path("mou.json").read_bytes())
    second = sign("ATF", "mou.json", f"{options} --yes")
    assert "Signed by JCF, with the identity key" in second.out
    assert "Not signed by ATF." in second.out
    assert "JCF has signed it too" in second.out
    after = parse_signed_role(Path("mou.json").read_bytes())
    assert after.payload == before.payload
    assert (
        Metadata[Targets].from_bytes(after.metadata).signed_bytes
        == Metadata[Targets].from_bytes(before.metadata).signed_bytes
    )
    assert hub(f"agreement show mou.json {options} --json").json["signed_by"] == ["ATF", "JCF"]


def test_what_is_signed_is_taken_by_the_custodians(publish: Callable[[World], str]) -> None:
    world = a_world()
    publish(world)
    sign("JCF", "mou.yaml")
    sign("ATF", "mou.json")
    world.repository.put_agreement(parse_signed_role(Path("mou.json").read_bytes()))


def test_it_is_shown_and_asked_before_anything_is_signed(here: Path) -> None:
    asked = sign("JCF", "mou.yaml", "")
    assert asked.code == 2
    assert "confirmation.missing" in asked.err
    assert "holds from" in asked.out
    assert not Path("mou.json").exists()


def test_json_shows_it_too(here: Path) -> None:
    ran = sign("JCF", "mou.yaml", "--yes --json")
    assert ran.json == {
        "agreement": "MOU-2024-07",
        "version": 1,
        "signed_by": ["JCF"],
        "signatures": 1,
        "file": "mou.json",
    }
    assert "ATF receives from JCF" in ran.err


def test_who_may_sign(publish: Callable[[World], str]) -> None:
    options = publish(a_world())
    stranger = sign("RSS", "mou.yaml")
    assert stranger.code == 2
    assert "RSS is no party" in stranger.err
    wrong = hub(f"agreement sign mou.yaml --key RSS.key --agency JCF --yes {options}")
    assert wrong.code == 2
    assert "not the identity key that the directory lists for JCF" in wrong.err
    write_key(Path("site.key"), KeyUse.SIGNING, bytes(64))
    assert hub("agreement sign mou.yaml --key site.key --agency JCF --yes").code == 2
    assert not Path("mou.json").exists()


def test_a_file_with_a_signature_is_not_written_over(here: Path) -> None:
    sign("JCF", "mou.yaml")
    kept = Path("mou.json").read_bytes()
    assert sign("ATF", "mou.yaml").code == 2
    assert Path("mou.json").read_bytes() == kept
    assert sign("ATF", "mou.yaml", "--yes --out other.json").code == 0


def test_a_tampered_file_is_not_signed(here: Path) -> None:
    sign("JCF", "mou.yaml")
    role = parse_signed_role(Path("mou.json").read_bytes())
    wider = replace(read_agreement(role), title="Another title")
    Path("mou.json").write_bytes(encode_signed_role(SignedRole(role.role, role.metadata, encode_agreement(wider))))
    refused = sign("ATF", "mou.json")
    assert refused.code == 1
    assert "role.malformed" in refused.err


@pytest.mark.parametrize("what", ["expires", "custom", "more"])
def test_nothing_is_signed_that_was_not_shown(here: Path, what: str) -> None:
    """The metadata is what is signed: an end of its own, or words that nobody is shown, have no place in it."""
    sign("JCF", "mou.yaml")
    role = parse_signed_role(Path("mou.json").read_bytes())
    form = json.loads(role.metadata)
    if what == "expires":
        form["signed"]["expires"] = "2099-01-01T00:00:00Z"
    elif what == "custom":
        form["signed"]["targets"][role.path]["custom"] = {"and": "more"}
    else:
        form["signed"]["more"] = True
    Path("mou.json").write_bytes(encode_signed_role(SignedRole(role.role, json.dumps(form).encode(), role.payload)))
    refused = sign("ATF", "mou.json")
    assert refused.code == 1
    assert "role.malformed" in refused.err
    assert len(parse_signed_role(Path("mou.json").read_bytes()).key_ids) == 1


# --- a new version ----------------------------------------------------------------------------------------------------


def in_force(publish: Callable[[World], str]) -> str:
    """A directory that has the agreement of TEXT; the options that name it."""
    world = a_world()
    publish(world)
    sign("JCF", "mou.yaml")
    sign("ATF", "mou.json")
    repository = world.publish()
    repository.put_agreement(parse_signed_role(Path("mou.json").read_bytes()))
    for custodian in world.custodians[:2]:
        repository.sign(custodian)
    publish_version(repository, world.online, now_ms=world.now_ms, days=10)
    Path("directory.json").write_bytes(encode_bundle(repository.files))
    return "--directory directory.json --root root.json"


def test_what_changes_over_the_version_in_force_is_shown(publish: Callable[[World], str]) -> None:
    options = in_force(publish)
    file = next_version("[core, personal]", "[core]")
    ran = sign("JCF", file, f"{options} --yes")
    assert ran.code == 0
    assert "Against version 1, which is in force:" in ran.out
    assert "NARROWS  clause 1, JCF to ATF, compartments: no longer personal" in ran.out
    assert "only narrows" in ran.out


def test_the_next_version_is_one_more(publish: Callable[[World], str]) -> None:
    options = in_force(publish)
    assert hub(f"agreement check mou.yaml {options}").code == 0  # the very version in force, to be signed anew
    Path("same.yaml").write_text(TEXT.replace("TLP:AMBER", "TLP:GREEN"))
    for text, wanted in ((TEXT.replace("version: 1", "version: 3"), 2), (TEXT.replace("TLP:AMBER", "TLP:GREEN"), 2)):
        Path("same.yaml").write_text(text)
        refused = sign("JCF", "same.yaml", f"{options} --yes")
        assert refused.code == 2
        assert f"version 1 is in force: the next one is {wanted}" in refused.err


def test_a_name_is_of_two_parties(publish: Callable[[World], str]) -> None:
    options = in_force(publish)
    Path("other.yaml").write_text(TEXT.replace("JCF", "RSS").replace("version: 1", "version: 2"))
    refused = hub(f"agreement check other.yaml {options}")
    assert refused.code == 2
    assert "the directory has a MOU-2024-07 between ATF and JCF" in refused.err


# --- show and diff ----------------------------------------------------------------------------------------------------


def test_a_file_vouches_for_nobody(here: Path) -> None:
    sign("JCF", "mou.yaml")
    sign("ATF", "mou.json")
    assert hub("agreement show mou.yaml").out.endswith("Signed by nobody.\n")
    shown = hub("agreement show mou.json")
    assert shown.out.count("not verified") == 2
    assert hub("agreement show mou.json --json").json["signed_by"] == []
    one = hub("agreement show mou.json --identity JCF=JCF.pub --identity ATF=RSS.pub")
    assert "Signed by JCF" in one.out
    assert "Not signed by ATF." in one.out
    assert one.out.count("not verified") == 1
    assert hub("agreement show mou.json --identity NCA=JCF.pub").code == 2


def test_diff_exits_as_diff_does(here: Path) -> None:
    sign("JCF", "mou.yaml")
    same = hub("agreement diff mou.yaml mou.json")
    assert (same.code, same.out) == (0, "The two are the same.\n")
    file = next_version("[trace.request]", "[trace.request, trace.ack]")
    wider = hub(f"agreement diff mou.json {file}")
    assert wider.code == 1
    assert "WIDENS   clause 1, JCF to ATF, types: also trace.ack" in wider.out
    assert wider.out.endswith("Taken together it only widens what may be shared.\n")
    told = hub(f"agreement diff {file} mou.json --json")
    assert told.code == 1
    assert told.json["effect"] == "narrows"
    assert {"clause": "", "field": "version", "effect": "none", "text": "1 instead of 2"} in told.json["changes"]
    Path("broken.json").write_text("{}")
    assert hub("agreement diff mou.yaml broken.json").code == 2
