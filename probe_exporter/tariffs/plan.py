"""A tariff: the prices of a kWh by the wall clock of one time zone, and when they change next."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from probe_exporter.tariffs.conditions import DAY_MINUTES, WHOLE_DAY, Span

HORIZON_DAYS: Final = 400
"""The time in which the next change is searched: a year, and a billing month."""

EVERY_DAY: Final = frozenset(range(7))
EVERY_MONTH: Final = frozenset(range(1, 13))
OTHER_PERIOD: Final = "other"
"""The period of an entry without a name."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day as the conditions of an entry look at it.

    ``named`` and ``eve`` (the day before) are None where they stand for all days that no entry names by its date.
    """

    month: int
    weekday: int
    named: date | None
    eve: date | None

    @classmethod
    def of(cls, day: date) -> CalendarDay:
        """The calendar day of a date."""
        return cls(day.month, day.weekday(), day, day - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """The price of a kWh and the conditions under which it applies; ``dates`` is None where any date does.

    A span that goes over midnight belongs, with its weekday and date, to the day on which it begins. The month is
    that of the moment itself.
    """

    price: float
    name: str = ""
    hours: tuple[Span, ...] = (WHOLE_DAY,)
    weekdays: frozenset[int] = EVERY_DAY
    months: frozenset[int] = EVERY_MONTH
    dates: frozenset[date] | None = None

    @property
    def period(self) -> str:
        """The name, ``other`` where it has none."""
        return self.name or OTHER_PERIOD

    def applies(self, day: CalendarDay, minute: int) -> bool:
        """Return True if the entry applies on this day at this minute of the wall clock."""
        if day.month not in self.months:
            return False
        if self._begins_on(day.weekday, day.named) and any(
            span.begin <= minute < span.end for span in self.hours
        ):
            return True
        return self._begins_on((day.weekday - 1) % 7, day.eve) and any(
            minute < span.end - DAY_MINUTES for span in self.hours
        )

    def _begins_on(self, weekday: int, day: date | None) -> bool:
        return weekday in self.weekdays and (self.dates is None or day in self.dates)


@dataclass(frozen=True, slots=True)
class Prices:
    """The entries that apply at one moment; ``exported`` is None where the tariff has no export prices."""

    imported: PriceEntry
    exported: PriceEntry | None

    def same(self, other: Prices) -> bool:
        """Return True if prices and the import period are equal."""
        return self._told() == other._told()

    def _told(self) -> tuple[object, ...]:
        export = None if self.exported is None else self.exported.price
        return self.imported.price, self.imported.period, export


@dataclass(frozen=True, slots=True)
class Tariff:
    """The price of electricity: ``currency`` per kWh, and ``standing_charge`` in it per day (None where there is none).

    The first entry that applies counts; the last one has no condition. ``exported`` may be empty.
    Moments are Unix seconds.
    """

    name: str
    currency: str
    zone: ZoneInfo
    imported: tuple[PriceEntry, ...]
    exported: tuple[PriceEntry, ...] = ()
    standing_charge: float | None = None

    @property
    def periods(self) -> tuple[str, ...]:
        """The periods of import, in the order of the entries; empty where no entry has a name."""
        if not any(entry.name for entry in self.imported):
            return ()
        return tuple(dict.fromkeys(entry.period for entry in self.imported))

    def prices(self, moment: float) -> Prices:
        """The entries that apply at a moment."""
        wall = datetime.fromtimestamp(moment // 1, self.zone)
        day, minute = CalendarDay.of(wall.date()), wall.hour * 60 + wall.minute
        return Prices(
            _first(self.imported, day, minute), _first(self.exported, day, minute) if self.exported else None
        )

    def next_change(self, moment: float) -> int | None:
        """The first moment after this one at which a price or the period changes, None within 400 days."""
        change = _change_after_minute(self, int(moment // 60))
        return change if change is not None and change <= moment + HORIZON_DAYS * 86400 else None

    def changes(self, moment: float, until: float) -> Iterator[tuple[int, Prices]]:
        """The moments up to ``until`` at which a price or the period changes, and the prices from then on."""
        current = self.prices(moment)
        boundaries = boundary_minutes((*self.imported, *self.exported))
        at = int(moment // 1)
        while (at := _next_boundary(self.zone, boundaries, at)) <= until:
            prices = self.prices(at)
            if not prices.same(current):
                yield at, prices
            current = prices


def boundary_minutes(entries: tuple[PriceEntry, ...]) -> list[int]:
    """The minutes of a day at which the entry that applies may change, ascending from 0."""
    spans = [span for entry in entries for span in entry.hours]
    ends = {minute % DAY_MINUTES for span in spans for minute in (span.begin, span.end)}
    return sorted({0} | ends)


def utc_offset(zone: ZoneInfo, moment: float) -> int:
    """Seconds that the wall clock of a zone is ahead of UTC."""
    offset = datetime.fromtimestamp(moment // 1, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _first(entries: tuple[PriceEntry, ...], day: CalendarDay, minute: int) -> PriceEntry:
    return next((entry for entry in entries if entry.applies(day, minute)), entries[-1])


@lru_cache(maxsize=1024)
def _change_after_minute(tariff: Tariff, minute: int) -> int | None:
    """The next change after a minute since the epoch has begun: prices change at whole minutes only.

    A thousand gateways on one tariff look it up once a minute. One day more than the horizon is looked ahead, so
    that the answer holds for the whole minute.
    """
    begin = minute * 60
    change = next(tariff.changes(begin, begin + (HORIZON_DAYS + 1) * 86400), None)
    return None if change is None else change[0]


def _next_boundary(zone: ZoneInfo, boundaries: list[int], at: int) -> int:
    """The first moment after ``at`` at which the wall clock reaches a boundary, or is put forward or back."""
    offset = utc_offset(zone, at)
    second = (at + offset) % 86400
    place = bisect_right(boundaries, second // 60)
    following = boundaries[place] * 60 if place < len(boundaries) else 86400
    ahead = at + following - second
    if utc_offset(zone, ahead) == offset:
        return ahead
    before = at
    while ahead - before > 1:
        middle = (before + ahead) // 2
        if utc_offset(zone, middle) == offset:
            before = middle
        else:
            ahead = middle
    return ahead
