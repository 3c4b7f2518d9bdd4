"""hub/console/language.py and the catalogs: no word is missing in any language, no word is there for nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

import hub.console
from hub.console.audit import What
from hub.console.facts import SOURCES
from hub.console.language import LANGUAGES, LanguageIncomplete, Words, check_same, choose_language, load_languages
from hub.console.pages import AskedView, Decided, FlowState, KeyView

PACKAGE = Path(hub.console.__file__).parent
TEMPLATES = sorted((PACKAGE / "templates").glob("*.html"))
CODE = sorted(PACKAGE.glob("*.py"))
USED = re.compile(r"""\b(?:t|words|self)\(\s*f?["']([a-z_.-]+?\.?)["']?(?:\s*[~,){]|\{)""")


def literal(model: type[Any], field: str) -> tuple[str, ...]:
    return get_args(model.model_fields[field].annotation)


FAMILIES: dict[str, tuple[str, ...]] = {
    "page.": (
        "exchange",
        "agencies",
        "agency",
        "agreements",
        "pair",
        "quarantine",
        "held",
        "audit",
        "directory",
        "health",
    ),
    "role.": ("viewer", "operator"),
    "language.": LANGUAGES,
    "source.": SOURCES,
    "flow.": get_args(FlowState),
    "key.": literal(KeyView, "state"),
    "use.": literal(KeyView, "use"),
    "agreement.": ("in_force", "not_yet", "ended"),
    "asked.": literal(AskedView, "answer"),
    "decided.": get_args(Decided),
    "action.no_retry.": ("unreadable", "cut", "topic"),
    "done.": ("hand-back", "retry", "discard"),
    "error.": ("refused", "unknown", "conflict", "invalid", "unavailable"),
    "duration.": ("ms", "s", "min", "h", "d"),
    "change.": tuple(
        sorted(
            set(re.findall(r'Change\(\s*f?"([a-z.]+)["{]', (PACKAGE / "changes.py").read_text()))
            - {"key.new.", "key.gone.", "key.revoked."}
        )
    )
    + tuple(f"key.{what}.{use}" for what in ("new", "gone", "revoked") for use in ("signing", "kem"))
    + ("agency.returned", "agency.suspended"),
    "stop.": (),
}
"""Keys that are put together: the beginning, and what can follow."""


def used_keys() -> set[str]:
    found: set[str] = set()
    for path in [*TEMPLATES, *CODE]:
        found |= set(USED.findall(path.read_text("utf-8")))
    whole = {key for key in found if not key.endswith(".")}
    for beginning in found - whole:
        assert beginning in FAMILIES, f"{beginning}* is put together, and no family says what can follow"
    return whole | {begin + end for begin, ends in FAMILIES.items() for end in ends}


def test_every_word_that_is_used_is_there_and_no_other() -> None:
    words = load_languages()["en"]
    used = used_keys()
    assert used - words.keys() == set()
    extra = {key for key in words.keys() - used if not key.startswith("stop.")}
    assert extra == set()


def test_every_language_says_something_of_its_own() -> None:
    languages = load_languages()
    english = languages["en"]
    for code in ("es", "fr"):
        words = languages[code]
        same = [key for key in english.keys() if english._words[key] == words._words[key]]  # noqa: SIM118
        assert len(same) < 40, sorted(same)  # Prometheus, Broker, SHA-256, units


@pytest.mark.parametrize(
    "change", [{"a": "x {n}"}, {"a": "x {n}", "b": "y", "c": "z"}, {"a": "x", "b": "y"}, {"a": "x {m}", "b": "y"}]
)
def test_a_language_that_lacks_a_word_or_has_other_places_is_no_language(change: dict[str, str]) -> None:
    with pytest.raises(LanguageIncomplete):
        check_same({"en": Words("en", {"a": "x {n}", "b": "y"}), "es": Words("es", change)})


def test_a_word_that_is_not_there_is_our_own_bug() -> None:
    words = load_languages()["en"]
    with pytest.raises(LanguageIncomplete):
        words("no.such.word")
    with pytest.raises(LanguageIncomplete):
        words("ago")


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "chosen"),
    [
        ("", "", "", "en"),
        ("", "", "ht, fr-HT;q=0.9, en;q=0.5", "fr"),
        ("", "", "en;q=0.1, es-DO", "es"),
        ("", "", "de, fr;q=0", "en"),
        ("", "fr", "es", "fr"),
        ("es", "fr", "en", "es"),
        ("<script>", "../../etc", "*;q=x,,;;", "en"),
    ],
)
def test_the_language_is_what_was_chosen_or_what_the_browser_prefers(
    asked: str, remembered: str, accepted: str, chosen: str
) -> None:
    assert choose_language(asked, remembered, accepted) == chosen


def test_numbers_and_times_are_as_the_language_writes_them() -> None:
    english, french = load_languages()["en"], load_languages()["fr"]
    assert (english.number(12345.6), english.number(0.44), english.number(None)) == ("12,346", "0.4", "not known")
    assert french.number(12345.6).replace("\u202f", " ").replace("\xa0", " ") == "12 346"
    assert french.number(0.44) == "0,4"
    assert [english.duration(s) for s in (0.31, 4.8, 75, 3600, 90_000)] == [
        "310 ms",
        "4.8 s",
        "1 min 15 s",
        "1 h",
        "1 d 1 h",
    ]
    assert english.ago(1000, 61_000) == "1 min ago"
    assert english.ago(61_000, 1000) == "in 1 min"
    assert english.ago(None, 0) == "not known"


def test_every_audit_entry_has_its_word() -> None:
    words = load_languages()["en"]
    for what in get_args(What):
        assert words.has("decided." + what.removeprefix("quarantine."))
