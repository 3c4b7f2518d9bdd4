"""The few kinds of panel that the dashboards are made of, and how a dashboard is put together from rows of them.

A panel says what it shows, in which unit, what its lines are, from where on it is bad, and which runbook helps then.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common as builders
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

URGENT_SECONDS: Final = 60.0
ROUTINE_SECONDS: Final = 900.0
LATE_PART: Final = 0.01
"""The objectives (docs/adr/0071): 99 % of URGENT within a minute, of ROUTINE within a quarter of an hour."""

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG: Final = "cgi-hub"
WIDTH: Final = 24
"""Of Grafana's grid."""

Panel = stat.Panel | table.Panel | timeseries.Panel


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and the name of its lines, with labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Bad:
    """From where on a figure is bad: ``warn`` is yellow, ``alarm`` red. ``below``: small figures are the bad ones."""

    warn: float | None = None
    alarm: float | None = None
    below: bool = False

    def steps(self) -> list[models.Threshold]:
        """As Grafana wants them: upwards, the first without a value."""
        if self.below:
            found = [("green", max(v for v in (self.warn, self.alarm) if v is not None))]
            if self.warn is not None and self.alarm is not None:
                found.insert(0, ("yellow", self.alarm))
            lowest = "red" if self.alarm is not None else "yellow"
        else:
            found = [(color, v) for color, v in (("yellow", self.warn), ("red", self.alarm)) if v is not None]
            lowest = "green"
        return [models.Threshold(None, lowest), *(models.Threshold(value, color) for color, value in found)]


NEVER_BAD: Final = Bad()


def rate(counter: str, matchers: str = "", *, by: str) -> str:
    """What a counter does in a second, summed by labels."""
    return f"sum by ({by}) (rate({counter}{_braced(matchers)}[$__rate_interval]))"


def times(counter: str, matchers: str = "", *, by: str) -> str:
    """How often a counter counted in an interval of the graph, summed by labels."""
    return f"sum by ({by}) (increase({counter}{_braced(matchers)}[$__rate_interval]))"


def quantile(part: float, histogram: str, matchers: str = "", *, by: str) -> str:
    """What ``part`` of a histogram's observations stays below, by labels."""
    buckets = f"{histogram}_bucket{_braced(matchers)}[$__rate_interval]"
    return f"histogram_quantile({part}, sum by (le, {by}) (rate({buckets})))"


def _braced(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


def number(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    bad: Bad = NEVER_BAD,
    runbook: str = "",
    words: str = "",
) -> stat.Panel:
    """One figure, coloured. ``words`` says what stands there while there is none."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(bad))
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(words or "no data")
        .with_target(_target(Query(expr), "A"))
    )
    return panel.links(_runbook(runbook)) if runbook else panel


def graph(
    title: str, description: str, *queries: Query, unit: str = "short", bad: Bad = NEVER_BAD, runbook: str = ""
) -> timeseries.Panel:
    """Lines over time; where something is bad from a figure on, a line is drawn there."""
    style = common.GraphTresholdsStyleMode.OFF if bad == NEVER_BAD else common.GraphTresholdsStyleMode.DASHED
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .thresholds(_thresholds(bad))
        .thresholds_style(builders.GraphThresholdsStyleConfig().mode(style))
        .fill_opacity(8)
        .legend(
            builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, "ABCDEFGH"[index]))
    return panel.links(_runbook(runbook)) if runbook else panel


def listing(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    bad: Bad = NEVER_BAD,
    runbook: str = "",
    agency_label: str = "",
) -> table.Panel:
    """A table of what is now, a row for each series; ``agency_label`` leads to that agency's own dashboard."""
    query = _target(Query(expr), "A").instant().format(PromQueryFormat.TABLE)
    panel = (
        table.Panel()
        .title(title)
        .show_header(True)
        .description(description)
        .datasource(SOURCE)
        .thresholds(_thresholds(bad))
        .override_by_name(
            "Value",
            [
                models.DynamicConfigValue("unit", unit),
                models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
            ],
        )
        .with_target(query)
        .with_transformation(
            models.DataTransformerConfig("organize", options={"excludeByName": {"Time": True, "__name__": True}})
        )
        .with_transformation(
            models.DataTransformerConfig("sortBy", options={"sort": [{"field": "Value", "desc": not bad.below}]})
        )
    )
    if agency_label:
        link = {"title": "This agency", "url": "/d/cgi-agency?var-agency=${__value.text}&${__url_time_range}"}
        panel = panel.override_by_name(agency_label, [models.DynamicConfigValue("links", [link])])
    return panel.links(_runbook(runbook)) if runbook else panel


def alerts(title: str, description: str, matchers: str = "") -> table.Panel:
    """The alerts that fire now."""
    return listing(title, description, f'ALERTS{{alertstate="firing"{matchers}}}', runbook="README")


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and its panels, side by side as far as there is room; ``height`` in Grafana's units."""

    title: str
    panels: Sequence[Panel]
    height: int = 8
    across: int = 3


def compose(
    uid: str, title: str, description: str, variables: Sequence[dashboard.QueryVariable], rows: Sequence[Row]
) -> dashboard.Dashboard:
    """A dashboard: read-only, in UTC, with the datasource and the runbooks' address to choose."""
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("utc")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("CGI hub")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.ConstantVariable("runbooks").description("Where deploy/runbooks is served").value("/runbooks")
        )
    )
    for variable in variables:
        board = board.with_variable(variable)
    ids = itertools.count(1)
    for row in rows:
        board = board.with_row(dashboard.Row(row.title).id(next(ids)))
        width = WIDTH // min(row.across, len(row.panels))
        for panel in row.panels:
            board = board.with_panel(panel.id(next(ids)).span(width).height(row.height))
    return board


def choice(name: str, label: str, query: str, *, many: bool) -> dashboard.QueryVariable:
    """A variable whose values are those of a label. ``many``: several, or all, may be chosen."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(many)
        .include_all(many)
    )
    return variable.all_value(".*") if many else variable


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(ref_id)


def _thresholds(bad: Bad) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(bad.steps())


def _runbook(name: str) -> list[Builder[models.DashboardLink]]:
    link = dashboard.DashboardLink(f"Runbook: {name}" if name != "README" else "Runbooks")
    return [link.type(models.DashboardLinkType.LINK).url(f"${{runbooks}}/{name}.md").target_blank(True)]
