"""An event before its seal: whoever cannot be sealed to is left out, to the millisecond."""

from __future__ import annotations

from dataclasses import replace

from hub.client.prepare import Prepared, Preparer
from hub.model import AgencyId
from hub.policy.decide import ReleasePolicy
from hub.policy.release import parse_release
from hub.trust.directory import Directory
from tests.support.authority import NOW_MS
from tests.support.samples import catalog
from tests.support.sites import ATF, CCGIU, JCF, RELEASE, Net, make_world, trace

END_MS = NOW_MS + 400


def directory_where_a_key_ends() -> Directory:
    world = make_world()
    keys = world.keys[CCGIU]
    keys.kem_entries = [replace(entry, not_after_ms=END_MS) for entry in keys.kem_entries]
    keys.statement_version += 1
    world.version += 1
    return world.directory()


def prepare(preparer: Preparer, directory: Directory, now_ms: int) -> Prepared:
    return preparer.prepare(trace(1), key=None, only=None, directory=directory, now_ms=now_ms)


def make_preparer() -> Preparer:
    return Preparer(catalog=catalog(), policy=ReleasePolicy(parse_release(RELEASE, catalog()), JCF), salt=b"s" * 16)


def recipients(prepared: Prepared) -> tuple[AgencyId, ...]:
    return tuple(agency for agency, _ in prepared.grants)


def test_a_recipient_is_left_out_from_the_moment_when_its_key_ends() -> None:
    preparer, directory = make_preparer(), directory_where_a_key_ends()
    before, last, after = (prepare(preparer, directory, now) for now in (NOW_MS, END_MS - 1, END_MS))
    assert recipients(before) == recipients(last) == (ATF, CCGIU)
    assert recipients(after) == (ATF,)
    assert after.left_out == ((CCGIU, "kem_key.none"),)


def test_a_decision_is_current_under_its_directory_and_until_a_key_ends() -> None:
    preparer, directory = make_preparer(), directory_where_a_key_ends()
    prepared = prepare(preparer, directory, NOW_MS)
    assert preparer.is_current(prepared, directory=directory, now_ms=END_MS - 1)
    assert not preparer.is_current(prepared, directory=directory, now_ms=END_MS)
    assert not preparer.is_current(prepared, directory=Net().directory.current(), now_ms=NOW_MS)
