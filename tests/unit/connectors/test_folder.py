"""The watched folder: whole files only, put away when durable, reports beside them."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from connectors import folder
from connectors.folder import FileRule, FolderSettings
from connectors.toolkit import ProgressFile, SourceRun, files, run
from connectors.toolkit.errors import ConnectorInvalid
from connectors.toolkit.testkit import Killed, MemoryPublisher, SilentObserver, check_source, read_reports, run_source
from tests.support.opened import connector_context
from tests.support.profiles import HEADER, NOTICES
from tests.support.samples import sample_document

ROW = "R{0},,Stolen,03/04/2025,BKT48{0},GLOCK,,"
BAD = "R{0},,Stolen,31/02/2025,BKT48{0},GLOCK,,"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "notices.yaml").write_text(NOTICES)
    (tmp_path / "in").mkdir()
    return tmp_path


def put(site: Path, name: str, *rows: str) -> Path:
    path = site / "in" / name
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def make(site: Path, *, settle: float = 0, once: bool = True) -> folder.Folder:
    rules = (FileRule(match="*.csv", profile="notices.yaml"), FileRule(match="*.jsonl"))
    settings = FolderSettings(path=Path("in"), files=rules, settle_seconds=settle, poll_seconds=0.05, once=once)
    return folder.make_folder(settings, connector_context(site))


def names(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir() if item.is_file()) if path.is_dir() else []


async def run_once(site: Path, publisher: MemoryPublisher) -> None:
    await run_source(make(site), publisher, ProgressFile(site / "p.json"))


async def test_files_are_read_and_put_away_with_their_reports(site: Path) -> None:
    put(site, "a.csv", ROW.format(1), BAD.format(2))
    put(site, "b.csv", ROW.format(3))
    (site / "in" / "c.jsonl").write_text(json.dumps(sample_document("trace.result")) + "\n")
    publisher = MemoryPublisher()
    await run_once(site, publisher)
    assert len(publisher.events) == 3
    assert names(site / "in") == []
    assert names(site / "in" / "done") == ["a.csv", "a.csv.rejected.jsonl", "b.csv", "c.jsonl"]


async def test_the_rules_of_a_source_hold(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 2)

    def reset() -> None:
        shutil.rmtree(site / "in")
        (site / "in").mkdir()
        put(site, "a.csv", *(ROW.format(n) for n in range(4)), BAD.format(7))
        put(site, "b.csv", ROW.format(5), BAD.format(8), ROW.format(6))

    reset()
    await check_source(lambda: make(site), site, events=6, refused_rows=2, reset=reset)


async def test_unfinished_files_links_folders_and_reports_are_left_alone(site: Path) -> None:
    for name in (".a.csv", "a.csv.tmp", "a.csv.part", "a.csv~", "a.csv.rejected.jsonl"):
        put(site, name, ROW.format(1))
    (site / "in" / "sub.csv").mkdir()
    outside = site / "secret.csv"
    outside.write_text("x")
    (site / "in" / "link.csv").symlink_to(outside)
    before = names(site / "in")
    publisher = MemoryPublisher()
    await run_once(site, publisher)
    assert publisher.events == []
    assert names(site / "in") == before
    assert outside.read_text() == "x"


async def test_a_file_is_read_when_it_stands_still(site: Path) -> None:
    publisher = MemoryPublisher()
    source = SourceRun(make(site, settle=0.2, once=False), ProgressFile(site / "p.json"), SilentObserver())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(source.run(publisher))
        path = put(site, "a.csv", ROW.format(1))
        for number in range(2, 6):
            await asyncio.sleep(0.06)
            assert publisher.events == []
            with path.open("a") as file:
                file.write(ROW.format(number) + "\n")
        async with asyncio.timeout(5):
            while not names(site / "in" / "done"):
                await asyncio.sleep(0.02)
        task.cancel()
    assert len(publisher.events) == 5


async def test_a_file_that_changes_while_it_is_read_is_read_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(site, "a.csv", ROW.format(1))
    real, calls = files.read_whole, []

    def changing(target: Path, *, limit: int = files.MAX_FILE_BYTES, follow: bool = True) -> bytes:
        calls.append(target)
        if len(calls) == 1:
            raise files.FileUnavailable("the file is still being written", path=str(target))
        return real(path, limit=limit, follow=follow)

    monkeypatch.setattr("connectors.toolkit.file_steps.read_whole", changing)
    publisher = MemoryPublisher()
    await run_once(site, publisher)
    assert len(calls) == 2
    assert len(publisher.events) == 1


async def test_a_kill_before_the_move_reads_the_file_again_without_effect(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "a.csv", ROW.format(1), BAD.format(2))
    publisher = MemoryPublisher()

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "replace", killed)
        with pytest.raises(Killed):
            await run_once(site, publisher)
    await run_once(site, publisher)
    assert len(publisher.events) == 1
    assert names(site / "in" / "done") == ["a.csv", "a.csv.rejected.jsonl"]
    assert len(read_reports(site)) == 1


async def test_a_kill_between_the_two_moves_leaves_one_report(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(site, "a.csv", ROW.format(1), BAD.format(2))
    publisher, real = MemoryPublisher(), folder.os.replace

    def killed(source: Path, target: Path) -> None:
        if str(source).endswith("in/a.csv"):
            raise Killed
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "replace", killed)
        with pytest.raises(Killed):
            await run_once(site, publisher)
    await run_once(site, publisher)
    assert len(publisher.events) == 1
    assert len(read_reports(site)) == 1
    assert names(site / "in") == []


async def test_a_name_that_is_taken_gets_a_number(site: Path) -> None:
    publisher = MemoryPublisher()
    for number in (1, 2, 3):
        put(site, "a.csv", ROW.format(number), BAD.format(number + 10))
        await run_once(site, publisher)
    expected = [f"a{number}.csv{suffix}" for number in ("", ".2", ".3") for suffix in ("", ".rejected.jsonl")]
    assert names(site / "in" / "done") == sorted(expected)
    assert len(publisher.events) == 3


async def test_a_file_that_cannot_be_read_goes_to_failed(site: Path) -> None:
    (site / "in" / "a.csv").write_text("Other,Columns\n1,2\n")
    await run_once(site, MemoryPublisher())
    assert names(site / "in" / "failed") == ["a.csv", "a.csv.rejected.jsonl"]


async def test_a_file_that_no_rule_matches_stays_and_is_told_of_once(site: Path) -> None:
    (site / "in" / "a.xlsx").write_bytes(b"PK")
    await run_once(site, MemoryPublisher())
    assert names(site / "in") == ["a.xlsx", "a.xlsx.rejected.jsonl"]
    assert [line["code"] for line in read_reports(site)] == ["file.unmatched"]


async def test_a_folder_that_is_away_is_waited_for(site: Path) -> None:
    shutil.rmtree(site / "in")
    with pytest.raises(files.FileUnavailable):
        async for _ in make(site).steps(None):
            pass


async def test_a_folder_that_waits_shows_that_it_lives(site: Path) -> None:
    observer = SilentObserver()
    source = SourceRun(make(site, once=False), ProgressFile(site / "p.json"), observer)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(source.run(MemoryPublisher()))
        async with asyncio.timeout(5):
            while "cgi_progress_timestamp_seconds under-test" not in observer.gauges:
                await asyncio.sleep(0.02)
        task.cancel()


def test_settings_are_checked(site: Path) -> None:
    context = connector_context(site)
    with pytest.raises(ConnectorInvalid, match="files"):
        folder.connector.build({"path": "in", "files": []}, context)
    with pytest.raises(ConnectorInvalid, match="key of its own"):
        folder.connector.build({"path": "in", "files": [{"match": "*", "profile": "p.yaml", "key": ["a"]}]}, context)


async def test_a_name_as_long_as_a_name_may_be_stops_no_other_file(site: Path) -> None:
    long = "a" * 251 + ".csv"
    publisher = MemoryPublisher()
    for turn in (1, 2):
        put(site, long, ROW.format(turn), BAD.format(turn))
        put(site, f"b{turn}.csv", ROW.format(turn + 2))
        async with asyncio.timeout(10):
            await run_once(site, publisher)
    assert len(publisher.events) == 4
    assert names(site / "in") == []
    done = names(site / "in" / "done")
    assert [name for name in done if not name.startswith("a")] == ["b1.csv", "b2.csv"]
    assert len([name for name in done if name.endswith(".csv")]) == 4
    assert len(read_reports(site)) == 2


async def test_a_link_put_in_a_files_place_is_not_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = site / "secret"
    secret.write_text("\n".join([HEADER, ROW.format(1), ""]))
    path = put(site, "a.csv", ROW.format(2))
    source = make(site)
    scanned = source._scan()
    path.unlink()
    path.symlink_to(secret)
    scans = [scanned, ([], False)]
    monkeypatch.setattr(source, "_scan", lambda: scans.pop(0))
    publisher = MemoryPublisher()
    await run_source(source, publisher, ProgressFile(site / "p.json"))
    assert publisher.events == []
    assert names(site / "in" / "done") == []
