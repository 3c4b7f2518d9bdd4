"""The search of the demo finds what it must find; otherwise its silence proves nothing."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.demo import blindness


def test_a_secret_is_found_in_random_bytes_in_any_case(tmp_path: Path) -> None:
    secrets = blindness.Secrets(["BKX 4471", "Kaltora Mirenbo", "A12"])
    (tmp_path / "segment.log").write_bytes(os.urandom(50_000) + b"kaltora mirenbo" + os.urandom(50_000))
    search = blindness.search_files(tmp_path, secrets)
    assert [(found.secret, found.place) for found in search.found] == [("Kaltora Mirenbo", "segment.log")]
    assert search.bytes == 100_015


def test_random_bytes_hold_no_secret(tmp_path: Path) -> None:
    secrets = blindness.Secrets([f"SER{number:06d}" for number in range(2_000)])
    (tmp_path / "segment.log").write_bytes(os.urandom(500_000))
    assert blindness.search_files(tmp_path, secrets).found == ()


def test_a_name_with_accents_is_looked_for_by_its_longest_plain_part() -> None:
    secrets = blindness.Secrets(["Régine Valtorrande"])
    assert secrets.within(b"\0\xffgine Valtorrande\0", "here")


def test_what_is_too_short_says_nothing_and_is_left_out() -> None:
    assert len(blindness.Secrets(["A12", "  ", "12345"])) == 0


def test_holes_are_passed_over_and_what_stands_behind_them_is_read(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with path.open("wb") as file:
        file.seek(20_000_000)
        file.write(b"Kaltora Mirenbo")
    search = blindness.search_files(tmp_path, blindness.Secrets(["Kaltora Mirenbo"]))
    assert len(search.found) == 1
    assert search.bytes < 1_000_000


def test_records_are_searched_with_their_places() -> None:
    search = blindness.search_records(
        [("t/0/1", b"sealed"), ("t/0/2", b"has BKX 4471 in it")], blindness.Secrets(["BKX 4471"])
    )
    assert [found.place for found in search.found] == ["t/0/2"]
    assert search.records == 2


def test_a_planted_secret_is_found(tmp_path: Path) -> None:
    (tmp_path / "segment.log").write_bytes(os.urandom(10_000))
    assert blindness.finds_planted(tmp_path, blindness.Secrets(["BKX 4471", "Kaltora Mirenbo"]))
