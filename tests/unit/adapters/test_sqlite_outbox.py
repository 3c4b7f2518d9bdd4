"""What is SQLite's own: the lock between processes, forks, damaged files, durability settings."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hub.adapters.sqlite_file import SqliteFile
from hub.adapters.sqlite_outbox import _SCHEMA, SqliteOutbox
from hub.client.outbox import NewRecord, OutboxCommit
from hub.client.store import StoreCorrupt, StoreForeign, StoreForked, StoreInUse, StoreUnavailable
from hub.model import AgencyId

JCF = AgencyId("JCF")

_OPEN_ELSEWHERE = """
import sys
from pathlib import Path
from hub.adapters.sqlite_outbox import SqliteOutbox
from hub.errors import ConfigError
try:
    SqliteOutbox(Path(sys.argv[1]), agency="JCF").open()
except ConfigError as error:
    print(error.diagnostics())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def outbox(path: Path):
    opened = SqliteOutbox(path, agency=JCF)
    opened.open()
    yield opened
    opened.close()


def store(outbox: SqliteOutbox, text: bytes) -> None:
    outbox.commit(OutboxCommit(b"i" * 16, [NewRecord(b"k", text, 1, "trace.request")], {}, (), 1))


def test_another_process_is_told_who_has_it(outbox: SqliteOutbox, path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", _OPEN_ELSEWHERE, path], capture_output=True, text=True, check=True)
    assert "store.in_use" in said.stdout
    assert f"process={os.getpid()}" in said.stdout


def test_a_forked_child_is_refused_and_leaves_the_lock_alone(outbox: SqliteOutbox, path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            outbox.depth()
        except StoreForked:
            outbox.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store(outbox, b"still works")
    with pytest.raises(StoreInUse):
        SqliteOutbox(path, agency=JCF).open()


def test_only_its_owner_can_read_the_file(outbox: SqliteOutbox, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("outbox.sqlite-wal").stat().st_mode & 0o777 == 0o600


def test_commits_wait_for_the_disk_also_after_an_acknowledgement(outbox: SqliteOutbox) -> None:
    store(outbox, b"a")
    outbox.acknowledge(1)
    assert outbox._file.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert outbox._file.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreCorrupt):
        SqliteOutbox(path, agency=JCF).open()


def test_a_damaged_database_is_refused(path: Path, outbox: SqliteOutbox) -> None:
    for _ in range(50):
        store(outbox, b"x" * 5000)
    outbox.close()
    raw = bytearray(path.read_bytes())
    raw[100:8192] = b"\xff" * (8192 - 100)
    path.write_bytes(raw)
    with pytest.raises(StoreCorrupt):
        SqliteOutbox(path, agency=JCF).open()


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreForeign):
        SqliteOutbox(path, agency=JCF).open()


def test_a_store_of_a_newer_version_is_refused(path: Path, outbox: SqliteOutbox) -> None:
    outbox._file.connection.execute("UPDATE identity SET value = '99' WHERE name = 'version'")
    outbox.close()
    with pytest.raises(StoreForeign) as caught:
        SqliteOutbox(path, agency=JCF).open()
    assert caught.value.details["found"] == "99"


def test_an_outbox_of_the_first_version_goes_on(path: Path) -> None:
    """One from before events could wait in it: its records and numbers stay, and the tables come beside them."""
    first = SqliteFile(path, kind="outbox", version=1, agency=JCF, schema=_SCHEMA)
    first.open()
    first.connection.execute("INSERT INTO sequences VALUES ('ATF', x'01', 7)")
    first.close()
    for _ in range(2):
        outbox = SqliteOutbox(path, agency=JCF)
        outbox.open()
        assert outbox.sequences() == {AgencyId("ATF"): (b"\x01", 7)}
        assert outbox.read_waiting(max_events=1, max_bytes=1) == []
        outbox.close()


def test_an_old_outbox_of_another_agency_is_left_as_it_is(path: Path) -> None:
    first = SqliteFile(path, kind="outbox", version=1, agency=AgencyId("HNP"), schema=_SCHEMA)
    first.open()
    first.close()
    with pytest.raises(StoreForeign):
        SqliteOutbox(path, agency=JCF).open()
    first.open()  # still of version 1
    first.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        SqliteOutbox(tmp_path / "file" / "outbox.sqlite", agency=JCF).open()


def test_a_failed_opening_lets_go_of_the_lock(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreCorrupt):
        SqliteOutbox(path, agency=JCF).open()
    path.unlink()
    again = SqliteOutbox(path, agency=JCF)
    again.open()
    again.close()
