"""Charts of a pack as shapes in a box of points, so that both documents draw the same picture, to the byte."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.packs.gather import zone_of

WIDTH, HEIGHT = 700.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 12.0, 26.0, 34.0
COLOURS = {"line": "#1f5fa8", "near": "#b07a10", "breached": "#b3261e", "fine": "#2e7d32", "text": "#444444"}
GRID = "#d9d9d9"
TICKS = 4
WIDEST = 90.0
HOLDING = ((60, "< 1 min"), (300, "1–5 min"), (3600, "5–60 min"), (14400, "1–4 h"), (86400, "4–24 h"))
LONGEST = "> 1 day"


@dataclass(frozen=True)
class Shape:
    """A line through points, a filled box (two corners) or a text at a point."""

    kind: str
    points: tuple[tuple[float, float], ...]
    colour: str
    text: str = ""
    anchor: str = "start"
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture with its question, in a box WIDTH × HEIGHT with y downwards."""

    title: str
    shapes: list[Shape] = field(default_factory=list)


@dataclass(frozen=True)
class _Scale:
    """Values to points."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.first + (value - self.low) / span * (self.last - self.first)


def of_pack(parts: dict[str, Any]) -> list[Chart]:
    """The charts that a pack's parts allow: equity and floors, profit by day, time held."""
    zone = ZoneInfo(zone_of(parts["account"]))
    drawn = [
        _path(parts.get("path") or {}, (parts.get("request") or {}).get("requested_at"), zone),
        _days(parts.get("days") or []),
        _holding(parts.get("trades") or []),
    ]
    return [chart for chart in drawn if chart is not None]


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two, some TICKS of them."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= TICKS + 1)
    return [round(place * step, 10) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _frame(y: _Scale) -> list[Shape]:
    """Grid lines with their values."""
    shapes = []
    for value in _ticks(y.low, y.high):
        at = y(value)
        shapes.append(Shape("line", ((LEFT, at), (WIDTH - RIGHT, at)), GRID))
        shapes.append(Shape("text", ((LEFT - 6, at + 3),), COLOURS["text"], f"{value:,.10g}", "end"))
    return shapes


def _path(path: dict[str, Any], requested_at: str | None, zone: dt.tzinfo) -> Chart | None:
    """Equity with the floors as they moved."""
    points = path.get("points") or []
    if not points:
        return None
    at = [_seconds(one["at"]) for one in points]
    at.append(max(at[-1], _seconds(path["until"])))
    points = [*points, points[-1]]
    x = _Scale(min(at), max(at), LEFT, WIDTH - RIGHT)
    lines = (("equity", "line"), ("daily_floor", "near"), ("max_floor", "breached"))
    values = [one[name] for one in points for name, _ in lines if one.get(name) is not None]
    y = _Scale(min(values), max(values), HEIGHT - BOTTOM, TOP)
    shapes = _frame(y) + _dates(x, zone)
    for name, colour in lines:
        held = [(x(when), y(one[name])) for when, one in zip(at, points, strict=True) if one.get(name) is not None]
        if held:
            shapes.append(Shape("line", _stepped(held), COLOURS[colour]))
    if requested_at and x.low <= _seconds(requested_at) <= x.high:
        where = x(_seconds(requested_at))
        shapes.append(Shape("line", ((where, TOP), (where, HEIGHT - BOTTOM)), COLOURS["text"], dashed=True))
    return Chart("How did the account come to its profit?", shapes + _legend(lines))


def _stepped(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """A line that keeps its height until the next point."""
    drawn = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        drawn += [(x, before), (x, y)]
    return tuple(drawn)


def _dates(x: _Scale, zone: dt.tzinfo) -> list[Shape]:
    shapes = []
    for place, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        when = dt.datetime.fromtimestamp(x.low + place * (x.high - x.low), zone)
        shapes.append(Shape("text", ((x(when.timestamp()), HEIGHT - 18),), COLOURS["text"], f"{when:%Y-%m-%d}", anchor))
    return shapes


def _legend(lines: Iterable[tuple[str, str]]) -> list[Shape]:
    shapes = []
    for place, (name, colour) in enumerate(lines):
        left = LEFT + 130 * place
        shapes.append(Shape("line", ((left, HEIGHT - 6), (left + 18, HEIGHT - 6)), COLOURS[colour]))
        shapes.append(Shape("text", ((left + 24, HEIGHT - 3),), COLOURS["text"], name.replace("_", " ")))
    return shapes


def _bars(title: str, values: list[tuple[str, float]], most_labels: int) -> Chart | None:
    if not values:
        return None
    heights = [value for _, value in values]
    y = _Scale(min(0.0, *heights), max(0.0, *heights), HEIGHT - BOTTOM, TOP)
    shapes, wide = _frame(y), min((WIDTH - LEFT - RIGHT) / len(values), WIDEST)
    every = -(-len(values) // most_labels)
    for place, (label, value) in enumerate(values):
        left = LEFT + place * wide
        corners = ((left + wide * 0.12, y(0.0)), (left + wide * 0.88, y(value)))
        shapes.append(Shape("box", corners, COLOURS["fine" if value >= 0 else "breached"]))
        if place % every == 0:
            shapes.append(Shape("text", ((left + wide / 2, HEIGHT - 18),), COLOURS["text"], label, "middle"))
    return Chart(title, shapes)


def _days(days: list[dict[str, Any]]) -> Chart | None:
    """Net profit by day."""
    return _bars("Which days made the profit?", [(one["day"], float(one["net_profit"])) for one in days], 8)


def _holding(trades: list[dict[str, Any]]) -> Chart | None:
    """How many round trips were held how long."""
    counts = dict.fromkeys([*(name for _, name in HOLDING), LONGEST], 0.0)
    for trade in trades:
        if trade["closed_at"] is not None:
            held = _seconds(trade["closed_at"]) - _seconds(trade["opened_at"])
            counts[next((name for limit, name in HOLDING if held < limit), LONGEST)] += 1
    return _bars("How long were trades held?", list(counts.items()), 8) if sum(counts.values()) else None


def svg(chart: Chart) -> str:
    """A chart as inline SVG."""
    drawn = "".join(_SVG[shape.kind](shape) for shape in chart.shapes)
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(chart.title)}">'
        f'<text x="{LEFT:.0f}" y="14" class="t">{escape(chart.title)}</text>{drawn}</svg>'
    )


def _svg_line(shape: Shape) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
    return f'<polyline points="{points}" fill="none" stroke="{shape.colour}"{dashes}/>'


def _svg_box(shape: Shape) -> str:
    x, y, wide, high = corners(shape)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{shape.colour}"/>'


def _svg_text(shape: Shape) -> str:
    (x, y) = shape.points[0]
    said = escape(shape.text)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{shape.anchor}" fill="{shape.colour}">{said}</text>'


def corners(shape: Shape) -> tuple[float, float, float, float]:
    """A box as its upper left corner, width and height."""
    (x0, y0), (x1, y1) = shape.points
    return min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)


_SVG = {"line": _svg_line, "box": _svg_box, "text": _svg_text}
