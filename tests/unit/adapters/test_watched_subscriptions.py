"""A changed folder of subscriptions: taken without a restart, and a fault is its agency's alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import structlog.testing

from hub.adapters.files import write_file
from hub.adapters.memory_observer import MemoryObserver
from hub.adapters.watched_subscriptions import SubscriptionsUnavailable, WatchedSubscriptions
from hub.errors import UnavailableError
from hub.model import HUB, AgencyId, Decision, Priority, Purpose, Route, parse_handling
from hub.policy.source import PolicyInvalid
from hub.trust.directory import DirectoryExpired
from tests.support.samples import catalog
from tests.support.sites import GivenDirectory, JumpingClock, first_directory

ATF, JCF, RSS = AgencyId("ATF"), AgencyId("JCF"), AgencyId("RSS")


def text(agency: str, *types: str, publisher: str = '"*"') -> bytes:
    return (
        f"agency: {agency}\naccept:\n  - name: all\n    types: [{', '.join(types)}]\n    from: {publisher}\n".encode()
    )


class Hub:
    """A folder with ATF's and RSS's files, and what reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.put(ATF, text(ATF, "trace.request"))
        self.put(RSS, text(RSS, "trace.request"))
        self.clock = JumpingClock()
        self.observer = MemoryObserver()
        self.directory = GivenDirectory(first_directory())
        self.words: list[str] = []
        self.start()

    def start(self) -> None:
        self.watched = WatchedSubscriptions(
            self.folder, catalog(), directory=self.directory, clock=self.clock, observer=self.observer
        )

    def put(self, agency: str, raw: bytes) -> None:
        write_file(self.folder / f"{agency}.yaml", raw)

    def decide(self, agency: AgencyId, event_type: str = "trace.request", publisher: AgencyId = JCF) -> Decision:
        route = Route(event_type, 1, parse_handling("TLP:AMBER"), Priority.ROUTINE, Purpose.INVESTIGATION)
        return self.watched.decide_labels(agency, publisher, route)

    def settle(self) -> None:
        """Time for two looks."""
        for _ in range(2):
            self.clock.jump(1)
            with structlog.testing.capture_logs() as logs:
                self.decide(ATF)
            self.words += [log["event"] for log in logs]

    @property
    def counts(self) -> tuple[float, float]:
        """Files in force, and refused."""
        return tuple(self.observer.total("cgi_subscriptions", state=state) for state in ("in_force", "refused"))  # type: ignore[return-value]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "subscriptions")


def test_a_change_is_taken_without_a_restart(hub: Hub) -> None:
    assert hub.decide(ATF).allowed
    hub.put(ATF, text(ATF, "trace.result"))
    hub.settle()
    assert hub.decide(ATF).code == "subscription.labels"
    assert hub.decide(ATF, "trace.result").allowed
    assert hub.words == ["subscription.loaded"]
    assert hub.counts == (2, 0)


def test_an_agency_that_joins_and_one_that_leaves(hub: Hub) -> None:
    assert hub.decide(JCF).code == "subscription.none"
    hub.put(JCF, text(JCF, "trace.request"))
    (hub.folder / "RSS.yaml").unlink()
    hub.settle()
    assert hub.decide(JCF).allowed
    assert hub.decide(RSS).code == "subscription.none"
    assert hub.counts == (2, 0)


@pytest.mark.parametrize(
    "raw",
    [b"agency: ATF\naccept: [", b"\xff", text("RSS", "trace.request"), text(ATF, "trace.requst"), b"",
     text(ATF, "trace.request") + b"    when: {field: channel, is: ETRACE}\n"],
    ids=["no yaml", "no text", "another's", "a typo", "empty", "tells content"],
)  # fmt: skip
def test_a_file_that_is_wrong_gives_its_agency_nothing_and_the_others_what_they_had(hub: Hub, raw: bytes) -> None:
    hub.put(ATF, raw)
    hub.settle()
    assert hub.decide(ATF).code == "subscription.refused"
    assert not hub.decide(ATF).allowed
    assert hub.decide(ATF, "hub.notice", HUB).allowed, "it is told why"
    assert not hub.decide(ATF, "hub.notice", JCF).allowed
    assert hub.decide(RSS).allowed
    assert hub.words == ["subscription.refused"], "once"
    assert hub.counts == (1, 1)
    hub.put(ATF, text(ATF, "trace.request"))
    hub.settle()
    assert hub.decide(ATF).allowed
    assert hub.counts == (2, 0)


