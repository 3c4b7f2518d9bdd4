"""hub/policy/directory_diff.py: what custodians read before they sign. Whatever changes has a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.model import AgencyId
from hub.policy.directory_diff import diff_directories, diff_roots
from hub.trust.directory import Directory, DirectoryFault
from hub.trust.root import Custodian, Root
from hub.trust.statement import KeyStatement
from tests.support.authority import DAY_MS, World, signing_key

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")


def published() -> Directory:
    world = World.of("ATF", "JCF")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
    world.publish()
    return world.repository.verify_from(world.root_bytes(), world.now_ms)


def told(before: Directory | None, after: Directory) -> list[str]:
    return [f"{change.kind} {change.subject}: {change.text}" for change in diff_directories(before, after)]


def with_statement(directory: Directory, change: Callable[[KeyStatement], KeyStatement]) -> Directory:
    entry = directory.entries[ATF]
    return replace(directory, entries={**directory.entries, ATF: replace(entry, statement=change(entry.statement))})


def first_signing_key(statement: KeyStatement, **changes: Any) -> KeyStatement:
    return replace(statement, signing_keys=(replace(statement.signing_keys[0], **changes), *statement.signing_keys[1:]))


BASE = published()
REVOKED = with_statement(BASE, lambda s: first_signing_key(s, revoked_at_ms=s.issued_at_ms))


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (BASE, replace(BASE, entries={k: v for k, v in BASE.entries.items() if k != ATF}), "agency ATF: leaves"),
        (BASE, replace(BASE, entries={**BASE.entries, ATF: replace(BASE.entries[ATF], active=False)}), "is suspended"),
        (BASE, replace(BASE, entries={**BASE.entries, ATF: replace(BASE.entries[ATF], name="x")}), "is called 'x'"),
        (
            BASE,
            replace(BASE, entries={**BASE.entries, ATF: replace(BASE.entries[ATF], identity=signing_key("x").public)}),
            "agency ATF: has another identity key",
        ),
        (BASE, REVOKED, "is revoked from"),
        (REVOKED, BASE, "is revoked no more, before from"),
        (
            BASE,
            with_statement(BASE, lambda s: first_signing_key(s, not_before_ms=DAY_MS)),
            "holds from 1970-01-02, before",
        ),
        (
            BASE,
            with_statement(BASE, lambda s: first_signing_key(s, not_after_ms=s.signing_keys[0].not_after_ms + DAY_MS)),
            "holds to",
        ),
        (BASE, with_statement(BASE, lambda s: replace(s, kem_keys=())), "is listed no more"),
        (BASE, replace(BASE, documents=()), "agreement MOU-1: is withdrawn"),
        (
            BASE,
            replace(BASE, documents=(), faults=(DirectoryFault("agreement.MOU-1", "role.unsigned", "unsigned"),)),
            "agreement MOU-1: is listed and does not hold",
        ),
        (
            BASE,
            replace(BASE, faults=(DirectoryFault("agency.ATF", "role.unsigned", "x"),)),
            "fault agency.ATF: does not",
        ),
    ],
)
def test_what_changes_is_told(before: Directory, after: Directory, text: str) -> None:
    (line,) = [line for line in told(before, after) if text in line]
    assert line
    assert len(told(before, after)) <= 2


def test_nothing_is_told_of_nothing() -> None:
    assert not told(BASE, BASE)


def test_all_is_new_without_a_before() -> None:
    lines = told(None, BASE)
    assert [line.partition(":")[0] for line in lines if "joins" in line] == ["agency ATF", "agency HUB", "agency JCF"]
    assert any(line.startswith("agreement MOU-1: is new") for line in lines)


class TestRoot:
    root = World.of().root

    def told(self, after: Root, before: Root | None = root) -> list[str]:
        return [f"{change.subject}: {change.text}" for change in diff_roots(before, after)]

    def test_the_first_one(self) -> None:
        lines = self.told(self.root, None)
        assert lines[0] == "HUB: 2 of custodian 0, custodian 1, custodian 2 must sign"
        for custodian in self.root.custodians:
            assert f"{custodian.name}: is a custodian now, with the key {custodian.key.key_id.hex()[:16]}" in lines
        assert f"HUB: dated with the operator's online key {self.root.online[0].key_id.hex()[:16]}" in lines

    def test_a_custodian_for_another(self) -> None:
        new = Custodian("west", signing_key("west").public)
        lines = self.told(replace(self.root, custodians=(*self.root.custodians[:2], new)))
        assert lines[0] == "custodian 2: is a custodian no more"
        assert lines[1].startswith("west: is a custodian now")
        assert len(lines) == 2

    @pytest.mark.parametrize("place", [0, 3])
    def test_a_second_key_under_a_known_name(self, place: int) -> None:
        custodians = list(self.root.custodians)
        custodians.insert(place, Custodian("custodian 0", signing_key("a stranger").public))
        (line,) = self.told(replace(self.root, custodians=tuple(custodians)))
        assert line.startswith("custodian 0: has another key")

    def test_threshold_and_online_key(self) -> None:
        lines = self.told(replace(self.root, threshold=1, online=(signing_key("x").public,)))
        assert [line.partition(",")[0] for line in lines] == [
            "HUB: 1 custodians must sign",
            "HUB: the operator's online key is another one",
        ]
