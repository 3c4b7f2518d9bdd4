"""The demo's findings on a terminal, and the same facts in ``report.json``."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.demo.agencies import AGENCIES
from deploy.demo.findings import Findings
from deploy.demo.received import Holding
from deploy.demo.stack import Stack

LEAST_WIDTH = 118


def write_json(findings: Findings, stack: Stack, seconds: float) -> Path:
    """``report.json``: the same facts for machines."""
    path = stack.folder / "report.json"
    facts = asdict(findings) | {
        "ok": all(verdict.holds for verdict in findings.verdicts),
        "seconds": round(seconds, 1),
        "bootstrap": stack.broker.bootstrap,
        "metrics": {name: f"http://{service.address}/metrics" for name, service in stack.services.items()},
        "sinks": {agency: str(stack.site(agency) / "received.db") for agency in AGENCIES},
    }
    path.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def show(findings: Findings, stack: Stack, report: Path) -> None:
    """The whole story on standard output."""
    console = Console(highlight=False)
    if console.width < LEAST_WIDTH:
        console = Console(highlight=False, width=LEAST_WIDTH)
    console.rule("Who got what")
    console.print(_matrix(findings.holdings))
    console.print(
        "c core, p personal, s sensitive, a affiliation; two lines where some events came with more than others\n"
    )
    console.rule("One event on its whole way")
    for number, stop in enumerate(findings.trail, 1):
        console.print(f"\n[bold]{number}. {escape(stop.place)}[/]")
        for line in stop.lines:
            console.print(f"   {escape(line)}", soft_wrap=True)
    console.print()
    console.rule("What was refused, and why")
    for name, codes in findings.rejected_rows.items():
        told = ", ".join(f"{count} {code}" for code, count in codes.items())
        console.print(f"  rows of {escape(name)}: {told}", soft_wrap=True)
    for words, count in findings.denied.items():
        console.print(f"  {count} events {escape(words)}", soft_wrap=True)
    for one in findings.quarantined:
        console.print(f"  quarantine: {one['place']}: {one['reason']} [{one['code']}]", soft_wrap=True, markup=False)
    console.print()
    console.rule("What must hold")
    for verdict in findings.verdicts:
        mark = "[green]yes[/]" if verdict.holds else "[red]NO [/]"
        found = f"  ({verdict.found})" if verdict.found else ""
        console.print(f"  {mark} {escape(verdict.claim + found)}", soft_wrap=True)
    console.print()
    console.rule("Where to look next")
    for place, what in (
        (report, "all of this for machines"),
        (f"{stack.folder}/sites/<AGENCY>/received.db, received.jsonl", "what each agency holds"),
        (f"{stack.folder}/sites/<AGENCY>/in/done/*.rejected.jsonl", "rows that were refused"),
        (f"{stack.folder}/logs/, commands.log", "every process's log, every command of the ceremony"),
        ("make up", "the same stack kept running; build/stack/stack.json has addresses, metrics, certificates"),
    ):
        console.print(f"  {place}: {what}", soft_wrap=True)


def _matrix(holdings: tuple[Holding, ...]) -> Table:
    """Types down, agencies across; in each cell events and compartments."""
    cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in holdings:
        letters = "".join(compartment[0] for compartment in one.granted)
        cells[one.event_type, one.recipient][letters] += one.events
    table = Table(box=SIMPLE, padding=(0, 1), collapse_padding=True)
    table.add_column("", no_wrap=True)
    for agency in AGENCIES:
        # "1186 cps" goes on two lines where it must, and is not cut off
        table.add_column(agency, justify="right", overflow="fold", min_width=len(agency))
    for event_type in sorted({event_type for event_type, _ in cells}):
        row = [
            "\n".join(f"{events} {letters}" for letters, events in sorted(cells[event_type, agency].items()))
            for agency in AGENCIES
        ]
        table.add_row(event_type, *row)
    return table
