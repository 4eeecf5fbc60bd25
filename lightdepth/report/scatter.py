"""A scatter plot as SVG: one named point a model, with error bars, readable without colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.ticker import MaxNLocator

__all__ = ["Point", "scatter_svg"]

# User units; the drawing scales with the page. Narrow, so that 12-unit text stays readable on a phone.
WIDTH, HEIGHT = 400, 290
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 44
LINE_HEIGHT = 14
LETTER_WIDTH = 6.3  # of 12-unit system fonts, on average
LONGEST_LABEL = 34
COLORS = 6  # classes s0..s5 of the style sheet
LOG_FROM = 8  # a span of more than this factor is drawn on a logarithmic axis


@dataclass(frozen=True)
class Point:
    """One model; `low` and `high` are the ends of y's 95 % interval where it is known."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Axis:
    """Maps values to user units between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        share = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
            inside = [v for v in every if self.low <= v <= self.high]
            whole = [v for v in inside if round(math.log10(v), 9).is_integer()]
            return inside if len(inside) <= 6 or len(whole) < 2 else whole
        steps = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(v) for v in steps if self.low <= v <= self.high]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def scatter_svg(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Draw points with their names; all values positive, the y axis from 0.

    Args:
        points: at least one.
        x_label: with its unit.
        y_label: with its unit.
    """
    xs = [point.x for point in points]
    log = max(xs) / min(xs) > LOG_FROM
    margin = (max(xs) / min(xs)) ** 0.15 * 1.2 if log else 1.0
    x_axis = _Axis(min(xs) / margin if log else 0.0, max(xs) * (margin if log else 1.2), LEFT, WIDTH - RIGHT, log)
    highest = max(max(point.y, point.high or 0.0) for point in points)
    y_axis = _Axis(0.0, highest * 1.15 or 1.0, HEIGHT - BOTTOM, TOP, log=False)
    title = f"{y_label} against {x_label}"
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(x_axis, y_axis),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}'
        f"{' (log scale)' if log else ''}</text>",
        f'<text transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>",
    ]
    # Names keep off each other and off the marks: (left end, right end, base line) of what is there.
    taken = [(x_axis.place(p.x) - 7, x_axis.place(p.x) + 7, y_axis.place(p.y) + 4) for p in points]
    for index, point in enumerate(points):
        parts.append(_mark(point, x_axis.place(point.x), y_axis, index % COLORS))
    for point in points:
        parts.append(_label(point, x_axis.place(point.x), y_axis.place(point.y), taken))
    return "".join([*parts, "</svg>"])


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    lines = []
    for value in x_axis.ticks():
        x = x_axis.place(value)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{value:g}</text>')
    for value in y_axis.ticks():
        y = y_axis.place(value)
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        lines.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    return lines


def _mark(point: Point, x: float, y_axis: _Axis, color: int) -> str:
    y = y_axis.place(point.y)
    bar = ""
    if point.low is not None and point.high is not None:
        low, high = y_axis.place(point.low), y_axis.place(point.high)
        ends = "".join(f"M{x - 4:.1f} {end:.1f}h8" for end in (low, high))
        bar = f'<path class="bar s{color}" d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'
    return (
        f'{bar}<circle class="s{color}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(point.label)}</title></circle>'
    )


def _label(point: Point, x: float, y: float, taken: list[tuple[float, float, float]]) -> str:
    """Write the name beside its point, on the roomier side, moved down or up until it overlaps no other name."""
    text = point.label if len(point.label) <= LONGEST_LABEL else point.label[: LONGEST_LABEL - 3] + "..."
    width = len(text) * LETTER_WIDTH
    right = x + 9 + width <= WIDTH - RIGHT or x < (LEFT + WIDTH) / 2
    start = min(x + 9, WIDTH - RIGHT - width) if right else max(LEFT + 4.0, x - 9 - width)
    level = y + 4 if (right and start == x + 9) or (not right and start == x - 9 - width) else y - 10
    for offset in (0, -1, 1, -2, 2, -3, 3, -4, 4):
        line = level + offset * LINE_HEIGHT
        free = all(
            abs(line - other) >= LINE_HEIGHT - 1 or start > end or start + width < begin for begin, end, other in taken
        )
        if free and TOP < line < HEIGHT - BOTTOM:
            break
    taken.append((start, start + width, line))
    if right:
        return f'<text x="{start:.1f}" y="{line:.1f}">{escape(text)}</text>'
    return f'<text x="{start + width:.1f}" y="{line:.1f}" text-anchor="end">{escape(text)}</text>'
