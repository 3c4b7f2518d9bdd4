"""The CSV connector: settings, one file from its beginning to its end, restarts, mended files."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors import csv_file
from connectors.toolkit import ProgressFile, SourceRun, run
from connectors.toolkit.errors import ConnectorInvalid, ProfileInvalid
from connectors.toolkit.files import FileUnavailable
from connectors.toolkit.testkit import MemoryPublisher, check_source, read_reports, run_source
from tests.support.opened import connector_context
from tests.support.profiles import HEADER, NOTICES


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "BATCH", 3)
    (tmp_path / "notices.yaml").write_text(NOTICES)
    write(tmp_path, [row(number) for number in range(10)])
    return tmp_path


def row(number: int, make: str = "GLOCK", day: str = "03/04/2025") -> str:
    return f"R{number},,Stolen,{day},BKT48{number},{make},,"


def write(site: Path, rows: list[str]) -> None:
    (site / "in.csv").write_text("\n".join([HEADER, *rows, ""]))


def make(site: Path) -> csv_file.FileSource:
    settings = csv_file.CsvSettings(path=Path("in.csv"), profile="notices.yaml")
    return csv_file.make_csv(settings, connector_context(site))


async def test_the_rules_of_a_source_hold(site: Path) -> None:
    write(site, [row(number, day="31/02/2025" if number in (0, 4, 9) else "03/04/2025") for number in range(10)])
    await check_source(lambda: make(site), site, events=7, refused_rows=3)


async def test_a_mended_file_is_taken_once(site: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(site / "p.json")
    write(site, [row(1), row(2, day="31/02/2025"), row(3)])
    await run_source(make(site), publisher, progress)
    assert (len(publisher.events), len(read_reports(site))) == (2, 1)
    write(site, [row(1), row(2), row(3)])
    totals = await run_source(make(site), publisher, progress)
    assert (totals.published, totals.duplicates) == (1, 2)
    assert read_reports(site) == []


async def test_a_file_of_the_refused_rows_alone_is_taken_too(site: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(site / "p.json")
    write(site, [row(1), row(2, day="31/02/2025")])
    await run_source(make(site), publisher, progress)
    write(site, [row(2)])
    await run_source(make(site), publisher, progress)
    assert len(publisher.events) == 2
    assert publisher.amended == []


async def test_changed_content_under_the_same_key_amends(site: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(site / "p.json")
    write(site, [row(1), row(2)])
    await run_source(make(site), publisher, progress)
    write(site, [row(1, make="COLT"), row(2)])
    await run_source(make(site), publisher, progress)
    assert len(publisher.amended) == 1
    assert publisher.events[-1][1].body["firearm"]["make_text"] == "COLT"


async def test_an_unchanged_file_is_not_published_again_after_a_restart(site: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(site / "p.json")
    await run_source(make(site), publisher, progress)
    totals = await run_source(make(site), publisher, progress)
    assert (totals.published, totals.duplicates) == (0, 0)


async def test_a_file_that_cannot_be_read_is_one_refusal(site: Path) -> None:
    publisher, progress = MemoryPublisher(), ProgressFile(site / "p.json")
    (site / "in.csv").write_text("Reference,Kind\nR1,Stolen\n")
    await run_source(make(site), publisher, progress)
    (line,) = read_reports(site)
    assert (line["row"], line["code"]) == (0, "file.header_missing")


async def test_a_file_that_is_too_large_is_one_refusal(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.toolkit.file_steps.read_whole.__kwdefaults__", {"limit": 100})
    await run_source(make(site), MemoryPublisher(), ProgressFile(site / "p.json"))
    assert [line["code"] for line in read_reports(site)] == ["file.too_large"]


async def test_a_file_that_is_not_there_is_waited_for(site: Path) -> None:
    (site / "in.csv").unlink()
    with pytest.raises(FileUnavailable):
        async for _ in make(site).steps(None):
            pass


def test_settings_are_checked_and_name_themselves(site: Path) -> None:
    context = connector_context(site)
    built = csv_file.connector.build({"path": "in.csv", "profile": "notices.yaml"}, context)
    assert isinstance(built, SourceRun)
    with pytest.raises(ConnectorInvalid, match="pth"):
        csv_file.connector.build({"pth": "in.csv", "path": "x", "profile": "notices.yaml"}, context)
    with pytest.raises(ConnectorInvalid, match="profile"):
        csv_file.connector.build({"path": "in.csv"}, context)
    with pytest.raises(ProfileInvalid, match="is shipped"):
        csv_file.connector.build({"path": "in.csv", "profile": "notices"}, context)
