"""The benchmark's figures as JSON, as a plot and as a page."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

WANTED = {"chain_ratio": 1.5, "router_events_per_core_s": 50_000, "p99_ms_at_1000": 100}


def machine() -> str:
    """What it ran on, in words that name no machine."""
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"


def summary(facts: dict[str, Any]) -> dict[str, float]:
    """The three figures that are wanted, and what they are held against."""
    chain = facts["chain"]
    return {
        "chain_ratio": chain["sealed"]["events_per_s"] / chain["plaintext"]["events_per_s"],
        "router_events_per_core_s": 1e6 / facts["growth"]["events_a_bundle"]["64"]["route_us"],
        "router_process_events_per_core_s": 1e6 / facts["alone"]["sealed-64"]["route"]["cpu_us_per_event"],
        "p99_ms_at_1000": facts["latency"]["sealed"]["1000"]["p99"],
        "plaintext_p99_ms_at_1000": facts["latency"]["plaintext"]["1000"]["p99"],
    }


def table(facts: dict[str, Any]) -> str:
    """The page's tables in Markdown."""
    chain, alone, latency = facts["chain"], facts["alone"], facts["latency"]
    ratio, router = WANTED["chain_ratio"], WANTED["router_events_per_core_s"]
    lines = [
        "| | plaintext | sealed | |",
        "| --- | --- | --- | --- |",
        f"| all stages at once, events/s | {chain['plaintext']['events_per_s']:,.0f} |"
        f" {chain['sealed']['events_per_s']:,.0f} | {facts['chain_ratio']:.2f} times (wanted {ratio}) |",
    ]
    for stage in ("publish", "route", "receive"):
        plain, ours = alone["plaintext"][stage], alone["sealed"][stage]
        lines += [
            f"| {stage} alone, events/s | {plain['events_per_s']:,.0f} | {ours['events_per_s']:,.0f} | |",
            f"| {stage} alone, CPU us an event | {plain['cpu_us_per_event']:.0f} | {ours['cpu_us_per_event']:.0f} | |",
            f"| {stage}, bytes an event | {plain['bytes_per_event']:,.0f} | {ours['bytes_per_event']:,.0f} | |",
        ]
    for rate in ("100", "1000"):
        for point in ("p50", "p99", "p99.9"):
            plain, ours = latency["plaintext"][rate][point], latency["sealed"][rate][point]
            note = f"wanted under {WANTED['p99_ms_at_1000']}" if (rate, point) == ("1000", "p99") else ""
            lines.append(f"| {point} at {rate} events/s, ms | {plain:.0f} | {ours:.0f} | {note} |")
    lines += [
        "",
        f"Router, verifying and deciding at 64 events a bundle for 3 recipients:"
        f" {facts['router_events_per_core_s']:,.0f} events/s a core (wanted {router:,}); the whole router process with"
        f" its Kafka traffic, in bundles of at most 64: {facts['router_process_events_per_core_s']:,.0f} events/s a core.",  # noqa: E501
    ]
    return "\n".join(lines) + "\n"


def growth_tables(facts: dict[str, Any]) -> str:
    """The curves as tables: CPU microseconds an event."""
    titles = {
        "catalog": "one event of about 1 kB",
        "recipients": "recipients (64 events a bundle)",
        "events_a_bundle": "events a bundle (3 recipients)",
        "bytes_an_event": "bytes an event (64 a flush, 3 recipients)",
        "rules_and_agreements": "release rules, and as many agreements",
    }
    parts = []
    for curve, points in facts["growth"].items():
        columns = list(next(iter(points.values())))
        lines = [
            f"| {titles[curve]} | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
            "| --- |" + " --- |" * len(columns),
        ]
        for at, figures in points.items():
            cells = [
                f"{figures[column]:,.1f}" if figures[column] < 1000 else f"{figures[column]:,.0f}" for column in columns
            ]
            lines.append(f"| {at} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write(facts: dict[str, Any], folder: Path, docs: Path | None) -> None:
    """``report.json`` and ``report.svg`` in ``folder``; the page and its plot in ``docs`` where it is given."""
    (folder / "report.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    plot(facts, folder / "report.svg")
    if docs is not None:
        plot(facts, docs / "benchmarks.svg")
        (docs / "benchmarks.md").write_text(page(facts), encoding="utf-8")


def page(facts: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    return f"""# Benchmarks

Written by `make bench` on {facts["at"]}: {facts["machine"]}, one real broker with mutual TLS, all on one machine.
Events have about 1 kB in three compartments and go to three recipients. *Plaintext* is what a user would write with
aiokafka, pydantic and fastavro, one event a record, decoded and routed by content. *Sealed* is this project: a site's
real outbox on disk, release rules, sealing, the router's checks, the recipients' inboxes.

{table(facts)}
![Throughput and latency](benchmarks.svg)

## How the cost grows

CPU microseconds an event in one process, without Kafka.

{growth_tables(facts)}"""


def plot(facts: dict[str, Any], file: Path) -> None:
    """Two panels: events a second, and latency."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "cgi-hub"
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    stages = ("publish", "route", "receive")
    for shift, name in ((-0.2, "plaintext"), (0.2, "sealed")):
        values = [facts["chain"][name]["events_per_s"]] + [facts["alone"][name][s]["events_per_s"] for s in stages]
        left.bar([place + shift for place in range(4)], values, 0.4, label=name)
        points = ("p50", "p99", "p99.9")
        right.plot(points, [facts["latency"][name]["1000"][p] for p in points], "o-", label=f"{name}, 1000 events/s")
        right.plot(points, [facts["latency"][name]["100"][p] for p in points], "o:", label=f"{name}, 100 events/s")
    left.set_xticks(range(4), ["all at once", *stages])
    left.set_ylabel("events/s")
    left.legend()
    right.set_ylabel("ms, publish() to sink")
    right.set_ylim(bottom=0)
    right.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
