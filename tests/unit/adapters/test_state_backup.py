"""hub/adapters/state_backup.py and sqlite_copy.py: a copy under load is whole; harm is said."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.adapters import sqlite_inbox, sqlite_outbox, state_backup
from hub.adapters.files import FileUnreadable
from hub.adapters.sqlite_copy import STEPS_BACK, StoreNotReversible, copy_store, step_back
from hub.adapters.sqlite_inbox import SqliteInbox
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.adapters.state_backup import (
    BackupExists,
    BackupInvalid,
    StateExists,
    back_up,
    read_backup,
    restore,
    restored_group,
)
from hub.client.inbox import InboxCommit
from hub.client.outbox import NewRecord, OutboxCommit, WaitingEvent
from hub.client.store import StoreCorrupt, StoreForeign, StoreInUse
from hub.model import AgencyId, EventId

JCF, ATF = AgencyId("JCF"), AgencyId("ATF")
INSTANCE = bytes(16)


def store(outbox: SqliteOutbox, number: int) -> None:
    """One transaction: the record and the number that it uses are of one size."""
    record = NewRecord(INSTANCE, b"%d" % number * 2_000, 1, "trace.request")
    outbox.commit(OutboxCommit(INSTANCE, [record], {ATF: number}, [], number))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    outbox, inbox = SqliteOutbox(folder / "outbox.sqlite", agency=JCF), SqliteInbox(folder / "inbox.sqlite", agency=JCF)
    outbox.open()
    store(outbox, 1)
    outbox.close()
    inbox.open()
    inbox.commit(InboxCommit({(ATF, INSTANCE): b"mark"}, {"desk": {"bytes": 7}}))
    inbox.close()
    for name in ("sources/traces.json", "directory/metadata/1.root.json", "sinks/own/table.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in (
        "metrics.address",
        "metrics.address.lock",
        "state.json",
        "stacks.txt",
        "publish/x.json",
        "restored.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of the moment")
    return folder


def test_everything_but_what_is_of_the_moment(state: Path, tmp_path: Path) -> None:
    made = back_up(state, tmp_path / "backup", agency=JCF, now_ms=1_000)
    assert set(made.files) == {
        "outbox.sqlite",
        "inbox.sqlite",
        "sources/traces.json",
        "directory/metadata/1.root.json",
        "sinks/own/table.bin",
    }
    found = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file()}
    assert found == {*made.files, "backup.json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in [made.folder, *made.folder.rglob("*")])
    assert (made.agency, made.made_at_ms) == (JCF, 1_000)


def test_positions_before_the_outbox_and_that_before_the_inbox(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def watched(real: Callable[..., None]) -> Callable[..., None]:
        def copy(source: Path, target: Path, **details: Any) -> None:
            order.append(source.name)
            real(source, target, **details)

        return copy

    for name in ("_copy", "copy_store"):
        monkeypatch.setattr(state_backup, name, watched(getattr(state_backup, name)))
    back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    assert order[-2:] == ["outbox.sqlite", "inbox.sqlite"]
    assert "traces.json" in order[:-2]


def test_a_copy_under_load_is_of_one_moment(state: Path, tmp_path: Path) -> None:
    stop, written = threading.Event(), [1]

    def load() -> None:
        outbox = SqliteOutbox(state / "outbox.sqlite", agency=JCF)
        outbox.open()
        while not stop.is_set():
            store(outbox, written[0] + 1)
            written[0] += 1
            if written[0] % 50 == 0:
                outbox.acknowledge(written[0] - 40)
        outbox.close()

    thread = threading.Thread(target=load)
    thread.start()
    seen = []
    try:
        for number in range(8):
            while written[0] < 30 * (number + 1):
                pass
            least = written[0]
            made = back_up(state, tmp_path / f"backup-{number}", agency=JCF, now_ms=1)
            restore(made, tmp_path / f"restored-{number}", now_ms=2)
            copy = SqliteOutbox(tmp_path / f"restored-{number}" / "outbox.sqlite", agency=JCF)
            copy.open()
            (_, last) = copy.sequences()[ATF]
            positions = [record.position for record in copy.read(max_records=10_000, max_bytes=10**9)]
            copy.close()
            assert positions == list(range(positions[0], last + 1))  # the last record is the last number's
            assert last >= least
            seen.append(last)
    finally:
        stop.set()
        thread.join()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_what_was_backed_up_comes_back(state: Path, tmp_path: Path) -> None:
    made = back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    new = tmp_path / "elsewhere/state"
    restore(made, new, now_ms=1_700_000_000_000)
    for name in ("sources/traces.json", "sinks/own/table.bin"):
        assert (new / name).read_text() == name
    inbox = SqliteInbox(new / "inbox.sqlite", agency=JCF)
    inbox.open()
    assert inbox.load().sinks == {"desk": {"bytes": 7}}
    inbox.close()
    # What came after the backup is read again: in a group that has no offsets yet.
    assert restored_group("site", new) == "site.restored-20231114t221320"
    assert restored_group("site", tmp_path) == "site"
    (new / "restored.json").write_text("{}")
    with pytest.raises(BackupInvalid):
        restored_group("site", new)


def test_never_over_anything(state: Path, tmp_path: Path) -> None:
    made = back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    with pytest.raises(BackupExists):
        back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    with pytest.raises(StateExists, match="move it away"):
        restore(made, state, now_ms=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "outbox.sqlite.lock").touch()
    restore(made, empty, now_ms=1)


def test_a_backup_that_fails_leaves_nothing(state: Path, tmp_path: Path) -> None:
    (state / "outbox.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreCorrupt):
        back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    with pytest.raises(FileUnreadable):
        back_up(tmp_path / "nowhere", tmp_path / "backup", agency=JCF, now_ms=1)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_restore_that_fails_leaves_no_half_state(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    real = state_backup._copy

    def fail(source: Path, target: Path) -> None:
        if source.name == "outbox.sqlite":
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(state_backup, "_copy", fail)
    with pytest.raises(FileUnreadable, match="No space"):
        restore(made, tmp_path / "new", now_ms=1)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "outbox.sqlite").write_bytes(b"other"), "not what was backed up"),
        (lambda folder: (folder / "inbox.sqlite").unlink(), "missing"),
        (lambda folder: (folder / "backup.json").write_text("{}"), "manifest"),
        (lambda folder: (folder / "backup.json").write_text("no JSON"), "manifest"),
        (lambda folder: _change(folder, "agency", "ATF"), "another agency"),
        (lambda folder: _change(folder, "kind", "other"), "manifest"),
        (lambda folder: _lead_out(folder), "leads out"),
    ],
)
def test_a_damaged_backup_is_refused(state: Path, tmp_path: Path, harm: Callable[[Path], None], reason: str) -> None:
    back_up(state, tmp_path / "backup", agency=JCF, now_ms=1)
    harm(tmp_path / "backup")
    with pytest.raises(BackupInvalid, match=reason):
        read_backup(tmp_path / "backup", agency=JCF)


def _change(folder: Path, key: str, value: object) -> None:
    form = json.loads((folder / "backup.json").read_text())
    form[key] = value
    (folder / "backup.json").write_text(json.dumps(form))


def _lead_out(folder: Path) -> None:
    shutil.copy(folder / "sinks/own/table.bin", folder.parent / "out")
    files = json.loads((folder / "backup.json").read_text())["files"]
    _change(folder, "files", {**files, "../out": files["sinks/own/table.bin"]})


# --- one store -------------------------------------------------------------------------------------------------------


def test_a_store_of_another_is_not_copied(state: Path, tmp_path: Path) -> None:
    for number, (kind, agency) in enumerate([("inbox", JCF), ("outbox", ATF)]):
        with pytest.raises(StoreForeign):
            copy_store(state / "outbox.sqlite", tmp_path / f"{number}", kind=kind, agency=agency)
    with closing(sqlite3.connect(tmp_path / "foreign")) as db:
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(StoreForeign, match="something else"):
        copy_store(tmp_path / "foreign", tmp_path / "copy", kind="outbox", agency=JCF)


def version(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        found: str = db.execute("SELECT value FROM identity WHERE name = 'version'").fetchone()[0]
    return found


@pytest.fixture
def outbox(state: Path) -> Path:
    return state / "outbox.sqlite"


def test_one_version_back_and_forward_again_keeps_everything(outbox: Path) -> None:
    assert step_back(outbox, kind="outbox", agency=JCF) == (2, 1)
    assert version(outbox) == "1"
    with closing(sqlite3.connect(outbox)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"records", "sequences", "source_keys", "salt", "identity", "sqlite_sequence"}  # as version 1 made
    with pytest.raises(StoreNotReversible, match="no version before"):
        step_back(outbox, kind="outbox", agency=JCF)
    again = SqliteOutbox(outbox, agency=JCF)
    again.open()
    assert again.sequences() == {ATF: (INSTANCE, 1)}
    assert [record.value[:2] for record in again.read(max_records=9, max_bytes=10**6)] == [b"11"]
    again.close()
    assert version(outbox) == "2"


def test_what_has_no_place_before_is_not_dropped(outbox: Path) -> None:
    waits = SqliteOutbox(outbox, agency=JCF)
    waits.open()
    event = WaitingEvent(EventId(bytes(16)), 1, "trace.request", "TLP:RED", None, b"content", b"sealed later")
    waits.commit(OutboxCommit(INSTANCE, [], {}, [], 1, waiting=[event]))
    waits.close()
    with pytest.raises(StoreNotReversible, match="1 rows stand in waiting"):
        step_back(outbox, kind="outbox", agency=JCF)
    assert version(outbox) == "2"


def test_an_inbox_too(state: Path) -> None:
    path = state / "inbox.sqlite"
    assert step_back(path, kind="inbox", agency=JCF) == (2, 1)
    inbox = SqliteInbox(path, agency=JCF)
    inbox.open()
    assert inbox.load().sinks == {"desk": {"bytes": 7}}
    inbox.close()
    assert version(path) == "2"


def test_not_under_a_running_site(outbox: Path) -> None:
    owner = SqliteOutbox(outbox, agency=JCF)
    owner.open()
    with pytest.raises(StoreInUse):
        step_back(outbox, kind="outbox", agency=JCF)
    owner.close()


@pytest.mark.parametrize(("kind", "newest"), [("outbox", sqlite_outbox._VERSION), ("inbox", sqlite_inbox._VERSION)])
def test_every_version_has_its_step_back(kind: str, newest: int) -> None:
    assert {number for name, number in STEPS_BACK if name == kind} == set(range(2, newest + 1))
