"""The conditions of a price: hours, days of the week, months and dates, read from text.

Every function raises ValueError with what is wrong and what to write, without the text itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAY_MINUTES: Final = 24 * 60

_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")
_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the day in minutes of the wall clock, ``begin`` included and ``end`` excluded.

    ``end`` is above 1440 where the span ends on the day after it began.
    """

    begin: int
    end: int


WHOLE_DAY: Final = Span(0, DAY_MINUTES)


def hours(typed: str) -> Span:
    """The span of ``22:00-06:00``; ``24:00`` may end one."""
    match = _HOURS.fullmatch(typed.strip())
    if match is None:
        raise ValueError("is not a span of hours; write it as 22:00-06:00")
    hour, minute, last_hour, last_minute = map(int, match.groups())
    begin, end = hour * 60 + minute, last_hour * 60 + last_minute
    if minute > 59 or last_minute > 59 or begin >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError("is not a span of hours; a day has 00:00 to 24:00, and a span begins before 24:00")
    if begin == end:
        raise ValueError(
            "begins and ends at the same time; write 00:00-24:00, or leave it out, for the whole day"
        )
    return Span(begin, end if end > begin else end + DAY_MINUTES)


def weekdays(typed: str) -> frozenset[int]:
    """The days of ``sat`` or ``fri-mon``, Monday being 0."""
    return _range(typed, DAYS, "is not a day of the week; write mon, tue, wed, thu, fri, sat, sun or mon-fri")


def months(typed: str) -> frozenset[int]:
    """The months of ``jun`` or ``nov-mar``, January being 1."""
    problem = "is not a month; write jan, feb, … dec in three letters, or nov-mar"
    return frozenset(month + 1 for month in _range(typed, MONTHS, problem))


def _range(typed: str, known: tuple[str, ...], problem: str) -> frozenset[int]:
    words = [word.strip().lower() for word in typed.split("-")]
    if len(words) > 2 or not set(words) <= set(known):
        raise ValueError(problem)
    first, last = known.index(words[0]), known.index(words[-1])
    length = (last - first) % len(known) + 1
    return frozenset((first + step) % len(known) for step in range(length))


def calendar_date(typed: str) -> date:
    """The date of ``2026-12-25``."""
    problem = "is not a date from 2000 to 2099; write it as 2026-12-25"
    if not _DATE.fullmatch(typed.strip()):
        raise ValueError(problem)
    try:
        return date.fromisoformat(typed.strip())
    except ValueError:
        raise ValueError(problem) from None


def time_zone(typed: str) -> ZoneInfo:
    """The time zone of an IANA name such as ``Europe/Berlin``."""
    try:
        return ZoneInfo(typed)
    except (OSError, ValueError, LookupError):  # a folder of zones, a path outside of them, an unknown name
        raise ValueError(
            "is not a time zone; write its IANA name, such as Europe/Berlin or America/Los_Angeles"
        ) from None


def currency(typed: str) -> str:
    """A currency of three capital letters."""
    if not re.fullmatch("[A-Z]{3}", typed):
        raise ValueError("is not a currency; write three capital letters, such as EUR")
    return typed
