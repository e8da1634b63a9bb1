"""What the queries and panels of one site have in common."""

from __future__ import annotations

from parts import CALM, GOOD, Panel

SITE = 'job=~"$job",instance="$site"'
KWH = "/ 3.6e6"
SMALL = {"kind": "stat", "width": 3, "height": 4}
YES_NO = {"1": ("yes", GOOD), "0": ("no", CALM)}


def watts(category: str) -> str:
    """Power of one category."""
    return f'powerwall_instant_power_watts{{category="{category}",{SITE}}}'


def energy(direction: str, category: str, window: str = "$__range") -> str:
    """kWh of one category, over the time that is shown or a window before each moment."""
    return f'increase(powerwall_{direction}_joules_total{{category="{category}",{SITE}}}[{window}]) {KWH}'


def states(title: str, description: str, metric: str, label: str, width: int = 12) -> Panel:
    """The states of a state set over time, each by its name."""
    legend = f"{{{{{label}}}}} {{{{state}}}}" if label else "{{state}}"
    return Panel(
        title,
        description,
        {legend: f"{metric}{{{SITE}}} == 1"},
        kind="states",
        width=width,
        height=8,
        words={"1": ("on", CALM)},
    )


def flags(
    title: str, description: str, queries: dict[str, str], words: dict[str, tuple[str, str]], width: int = 12
) -> Panel:
    """Yes or no over time."""
    full = {legend: f"{metric}{{{SITE}}}" for legend, metric in queries.items()}
    return Panel(title, description, full, kind="states", width=width, height=8, words=words)
