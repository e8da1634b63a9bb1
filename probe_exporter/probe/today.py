"""The energy of today, for the pages: a gateway's totals against those at the first good probe of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from probe_exporter.readings import Readings

Total = tuple[str, str]
"""A category of meter, and ``imported`` or ``exported``."""


@dataclass(frozen=True, slots=True)
class Today:
    """A day of a gateway in its zone, None that of this machine.

    ``since`` is in Unix seconds; ``first`` and ``last`` are totals in J, never zero: a gateway that has just started
    reports zeros for a while.
    """

    day: date
    zone: tzinfo | None
    since: float
    first: dict[Total, float]
    last: dict[Total, float]

    def energy(self, category: str, direction: str) -> float | None:
        """Return the energy since ``since`` in J; None where it is not known, or the meter began anew."""
        total = (category, direction)
        if total not in self.last:
            return None
        used = self.last[total] - self.first[total]
        return used if used >= 0.0 else None


def today(before: Today | None, readings: Readings, moment: float, zone: tzinfo | None) -> Today:
    """Return the day that ``moment`` (Unix seconds) belongs to. ``zone`` is None where it is not known now."""
    zone = zone or (before.zone if before is not None else None)
    totals = _totals(readings)
    day = datetime.fromtimestamp(moment, zone).date()
    if before is None or before.day != day:
        return Today(day, zone, moment, totals, totals)
    return Today(day, zone, before.since, {**totals, **before.first}, {**before.last, **totals})


def _totals(readings: Readings) -> dict[Total, float]:
    sums = readings.aggregates
    return {
        (category.name, direction): total
        for category in (sums.categories if sums is not None else ())
        for direction, total in (
            ("imported", category.measured.imported),
            ("exported", category.measured.exported),
        )
        if total is not None and total > 0.0
    }
