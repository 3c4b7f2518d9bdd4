"""hub/adapters/standing.py and watched_directory.py: what expires, and what is said when the directory changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.adapters.directory_files import open_files
from hub.adapters.files import write_file
from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.pki import Authority
from hub.adapters.standing import StandingFacts, own_key_end_ms
from hub.adapters.tuf_reader import DirectoryMissing, TufDirectory
from hub.adapters.watched_directory import WatchedDirectory
from hub.model import AgencyId
from tests.support.authority import DAY_MS, World
from tests.unit.test_router import WorldClock

JCF = AgencyId("JCF")


@pytest.fixture
def world() -> World:
    return World.of("JCF", "ATF")


def watched(world: World, path: Path) -> WatchedDirectory:
    inner = TufDirectory(
        open_files(path), root=world.root_bytes(), folder=path.parent / "directory", clock=WorldClock(world)
    )
    return WatchedDirectory(inner)


@pytest.fixture
def directory(world: World, tmp_path: Path) -> WatchedDirectory:
    write_file(tmp_path / "directory.json", world.snapshot())
    found = watched(world, tmp_path / "directory.json")
    found.refresh()
    return found


def test_the_gauges(world: World, directory: WatchedDirectory, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    tls = Authority.create(tmp_path / "ca").issue_client("JCF", tmp_path / "tls", lifetime=timedelta(days=10))
    observer = MemoryObserver()
    keys = world.keys[JCF]
    facts = StandingFacts(
        agency=JCF,
        directory=directory,
        tls=tls,
        key_ids=lambda: [("signing", keys.signing.public.key_id), ("kem", keys.kem.public.kem_id)],
        clock=WorldClock(world),
        observer=observer,
    )
    world.now_ms += 90_000
    facts.refresh()
    assert observer.total("cgi_directory_version") == 1
    assert observer.total("cgi_directory_age_seconds") == 90
    assert observer.total("cgi_clock_timestamp_seconds") == world.now_ms / 1000
    assert observer.total("cgi_directory_expiry_timestamp_seconds") == world.expires_at_ms / 1000
    end = (world.now_ms - 90_000 + 365 * DAY_MS) / 1000
    assert observer.total("cgi_key_expiry_timestamp_seconds", kind="signing") == end
    assert observer.total("cgi_key_expiry_timestamp_seconds", kind="kem") == end
    certificate = observer.total("cgi_certificate_expiry_timestamp_seconds", certificate="client")
    assert abs(certificate - (now + timedelta(days=10)).timestamp()) < 600
    tls.certificate.unlink()
    facts.refresh()
    assert observer.total("cgi_certificate_expiry_timestamp_seconds", certificate="client") == 0
    world.now_ms = world.expires_at_ms
    facts.refresh()
    assert observer.total("cgi_unavailable_total", operation="directory", code="directory.expired") == 1


def test_a_key_that_is_revoked_or_not_listed(world: World) -> None:
    key_id = world.keys[JCF].signing.public.key_id
    world.revoke_signing_key("JCF", at_ms=world.now_ms + 5)
    assert own_key_end_ms(world.directory(), JCF, "signing", key_id) == world.now_ms + 5
    assert own_key_end_ms(world.directory(), JCF, "kem", key_id) is None
    assert own_key_end_ms(world.directory(), AgencyId("ATF"), "signing", key_id) is None
    assert own_key_end_ms(world.directory(), AgencyId("NCA"), "signing", key_id) is None


def test_each_change_of_the_directory_is_said_once(world: World, directory: WatchedDirectory, tmp_path: Path) -> None:
    with capture_logs() as said:
        directory.current()
        directory.current()
        write_file(tmp_path / "directory.json", b"garbage")
        directory.refresh()
        directory.current()
        directory.current()
        world.suspend("ATF")
        write_file(tmp_path / "directory.json", world.snapshot())
        directory.refresh()
        directory.current()
    assert [line["event"] for line in said] == ["directory.loaded", "directory.refused", "directory.loaded"]
    assert said[1]["code"] == "directory.bundle_malformed"


def test_that_there_is_none_is_said_once(world: World, tmp_path: Path) -> None:
    found = watched(world, tmp_path / "none.json")
    found.refresh()
    with capture_logs() as said:
        for _ in range(3):
            with pytest.raises(DirectoryMissing):
                found.current()
    assert [(line["event"], line["code"]) for line in said] == [("directory.unavailable", "directory.missing")]
