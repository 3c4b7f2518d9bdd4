"""The demo knows when the hub is at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.flow import Sample, total, waiting


def _events(outcome: str, value: float, recipient: str = "") -> Sample:
    return Sample("x", "cgi_events_total", {"outcome": outcome, "recipient": recipient}, value)


AT_REST = [
    _events("sent", 5),
    _events("routed", 5),
    _events("delivered", 5, "ATF"),
    _events("written", 3, "ATF"),
    _events("filtered", 2, "ATF"),
    Sample("x", "cgi_outbox_records", {}, 0),
]


def test_at_rest_nothing_waits(tmp_path: Path) -> None:
    (tmp_path / "x.csv.rejected.jsonl").touch()
    assert list(waiting(AT_REST, [tmp_path])) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (_events("sent", 1), "1 events before the routers"),
        (_events("delivered", 2, "ATF"), "2 events before ATF"),
        (Sample("x", "cgi_outbox_records", {}, 7), "7 records in outboxes"),
    ],
)
def test_what_is_on_its_way_is_said(more: Sample, words: str) -> None:
    assert list(waiting([*AT_REST, more], [])) == [words]


def test_an_unread_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "traces.csv").touch()
    assert list(waiting(AT_REST, [tmp_path / "in"])) == [f"{tmp_path.name} has yet to read traces.csv"]


def test_a_total_is_over_what_has_all_the_labels() -> None:
    assert total(AT_REST, "cgi_events_total", recipient="ATF") == 10
    assert total(AT_REST, "cgi_events_total", recipient="ATF", outcome="filtered") == 2
