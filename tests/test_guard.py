"""The counter guard: what it publishes of a course of readings, and what it keeps to itself."""

from __future__ import annotations

import pytest

from probe_exporter.metrics.guard import MAX_SERIES, CounterGuard

KEY = ("powerwall_imported_joules_total", ("site",))
MWH = 3.6e9
KWH = 3.6e6

Course = list[tuple[float, float, float | None]]
"""Moment in seconds, value in joules, uptime in seconds."""


def published(course: Course) -> list[float]:
    guard = CounterGuard()
    return [value for moment, value, uptime in course if guard.admits(KEY, value, 1e9 + moment, uptime)]


COURSES: dict[str, tuple[Course, list[float]]] = {
    "a counter that grows": ([(0, MWH, 9e5), (15, MWH + 1, 9e5)], [MWH, MWH + 1]),
    "a zero after a positive value is never believed": (
        [(0, MWH, 9e5), (15, 0.0, 5.0), (30, 0.0, 20.0), (9000, 0.0, 9e3), (9015, MWH, 9e3)],
        [MWH, MWH],
    ),
    "jitter is held back until the old value is passed": (
        [(0, MWH, 9e5), (15, MWH - 10, 9e5), (900, MWH - 5, 9e5), (915, MWH, 9e5), (930, MWH + 1, 9e5)],
        [MWH, MWH, MWH + 1],
    ),
    "a meter swap is believed after ten minutes": (
        [(0, MWH, 9e5), (15, KWH, 9e5), (300, KWH + 5, 9e5), (614, KWH + 9, 9e5), (615, KWH + 10, 9e5)],
        [MWH, KWH + 10],
    ),
    "a fall within those ten minutes starts them anew": (
        [(0, MWH, 9e5), (15, 5 * KWH, 9e5), (600, 3 * KWH, 9e5), (700, 3 * KWH, 9e5), (1200, 4 * KWH, 9e5)],
        [MWH, 4 * KWH],
    ),
    "a first zero waits while the gateway may still boot": (
        [(0, 0.0, 5.0), (15, 0.0, 20.0), (30, MWH, 35.0)],
        [MWH],
    ),
    "a first zero of a gateway that is up is true": ([(0, 0.0, 900.0)], [0.0]),
    "a first zero with unknown uptime waits ten minutes": (
        [(0, 0.0, None), (599, 0.0, None), (600, 0.0, None)],
        [0.0],
    ),
    "a negative value is never published": ([(0, -1.0, 9e5), (15, 5.0, 9e5)], [5.0]),
}


@pytest.mark.parametrize(("course", "expected"), COURSES.values(), ids=COURSES)
def test_course(course: Course, expected: list[float]) -> None:
    assert published(course) == expected


def test_the_same_reading_is_judged_once() -> None:
    guard = CounterGuard()
    guard.admits(KEY, MWH, 1.0, None)
    assert not guard.admits(KEY, 0.0, 2.0, None)
    assert not guard.admits(KEY, 0.0, 2.0, None)


def test_memory_is_bounded() -> None:
    guard = CounterGuard()
    for number in range(MAX_SERIES + 500):
        guard.admits(("name", (str(number),)), 1.0, 1.0, None)
    assert len(guard._series) == MAX_SERIES
