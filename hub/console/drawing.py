"""Geometry of what is drawn on the server: the flow map and the course of a rate, as numbers for SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.console.pages import AgencyNode, Flow, Point

WIDTH: Final = 760.0
HEIGHT: Final = 560.0
_RADIUS: Final = 26.0
_MARGIN: Final = 70.0
_BEND: Final = 0.16


@dataclass(frozen=True, slots=True)
class NodeShape:
    """An agency's disc, and where its name stands."""

    node: AgencyNode
    x: float
    y: float
    r: float
    text_x: float
    text_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class FlowShape:
    """A flow's curve from edge to edge, its width, and its middle, where a mark stands when it is stopped."""

    flow: Flow
    path: str
    width: float
    mark_x: float
    mark_y: float


@dataclass(frozen=True, slots=True)
class FlowMap:
    """The whole map."""

    width: float
    height: float
    nodes: tuple[NodeShape, ...]
    flows: tuple[FlowShape, ...]


def draw_map(nodes: Sequence[AgencyNode], flows: Sequence[Flow]) -> FlowMap:
    """Agencies on an ellipse, flows as curves between them: busy ones thick, each direction a curve of its own."""
    count = max(len(nodes), 1)
    placed: dict[str, NodeShape] = {}
    for number, node in enumerate(nodes):
        angle = 2 * math.pi * number / count - math.pi / 2
        x = WIDTH / 2 + (WIDTH / 2 - _MARGIN - 40) * math.cos(angle)
        y = HEIGHT / 2 + (HEIGHT / 2 - _MARGIN) * math.sin(angle)
        placed[node.agency] = _node(node, x, y, math.cos(angle), math.sin(angle))
    most = max((flow.events_per_minute or 0.0 for flow in flows), default=0.0)
    order = {"quiet": 0, "unknown": 1, "flowing": 2, "waiting": 3, "denied": 4, "stopped": 5}
    shapes = [
        _flow(flow, placed[flow.originator], placed[flow.recipient], most)
        for flow in sorted(flows, key=lambda flow: order[flow.state])  # what matters is drawn last, on top
        if flow.originator in placed and flow.recipient in placed
    ]
    return FlowMap(WIDTH, HEIGHT, tuple(placed.values()), tuple(shapes))


def _node(node: AgencyNode, x: float, y: float, cos: float, sin: float) -> NodeShape:
    anchor = "start" if cos > 0.3 else "end" if cos < -0.3 else "middle"
    dx = (_RADIUS + 8) * (1 if cos > 0.3 else -1 if cos < -0.3 else 0)
    dy = 5.0 if dx else (-_RADIUS - 10 if sin < 0 else _RADIUS + 20)
    return NodeShape(node, round(x, 1), round(y, 1), _RADIUS, round(x + dx, 1), round(y + dy, 1), anchor)


def _flow(flow: Flow, a: NodeShape, b: NodeShape, most: float) -> FlowShape:
    dx, dy = b.x - a.x, b.y - a.y
    length = math.hypot(dx, dy) or 1.0
    # The control point lies to the left of the way, so that the two directions do not cover each other.
    cx = (a.x + b.x) / 2 + dy * _BEND
    cy = (a.y + b.y) / 2 - dx * _BEND
    x1, y1 = _edge(a, cx, cy, 2)
    x2, y2 = _edge(b, cx, cy, 7)
    rate = flow.events_per_minute or 0.0
    width = 1.2 + (4.8 * math.sqrt(rate / most) if most and rate else 0.0)
    mid_x, mid_y = (x1 + 2 * cx + x2) / 4, (y1 + 2 * cy + y2) / 4
    if length < 1:
        mid_x, mid_y = a.x, a.y
    path = f"M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}"
    return FlowShape(flow, path, round(width, 2), round(mid_x, 1), round(mid_y, 1))


def _edge(node: NodeShape, towards_x: float, towards_y: float, gap: float) -> tuple[float, float]:
    dx, dy = towards_x - node.x, towards_y - node.y
    length = math.hypot(dx, dy) or 1.0
    reach = node.r + gap
    return node.x + dx / length * reach, node.y + dy / length * reach


# --- a course over time -----------------------------------------------------------------------------------------------

CHART_WIDTH: Final = 600.0
CHART_HEIGHT: Final = 120.0
_TOP: Final = 10.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A line and the area below it. ``most`` is the highest value, which stands at the top."""

    width: float
    height: float
    line: str
    area: str
    most: float
    least: float
    last: float
    from_ms: int
    until_ms: int


def draw_chart(points: Sequence[Point]) -> Chart | None:
    """The course as a line; ``None`` for fewer than two points."""
    if len(points) < 2:
        return None
    first, last = points[0].at_ms, points[-1].at_ms
    most = max(point.value for point in points)
    scale = (CHART_HEIGHT - _TOP) / (most or 1.0)
    spots = [
        (
            (point.at_ms - first) / max(last - first, 1) * CHART_WIDTH,
            CHART_HEIGHT - max(point.value, 0.0) * scale,
        )
        for point in points
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    area = f"{line}L{CHART_WIDTH:.1f} {CHART_HEIGHT:.1f}L0 {CHART_HEIGHT:.1f}Z"
    least = min(point.value for point in points)
    return Chart(CHART_WIDTH, CHART_HEIGHT, line, area, most, least, points[-1].value, first, last)
