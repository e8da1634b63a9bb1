"""A line plot as SVG: axes, a grid, one line a series; read by people, so it has few words and no styles to load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from bench.report import Plot, Series

WIDTH: Final = 640
HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 50
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that people who see few of them tell apart."""


def ticks(highest: float, wanted: int = 5) -> list[float]:
    """Round numbers from 0 to at least ``highest``, about so many."""
    if highest <= 0.0:
        return [0.0, 1.0]
    rough = highest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough)
    return [step * number for number in range(math.ceil(round(highest / step, 9)) + 1)]


def svg(plot: Plot) -> str:
    """The plot as a whole SVG document."""
    points = [point for series in plot.series for point in series.points]
    columns = ticks(max(x for x, _ in points))
    rows = ticks(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + x / columns[-1] * (WIDTH - _LEFT - _RIGHT), 1),
            round(HEIGHT - _BOTTOM - y / rows[-1] * (HEIGHT - _TOP - _BOTTOM), 1),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<g font-family="sans-serif" font-size="12">',
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 20, plot.title, 'text-anchor="middle" font-size="14"'),
        _text((WIDTH + _LEFT) / 2, HEIGHT - 10, plot.across, 'text-anchor="middle"'),
        _text(14, HEIGHT / 2, plot.up, f'text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})"'),
    ]
    for value in columns:
        x, y = place(value, 0.0)
        parts.append(_text(x, y + 18, f"{value:g}", 'text-anchor="middle"'))
    for value in rows:
        x, y = place(0.0, value)
        parts.append(f'<path d="M{x} {y}H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(x - 6, y + 4, f"{value:g}", 'text-anchor="end"'))
    for number, series in enumerate(plot.series):
        places = [place(x, y) for x, y in series.points]
        parts += _line(series, places, _COLOURS[number % len(_COLOURS)], _TOP + 4 + 16 * number)
    return "\n".join([*parts, "</g></svg>\n"])


def _line(series: Series, places: Sequence[tuple[float, float]], colour: str, height: float) -> list[str]:
    drawn = " ".join(f"{x},{y}" for x, y in places)
    return [
        f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places),
        _text(_LEFT + 12, height + 4, series.name, f'fill="{colour}"'),
    ]


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x}" y="{y}" {attributes}>{escape(text)}</text>'
