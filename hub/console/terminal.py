"""The pages in a terminal, in English: tables by rich. What an agency controls is plain text there, never markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.console.language import Words, load_languages
from hub.console.pages import (
    AgenciesPage,
    AgencyPage,
    AgreementsPage,
    AuditPage,
    DirectoryPage,
    ExchangePage,
    Flow,
    HealthPage,
    Page,
    PairPage,
    ProcessView,
    QuarantinePage,
    Stop,
)
from hub.console.render import day, moment

_STYLES: Final = {"flowing": "green", "denied": "yellow", "waiting": "yellow", "stopped": "red"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def print_page(page: Page, console: Console | None = None) -> None:
    """Print a page to standard output."""
    out = console or Console()
    words = load_languages()["en"]
    for source in page.sources:
        if source.state != "fresh":
            said = (
                words("source.missing")
                if source.at_ms is None
                else words("source.old", ago=words.ago(source.at_ms, page.made_at_ms))
            )
            out.print(plain(f"{words(f'source.{source.source}')}: {said} {source.code} {source.message}", "yellow"))
    for kind, show in _PAGES.items():
        if isinstance(page, kind):
            show(page, words, out)
    out.print(plain(words("made", at=moment(page.made_at_ms)), "dim"))


def plain(value: object, style: str = "") -> Text:
    """A value as text: no markup, no control characters of a terminal or of writing direction."""
    return Text(_CONTROL.sub("?", str(value)), style=style)


def _table(out: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(title=plain(title), title_justify="left", box=SIMPLE_HEAD, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    out.print(table if table.row_count else plain(f"{title}: none", "dim"))


def _stops(stops: Iterable[Stop]) -> str:
    return "; ".join(
        " ".join(part for part in (stop.code, stop.clause, stop.detail) if part)
        + ("" if stop.events is None else f" ({stop.events:.0f})")
        for stop in stops
    )


def _flows(out: Console, words: Words, title: str, flows: Iterable[Flow], now_ms: int) -> None:
    _table(
        out,
        title,
        ("from", "to", "state", "a minute", "age 95 %", "last", "what stops it"),
        (
            (
                flow.originator,
                flow.recipient,
                plain(words(f"flow.{flow.state}"), _STYLES.get(flow.state, "dim")),
                words.number(flow.events_per_minute),
                words.duration(flow.age_p95_seconds),
                words.ago(flow.last_delivered_ms, now_ms),
                _stops(flow.stops),
            )
            for flow in flows
        ),
    )


def _yes(value: bool | None, yes: str, no: str) -> Text:
    return plain("not known", "dim") if value is None else plain(yes, "green") if value else plain(no, "red")


def _exchange(page: ExchangePage, words: Words, out: Console) -> None:
    ages = ", ".join(f"{age.priority} {words.duration(age.p95_seconds)}" for age in page.ages)
    figures = {"routers": page.routers_alive, "alerts": page.alerts_firing, "in quarantine": page.quarantine_undecided}
    told = ", ".join(f"{name} {'not known' if value is None else value}" for name, value in figures.items())
    out.print(plain(f"{told}; age at delivery (95 %) {ages}"))
    troubled = [flow for flow in page.flows if flow.state in ("denied", "waiting", "stopped")]
    _flows(out, words, words("flows.troubled"), troubled, page.made_at_ms)
    _flows(out, words, words("flows.all"), [f for f in page.flows if f not in troubled], page.made_at_ms)


def _agencies(page: AgenciesPage, words: Words, out: Console) -> None:
    _table(
        out,
        words("page.agencies"),
        ("agency", "name", "listing", "site", "keys", "first ends", "last event"),
        (
            (
                line.agency,
                line.name,
                _yes(line.active, "active", "suspended"),
                _yes(line.site_up, "up", "down"),
                line.keys_valid,
                "" if line.next_end_ms is None else day(line.next_end_ms),
                words.ago(line.last_event_ms, page.made_at_ms),
            )
            for line in page.agencies
        ),
    )


def _agency(page: AgencyPage, words: Words, out: Console) -> None:
    out.print(plain(f"{page.agency}  {page.name}  {'active' if page.active else 'SUSPENDED'}"))
    if page.faults:
        out.print(plain(_stops(page.faults), "red"))
    _table(
        out,
        words("agency.keys"),
        ("key", "for", "site", "state", "from", "until"),
        (
            (key.key_id[:16], key.use, key.site, key.state, day(key.not_before_ms), day(key.not_after_ms))
            for key in page.keys
        ),
    )
    _processes(page.processes, words, out, page.made_at_ms)
    _table(
        out,
        words("agency.gaps"),
        ("recipient", "publisher", "instance", "explained", "gaps", "missing"),
        (
            (g.recipient, g.publisher, g.instance, g.explained, words.number(g.gaps), words.number(g.missing_records))
            for g in page.gaps
        ),
    )
    _table(
        out,
        words("agency.lag"),
        ("topic", "partitions", "events", "records", "for"),
        (
            (
                t.topic,
                words.number(t.partitions),
                words.number(t.waiting_events),
                words.number(t.waiting_records),
                words.duration(t.waiting_seconds),
            )
            for t in page.topics
        ),
    )
    _flows(out, words, words("agency.sends"), page.sends, page.made_at_ms)
    _flows(out, words, words("agency.gets"), page.gets, page.made_at_ms)


def _processes(processes: Iterable[ProcessView], words: Words, out: Console, now_ms: int) -> None:
    _table(
        out,
        words("processes"),
        ("instance", "agency", "role", "up", "ready", "seen", "directory", "outbox", "clock"),
        (
            (
                p.instance,
                p.agency,
                p.role,
                _yes(p.up, "up", "down"),
                _yes(p.ready, "yes", "no"),
                words.ago(p.scraped_ms, now_ms),
                "" if p.directory_version is None else p.directory_version,
                words.number(p.outbox_records),
                words.duration(p.clock_skew_seconds),
            )
            for p in processes
        ),
    )


def _agreements(page: AgreementsPage, words: Words, out: Console) -> None:
    cells = {(cell.originator, cell.recipient): cell for cell in page.cells}
    marks = {"in_force": "+", "not_yet": "later", "ended": "ended"}

    def mark(originator: str, recipient: str) -> str:
        cell = cells.get((originator, recipient))
        return "" if cell is None else marks[cell.state]

    _table(
        out,
        words("agreements.caption"),
        ("from \\ to", *page.agencies),
        ((one, *(mark(one, other) for other in page.agencies)) for one in page.agencies),
    )


def _pair(page: PairPage, words: Words, out: Console) -> None:
    if page.flow is not None:
        _flows(out, words, f"{page.originator} to {page.recipient}", [page.flow], page.made_at_ms)
    _table(
        out,
        words("pair.agreement"),
        ("agreement", "state", "from", "until", "types", "compartments", "purposes", "highest handling"),
        (
            (
                c.agreement_id,
                c.state,
                day(c.not_before_ms),
                day(c.not_after_ms),
                ", ".join(c.event_types),
                ", ".join(c.compartments),
                ", ".join(c.purposes),
                c.max_handling,
            )
            for c in page.clauses
        ),
    )
    _table(
        out,
        words("pair.released"),
        ("type", "delivered", "denied", "codes"),
        (
            (r.event_type, words.number(r.delivered), words.number(r.denied), ", ".join(r.denied_codes))
            for r in page.released or ()
        ),
    )
    _table(
        out,
        words("pair.asked"),
        ("type", "asked for", "code", "clauses"),
        ((a.event_type, a.answer, a.code, "; ".join(a.clauses)) for a in page.asked or ()),
    )


def _quarantine(page: QuarantinePage, words: Words, out: Console) -> None:
    _table(
        out,
        words("quarantine.caption", n=len(page.held), of=page.of),
        ("record", "refused", "from", "code", "clause", "place", "bytes", "decision"),
        (
            (
                h.place,
                words.ago(h.at_ms, page.made_at_ms),
                h.publisher,
                h.code,
                h.clause,
                f"{h.topic}/{h.partition}/{h.offset}",
                h.length,
                h.decisions[-1].what if h.decisions else "waits",
            )
            for h in page.held
        ),
    )


def _directory(page: DirectoryPage, words: Words, out: Console) -> None:
    out.print(
        plain(
            f"version {page.version}, issued {moment(page.issued_at_ms)}, ends {moment(page.expires_at_ms)}; "
            + words("directory.counts", agencies=page.agencies, agreements=page.agreements)
        )
    )
    signers = ", ".join(f"{signer.name} ({signer.role})" for signer in page.signers) or "not known"
    out.print(plain(f"signed by {signers}; {page.threshold} custodians must"))
    if page.faults:
        out.print(plain(_stops(page.faults), "red"))
    _table(
        out,
        words("directory.versions"),
        ("version", "seen", "what changed"),
        (
            (v.version, moment(v.seen_ms), " ".join(words(f"change.{c.code}", **c.names) for c in v.changes))
            for v in page.versions
        ),
    )
    if page.behind:
        behind = ((b.instance, b.agency, b.directory_version) for b in page.behind)
        _table(out, words("directory.behind"), ("instance", "agency", "version"), behind)


def _health(page: HealthPage, words: Words, out: Console) -> None:
    _table(
        out,
        words("health.alerts"),
        ("alert", "severity", "state", "since", "what"),
        (
            (
                a.name,
                plain(a.severity, "red" if a.severity == "critical" else "yellow"),
                a.state,
                words.ago(a.since_ms, page.made_at_ms),
                a.summary,
            )
            for a in page.alerts
        ),
    )
    _table(
        out,
        words("health.routers"),
        ("router", "state", "last heartbeat", "partitions", "bundles", "refused"),
        (
            (
                r.router,
                _yes(r.alive, "alive", "silent"),
                words.ago(r.at_ms, page.made_at_ms),
                len(r.partitions),
                r.bundles,
                r.quarantined,
            )
            for r in page.routers
        ),
    )
    _table(
        out,
        words("health.brokers"),
        ("broker", "address", "controller", "leads", "replicas"),
        ((b.node, b.address, "yes" if b.controller else "", b.leads, b.replicas) for b in page.brokers),
    )
    out.print(plain(words("health.partitions", topics=page.topics, partitions=page.partitions)))
    _table(
        out,
        words("health.troubled"),
        ("partition", "leader", "in sync", "replicas"),
        ((f"{p.topic}/{p.partition}", p.leader, p.in_sync, p.replicas) for p in page.troubled),
    )
    _processes(page.processes, words, out, page.made_at_ms)


def _audit(page: AuditPage, words: Words, out: Console) -> None:
    for fault in page.faults:
        out.print(plain(f"{words('audit.broken')} {fault}", "red"))
    _table(
        out,
        words("page.audit"),
        ("when", "who", "what", "record", "reason", "entry"),
        ((moment(e.at_ms), e.who, e.what, e.place, e.reason, f"{e.writer} #{e.number}") for e in page.entries),
    )


_PAGES: Final[dict[type[Page], Callable[[Any, Words, Console], None]]] = {
    ExchangePage: _exchange,
    AgenciesPage: _agencies,
    AgencyPage: _agency,
    AgreementsPage: _agreements,
    PairPage: _pair,
    QuarantinePage: _quarantine,
    DirectoryPage: _directory,
    HealthPage: _health,
    AuditPage: _audit,
}