def test_a_wrong_file_that_is_taken_away(hub: Hub) -> None:
    hub.put(ATF, b"[")
    hub.settle()
    (hub.folder / "ATF.yaml").unlink()
    hub.settle()
    assert hub.decide(ATF).code == "subscription.none"
    assert hub.counts == (1, 0)


def test_what_changed_while_the_hub_was_quiet_counts_for_the_first_event_after_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(JCF, text(JCF, "trace.request"))
    (hub.folder / "RSS.yaml").unlink()
    a_while_later = time.time_ns() + 2_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: a_while_later)
    hub.clock.jump(2)
    assert hub.decide(JCF).allowed
    assert hub.decide(RSS).code == "subscription.none"


def test_a_file_that_is_being_written_is_not_read_half(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)  # it was touched just now, always
    half = text(ATF, "trace.request", "trace.result")
    (hub.folder / "ATF.yaml").write_bytes(half[:20])
    hub.clock.jump(1)
    assert hub.decide(ATF).allowed
    (hub.folder / "ATF.yaml").write_bytes(half)
    hub.clock.jump(1)
    assert hub.decide(ATF).allowed
    hub.clock.jump(1)
    assert hub.decide(ATF, "trace.result").allowed


def test_the_folder_is_looked_at_once_a_second(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(WatchedSubscriptions, "_stamps", lambda watched: looks.append(1) or watched._read)
    hub.clock.jump(1)
    for _ in range(50):
        hub.decide(ATF)
    assert len(looks) == 1


def test_a_folder_that_is_gone_decides_nothing(hub: Hub) -> None:
    shutil.move(hub.folder, hub.folder.with_name("away"))
    hub.clock.jump(1)
    for _ in range(2):
        with pytest.raises(SubscriptionsUnavailable):
            hub.decide(ATF)
    shutil.move(hub.folder.with_name("away"), hub.folder)
    assert hub.decide(ATF).allowed
    assert issubclass(SubscriptionsUnavailable, UnavailableError)


def test_agencies_that_the_directory_does_not_list_are_told_once(hub: Hub) -> None:
    hub.put(ATF, text(ATF, "trace.request", publisher="[JCF, JFC]"))
    hub.settle()
    hub.settle()
    assert hub.words == ["subscription.loaded", "subscription.agency_unlisted"]
    assert hub.decide(ATF).allowed
    hub.put(ATF, text(ATF, "trace.request", publisher="[JCF]"))
    hub.settle()
    assert hub.words[2:] == ["subscription.loaded"]


def test_without_a_directory_there_is_nobody_to_compare_with(hub: Hub) -> None:
    hub.directory.given = DirectoryExpired("over")
    hub.put(ATF, text("ATF", "trace.request", publisher="[JFC]"))
    hub.settle()
    assert hub.words == ["subscription.loaded"]
    hub.directory.given = first_directory()
    hub.settle()
    assert hub.words == ["subscription.loaded", "subscription.agency_unlisted"]


def test_a_name_that_is_no_agency(hub: Hub) -> None:
    hub.put("notes", b"hello")
    hub.settle()
    assert hub.words == ["subscription.refused"]
    (hub.folder / "notes.yaml").unlink()
    hub.settle()
    assert hub.decide(ATF).allowed


def test_nothing_wrong_at_the_start(hub: Hub) -> None:
    hub.put(RSS, b"[")
    with pytest.raises(PolicyInvalid, match=r"RSS\.yaml"):
        hub.start()
    shutil.rmtree(hub.folder)
    with pytest.raises(PolicyInvalid, match="no such folder"):
        hub.start()
