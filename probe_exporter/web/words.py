"""Numbers as people read them."""

from __future__ import annotations

from typing import Final

FLOWING_WATTS: Final = 50.0
"""Below this a flow is called idle: meters show a few watts where nothing flows."""

DIRECTIONS: Final = {
    "solar": ("producing", "consuming"),
    "battery": ("discharging", "charging"),
    "site": ("importing", "exporting"),
    "load": ("using", "feeding"),
}
"""The meaning of a power above and below zero, by category of meter."""


def direction(category: str, power: float) -> str:
    """Return the word for the sign of a power in W."""
    plus, minus = DIRECTIONS[category]
    return "idle" if abs(power) < FLOWING_WATTS else plus if power > 0.0 else minus


def watts(value: float | None) -> str:
    """Return a power in W as text."""
    if value is None:
        return "–"
    if abs(round(value)) < 1000:
        return f"{round(value)} W"
    return f"{value / 1000.0:.2f} kW"


def flow(power: float | None, category: str) -> str:
    """Return a power in W as text, its sign as a word."""
    return "–" if power is None else f"{watts(abs(power))} {direction(category, power)}"


def percent(ratio: float | None) -> str:
    """Return a ratio as percent."""
    return "–" if ratio is None else f"{round(ratio * 100.0)} %"


def kilowatt_hours(joules: float | None) -> str:
    """Return an energy in J as text."""
    return "–" if joules is None else f"{round(joules / 3.6e6, 1) + 0.0:.1f} kWh"


def ago(seconds: float | None) -> str:
    """Return an age in seconds as text; none is negative, even after a clock was set back."""
    if seconds is None:
        return "never"
    age = max(0.0, seconds)
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if age >= 2.0 * size:
            return f"{age / size:.0f} {unit}"
    return f"{age:.0f} s"
