"""An explanation for a person, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hub.model import Decision
from hub.policy.condition import Trace
from hub.policy.explain import Explanation, RuleReport, verdict_word

if TYPE_CHECKING:
    from rich.tree import Tree

_STYLE: Final = {"yes": "green", "no": "red", "unknown": "yellow"}
_LINE: Final = 10_000
"""Columns where nobody looks: in a file or a pipe one line stays one line. A terminal folds; nothing is cut off."""


def print_explanation(found: Explanation) -> None:
    """Print the three consents, what decided in each, and the outcome."""
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    route = found.route
    labels = f"{route.handling}, {route.priority.value}, {route.purpose.value}"
    root = Tree(escape(f"{found.event_type} ({labels}) from {found.publisher} to {found.recipient}"))
    if found.label_fault:
        root.add(f"[red]label[/]: {escape(found.label_fault)}")
    _add_release(root.add(_decision("1 release", found.release)), found)
    branch = root.add(_decision("2 agreement", found.agreement))
    for report in found.agreements:
        word = "covers these labels" if not report.gap else report.gap
        what = ", ".join(sorted(report.agreement.compartments))
        if report.agreement.onward is not None and report.agreement.retention_days is not None:
            what += f"; onward {report.agreement.onward.name}, {report.agreement.retention_days} days"
        branch.add(escape(f"{report.agreement.agreement_id} ({what}): {word}"))
    if found.subscription is None:
        root.add("3 subscription: not known here (--subscription)")
    else:
        root.add(_decision("3 subscription", found.subscription))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_LINE)
    console.print(root)
    if not found.allowed:
        console.print(f"[bold red]{found.recipient} gets nothing of it[/]")
        return
    console.print(f"[bold green]{found.recipient} gets {', '.join(found.granted)}[/]")
    if found.withheld_fields:
        console.print(f"withheld: {escape(', '.join(found.withheld_fields))}")


def _decision(title: str, decision: Decision) -> str:
    from rich.markup import escape

    word = "[green]yes[/]" if decision.allowed else "[red]no[/]"
    clause = f" [dim]({escape(decision.clause)})[/]" if decision.clause else ""
    return f"{title}: {word}, {escape(decision.reason)} [dim]{decision.code}[/]{clause}"


def _add_release(branch: Tree, found: Explanation) -> None:
    """The rules that act, and those that would but for something; rules for other agencies are only counted."""
    from rich.markup import escape

    others = 0
    for report in found.rules:
        if report.means is False:
            others += 1
            continue
        leaf = branch.add(escape(report.rule.clause) + ": " + _effect(report))
        if report.condition is not None:
            _add_trace(leaf, report.condition)
    if others:
        branch.add(f"[dim]{others} more for other agencies[/]")


def _effect(report: RuleReport) -> str:
    which = ", ".join(report.rule.compartments)
    if report.acts:
        return f"[red]takes {which}[/]" if report.rule.never else f"[green]gives {which}[/]"
    return "does not apply" if report.verdict is False else "unknown, so it gives nothing"


def _add_trace(branch: Tree, found: Trace) -> None:
    from rich.markup import escape

    word = verdict_word(found.verdict)
    looked = f" [dim]({escape(found.found)})[/]" if found.found else ""
    leaf = branch.add(f"{escape(found.text)}: [{_STYLE[word]}]{word}[/]{looked}")
    for part in found.parts:
        _add_trace(leaf, part)
