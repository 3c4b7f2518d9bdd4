"""The table of settings in docs/guides/operate.md has every key of every kind of file.

That it stands there as it is rendered is held by tests/unit/test_errors.py, with the other tables.
"""

from __future__ import annotations

import pytest

from hub import settings
from tests.support.rendered import OPERATE
from tests.support.settings_table import FILES, keys, render_settings


def test_every_kind_of_file() -> None:
    assert set(FILES.values()) == set(settings.Settings.__subclasses__())


def test_every_key_of_a_site_and_of_a_console() -> None:
    names = {key.name for key in keys(settings.SiteSettings)} | {key.name for key in keys(settings.ConsoleSettings)}
    assert {"agency", "kafka.bootstrap", "keys.kem", "directory.url", "[[source]] kind", "tls.people_ca"} <= names
    text = OPERATE.read_text(encoding="utf-8")
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_the_default_is_that_of_the_file() -> None:
    assert "| `metrics.stale_after` | exporter, console | seconds | 60 |" in render_settings()


def test_a_key_without_a_text_is_told() -> None:
    class Untold(settings.Strict):
        key: bool = False

    Untold.__module__ = "elsewhere"
    with pytest.raises(ValueError, match=r"Untold\.key has no text"):
        list(keys(Untold))
