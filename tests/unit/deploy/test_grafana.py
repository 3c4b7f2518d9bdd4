"""deploy/grafana: what is rendered is what the code says, and every query asks for what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from deploy.grafana.__main__ import FOLDER, rendered
from deploy.grafana.panels import LATE_PART, ROUTINE_SECONDS, URGENT_SECONDS, Bad
from tests.support.promql import ALL, RECORDED, ROOT, check_expression, labels_of, promtool

BOARDS: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in rendered().items()}
VARIABLES = {"agency": "ATF", "publisher": ".+", "recipient": ".+", "instance": ".+", "__rate_interval": "5m"}
UNITS = {"short", "s", "bytes", "percentunit"}


class Shown(NamedTuple):
    """A panel of a dashboard."""

    board: str
    panel: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.board} {self.panel['title']}"

    def expressions(self) -> list[str]:
        return [target["expr"] for target in self.panel["targets"]]


def _panels() -> Iterator[Shown]:
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield Shown(name.removesuffix(".json"), panel)


PANELS = list(_panels())


def filled(expr: str) -> str:
    """The expression with values for Grafana's variables."""
    text = re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda found: VARIABLES[found[1] or found[2]], expr)
    assert "$" not in text
    return text


def test_three_dashboards_are_rendered_as_the_code_says() -> None:
    assert set(rendered()) == {"cgi-exchange.json", "cgi-agency.json", "cgi-platform.json"}
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")} == rendered(), "make dashboards"


@pytest.mark.parametrize("shown", PANELS, ids=str)
def test_a_query_asks_for_what_is_declared(shown: Shown) -> None:
    for expr in shown.expressions():
        check_expression(filled(expr))


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": filled(expr)}
        for number, expr in enumerate(expr for shown in PANELS for expr in shown.expressions())
    ]
    assert len(rules) > 50
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    done = promtool("check", "rules", "--lint=none", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shown", PANELS, ids=str)
def test_a_panel_says_what_it_shows(shown: Shown) -> None:
    panel = shown.panel
    assert panel["title"]
    assert panel["description"].endswith(".")
    config = panel["fieldConfig"]
    units = [config["defaults"].get("unit")] + [
        one["value"] for each in config.get("overrides", []) for one in each["properties"] if one["id"] == "unit"
    ]
    assert UNITS.intersection(filter(None, units)), units
    for link in panel.get("links") or ():
        name = re.fullmatch(r"\$\{runbooks\}/(\w+)\.md", link["url"])
        assert name is not None
        assert (ROOT / "deploy/runbooks" / f"{name[1]}.md").exists(), name[1]


@pytest.mark.parametrize("shown", PANELS, ids=str)
def test_a_legend_names_labels_that_the_query_has(shown: Shown) -> None:
    for target in shown.panel["targets"]:
        known = _labels(filled(target["expr"]))
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in known, (label, known)


def _labels(expr: str) -> frozenset[str]:
    """The labels of what an expression gives: of its outermost sum, or of its series."""
    kept = re.match(r"(?:histogram_quantile\([0-9.]+, |topk\(10, |round\()?(?:sum|min|max) by \(([^)]*)\)", expr)
    if kept:
        return frozenset(name.strip() for name in kept[1].split(","))
    return frozenset().union(*(labels_of(name) for name in re.findall(r"[a-z]+:cgi_[\w:]+|cgi_\w+|process_\w+", expr)))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_variables_ask_for_declared_labels_and_are_used(board: dict[str, Any]) -> None:
    text = json.dumps(board["panels"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            expr, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            check_expression(expr)
            assert label in labels_of(re.split(r"\{", expr)[0])
            assert f"${variable['name']}" in text
    assert board["editable"] is False
    assert board["timezone"] == "utc"


def test_panels_do_not_overlap_and_ids_are_single() -> None:
    for board in BOARDS.values():
        seen: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & seen, panel["title"]
            assert at["x"] + at["w"] <= 24
            seen |= cells
        assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))


def test_the_objectives_are_those_of_the_rules() -> None:
    late = RECORDED["priority:cgi_late:ratio_rate30m"].expr
    assert f'priority="URGENT", le="{URGENT_SECONDS}"' in late
    assert f'priority="ROUTINE", le="{ROUTINE_SECONDS}"' in late
    slow = [rule for rule in ALL if rule.is_alert and rule.parsed["labels"].get("burn") == "slow"]
    assert slow
    assert all(f"> {LATE_PART}" in rule.expr for rule in slow)


@pytest.mark.parametrize(
    ("bad", "steps"),
    [
        (Bad(), [(None, "green")]),
        (Bad(warn=1, alarm=5), [(None, "green"), (1, "yellow"), (5, "red")]),
        (Bad(alarm=5), [(None, "green"), (5, "red")]),
        (Bad(warn=14, alarm=2, below=True), [(None, "red"), (2, "yellow"), (14, "green")]),
        (Bad(alarm=1, below=True), [(None, "red"), (1, "green")]),
    ],
)
def test_thresholds(bad: Bad, steps: list[tuple[float | None, str]]) -> None:
    assert [(step.value, step.color) for step in bad.steps()] == steps


def test_provisioning_names_what_the_dashboards_use() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"][0]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))["global"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
    assert yaml.safe_load((folder / "dashboards/cgi-hub.yml").read_text(encoding="utf-8"))["providers"]
