"""An agreement in words, as both parties read it before they sign; and as YAML that a draft can be made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.model import Handling, Onward, Purpose
from hub.policy.agreement_draft import DAY_MS
from hub.policy.release import CatalogLike
from hub.trust.agreement import AgreementDocument, Clause

ONWARD_WORDS: Final = {
    Onward.NONE: "none: it stays with the recipient",
    Onward.ORIGINATOR_CONSENT: "only where the originator has consented (originator control)",
    Onward.RECIPIENT_AGENCIES: "within the agencies of the recipient's state or member states; others with consent",
}


def begin_words(ms: int) -> str:
    """``2026-12-01``, or the whole time where it is not the first moment of a day (UTC)."""
    return _moment(ms).strftime("%Y-%m-%d") if ms % DAY_MS == 0 else _time(ms)


def end_words(ms: int) -> str:
    """``the end of 2027-11-30`` for the first moment that is out; the whole time where no day ends there (UTC)."""
    return f"the end of {_moment(ms - DAY_MS):%Y-%m-%d}" if ms % DAY_MS == 0 and ms >= DAY_MS else _time(ms)


def handling_words(handling: Handling) -> str:
    """``up to TLP:AMBER and H2``."""
    tlp, _, siena = str(handling).partition(" ")
    return f"up to {tlp} and {siena}" if siena else f"up to {tlp}, nothing with a SIENA code"


def days_words(days: int) -> str:
    """``1 day``, ``30 days``."""
    return "1 day" if days == 1 else f"{days} days"


def listed(names: Iterable[object]) -> str:
    """``core, personal``: sorted names."""
    return ", ".join(sorted(str(name.value if isinstance(name, Purpose) else name) for name in names))


def agreement_words(document: AgreementDocument) -> list[str]:
    """The whole agreement, line by line. Nothing that is signed is left out."""
    first, second = document.parties
    lines = [
        f"Agreement {document.slug}, version {document.version}, between {first} and {second}, in hub {document.hub}",
        f"  {document.title}",
        f"  carries out: {document.reference}",
        f"  holds from {begin_words(document.not_before_ms)} to {end_words(document.not_after_ms)} (UTC)",
    ]
    for number, clause in enumerate(document.clauses, 1):
        lines += [
            "",
            f"Clause {number} ({document.clause_id(number)}): {clause.recipient} receives from {clause.originator}",
        ]
        lines += [f"  {name:<15} {text}" for name, text in clause_words(clause)]
    return lines


def clause_words(clause: Clause) -> list[tuple[str, str]]:
    """Each field of a clause with its text, by the names that a draft has."""
    return [
        ("types", listed(clause.event_types)),
        ("compartments", listed(clause.compartments)),
        ("purposes", listed(clause.purposes)),
        ("max_handling", handling_words(clause.max_handling)),
        ("onward_sharing", ONWARD_WORDS[clause.onward]),
        ("retention_days", f"deleted by the recipient {days_words(clause.retention_days)} after receipt"),
    ]


# --- a draft as YAML --------------------------------------------------------------------------------------------------


def render_draft(document: AgreementDocument, catalog: CatalogLike, *, mou: str | None = None) -> str:
    """``document`` as a commented draft. ``mou`` empty leaves the place to fill in; ``None`` takes the document's.

    Raises ``ValueError`` where it does not begin and end with a day: a draft has days.
    """
    if document.not_before_ms % DAY_MS or document.not_after_ms % DAY_MS:
        raise ValueError("it begins or ends within a day")
    reference = document.reference if mou is None else mou
    first, second = document.parties
    lines = [
        f"# An agreement of {first} and {second}. It is the ceiling: no event passes that no clause covers, and",
        '# nothing stands for "everything". What the originator really releases is said in its release rules.',
        "# Read docs/guides/agreements.md beside it. `hub agreement check` says what is wrong or doubtful.",
        "",
        f"agreement: {document.slug}",
        "# Each version that is signed has the next number.",
        f"version: {document.version}",
        *([] if document.hub == "HUB" else [f"hub: {document.hub}"]),
        f"title: {_quoted(document.title)}",
        "# The memorandum that this carries out: its title, date, number, article.",
        f"mou: {_quoted(reference) if reference else ''}",
        f"parties: [{first}, {second}]",
        "# Days of UTC: from the first moment of first_day to the last moment of last_day.",
        f"first_day: {begin_words(document.not_before_ms)}",
        f"last_day: {_moment(document.not_after_ms - DAY_MS):%Y-%m-%d}",
        "",
        "# One clause covers an event by itself; two are never added up.",
        "clauses:",
    ]
    for number, clause in enumerate(document.clauses):
        told = _render_clause(clause, catalog)
        lines += told if number == 0 else [line for line in told if not line.startswith(_SAID_ONCE)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


_SAID_ONCE: Final = "    # "
"""How a line begins that explains a field: the first clause has them. What a clause's types have is said in each."""


def _render_clause(clause: Clause, catalog: CatalogLike) -> list[str]:
    known = catalog.names()
    purposes = [purpose.value for purpose in Purpose if purpose is not Purpose.HUB_OPERATION]
    return [
        f"  - from: {clause.originator}",
        f"    to: {clause.recipient}",
        "    # Which event types (docs/catalog/):",
        f"    types: [{listed(clause.event_types)}]",
        "    # Which groups of fields; each is sealed by itself. Each type has these:",
        *(
            f"    #- {name}: {', '.join(catalog.get(name).compartments) if name in known else 'not in this catalog'}"
            for name in sorted(clause.event_types)
        ),
        f"    compartments: [{listed(clause.compartments)}]",
        "    # What the recipient may use it for, of",
        f"    # {', '.join(purposes[:4])},",
        f"    # {', '.join(purposes[4:])}:",
        f"    purposes: [{listed(clause.purposes)}]",
        "    # The highest handling that may travel: TLP:CLEAR, GREEN, AMBER, AMBER+STRICT, RED; with a SIENA code",
        '    # ("TLP:AMBER H2") events that have one may travel too, up to it.',
        f"    max_handling: {clause.max_handling}",
        "    # What the recipient may do with it next:",
        *(f"    # {rule.name}: {words}" for rule, words in ONWARD_WORDS.items()),
        f"    onward_sharing: {clause.onward.name}",
        "    # Within how many days of its receipt the recipient deletes an event:",
        f"    retention_days: {clause.retention_days}",
        "",
    ]


def _quoted(text: str) -> str:
    """A YAML text in double quotes; a document's texts have no control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def _time(ms: int) -> str:
    return _moment(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
