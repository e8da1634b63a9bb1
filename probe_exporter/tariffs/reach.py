"""Find the entries that can never apply, exactly.

An entry looks at the minute of the wall clock, the weekday, the month, and whether a date is one of those it names. So
the days that no entry names, and that follow no such day, fall into 84 kinds: a weekday in a month. The calendar has
each of them. All other days are looked at one by one. Between two boundaries of hours nothing changes, so the list of
what can happen is finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

from probe_exporter.tariffs.conditions import DAY_MINUTES
from probe_exporter.tariffs.plan import CalendarDay, PriceEntry, boundary_minutes


def never_applying(entries: tuple[PriceEntry, ...], zone: ZoneInfo) -> tuple[int, ...]:
    """The indexes of the entries that no moment leads to: excluded by themselves, or by those before them.

    Dates of the past count like those to come: a tariff does not become wrong by getting old.
    """
    missing = set(range(len(entries)))
    stretches = list(pairwise([*boundary_minutes(entries), DAY_MINUTES]))
    for day in _kinds_of_days(entries):
        for begin, end in stretches:
            first = next((index for index, one in enumerate(entries) if one.applies(day, begin)), None)
            if first in missing and (day.named is None or _exists(day.named, begin, end, zone)):
                missing.discard(first)
    return tuple(sorted(missing))


def _kinds_of_days(entries: tuple[PriceEntry, ...]) -> Iterator[CalendarDay]:
    for month in range(1, 13):
        for weekday in range(7):
            yield CalendarDay(month, weekday, None, None)
    named = {day for entry in entries for day in entry.dates or ()}
    for day in sorted(named | {day + timedelta(days=1) for day in named}):
        yield CalendarDay.of(day)


def _exists(day: date, begin: int, end: int, zone: ZoneInfo) -> bool:
    """Return True if the clocks of a zone show at least one of these minutes on a day: summer time skips some."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return any(_shown(midnight + timedelta(minutes=minute)) for minute in range(begin, end))


def _shown(wall: datetime) -> bool:
    back = wall.astimezone(timezone.utc).astimezone(wall.tzinfo)
    return back.replace(tzinfo=None) == wall.replace(tzinfo=None)
