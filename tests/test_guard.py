"""The counter guard: what it publishes of a course of readings, and what it keeps to itself."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.guard import CounterGuard, Key
from probe_exporter.metrics.guard.counter_guard import MAX_LINES, MAX_SERIES
from probe_exporter.metrics.guard.rules import (
    MOST_POWER,
    NEAR_ZERO,
    PATIENCE,
    RULES,
    SOURCES,
    Doubt,
    opposite,
)

IMPORTED = "powerwall_imported_joules_total"
EXPORTED = "powerwall_exported_joules_total"
SITE = (IMPORTED, ("site",))
SITE_OUT = (EXPORTED, ("site",))
LOAD = (IMPORTED, ("load",))
KWH = 3.6e6
MWH = 1000 * KWH
WEEK = 7 * 86400
UP = 9e5
"""An uptime that is beyond doubt."""

Course = list[tuple[float, float, float | None]]
"""Moment in seconds, value in joules, uptime in seconds."""


def shown(course: Course, guard: CounterGuard | None = None) -> list[float]:
    guard = guard or CounterGuard("home")
    return [value for moment, value, uptime in course if not guard.judge({SITE: value}, 1e3 + moment, uptime)]


COURSES: dict[str, tuple[Course, list[float]]] = {
    "a counter that grows": ([(0, MWH, UP), (15, MWH + 1, UP)], [MWH, MWH + 1]),
    "a zero after another value is not believed": (
        [(0, MWH, UP), (15, 0.0, 5.0), (30, 0.0, 20.0), (9000, 0.0, 9e3), (9015, MWH, 9e3)],
        [MWH, MWH],
    ),
    "jitter is held back until the old value is passed": (
        [(0, MWH, UP), (15, MWH - 10, UP), (900, MWH - 5, UP), (915, MWH, UP), (930, MWH + 1, UP)],
        [MWH, MWH, MWH + 1],
    ),
    "a new meter is believed after ten minutes": (
        [(0, MWH, UP), (15, KWH, UP), (300, KWH + 5, UP), (614, KWH + 9, UP), (615, KWH + 10, UP)],
        [MWH, KWH + 10],
    ),
    "a fall within those ten minutes starts them anew": (
        [(0, MWH, UP), (15, 5 * KWH, UP), (600, 3 * KWH, UP), (700, 3 * KWH, UP), (1200, 4 * KWH, UP)],
        [MWH, 4 * KWH],
    ),
    "so does a zero": (
        [(0, MWH, UP), (15, 5 * KWH, UP), (400, 0.0, UP), (700, 5 * KWH, UP), (1300, 6 * KWH, UP)],
        [MWH, 6 * KWH],
    ),
    "a smaller total that is not near zero is no new meter": (
        [(0, 9 * MWH, UP), (15, 4 * MWH, UP), *((hour * 3600, 4 * MWH + hour, UP) for hour in range(1, 168))],
        [9 * MWH],
    ),
    "nor is it one after a zero or a day without a reading": (
        [(0, 9 * MWH, UP), (15, 3 * MWH, UP), (30, 0.0, UP), (86400, 3 * MWH, UP), (90000, 3 * MWH + 1, UP)],
        [9 * MWH],
    ),
    "what a new meter counted while nobody read it is near zero": (
        [(0, 9 * MWH, UP), (86400, MWH, UP), (87000, MWH + 1, UP)],
        [9 * MWH, MWH + 1],
    ),
    "a rise that no house can make is shown after ten minutes": (
        [(0, MWH, UP), (15, 9 * MWH, UP), (300, 9 * MWH + 1, UP), (615, 9 * MWH + 2, UP)],
        [MWH, 9 * MWH + 2],
    ),
    "a spike is never shown": ([(0, MWH, UP), (15, 9 * MWH, UP), (300, MWH + 1, UP)], [MWH, MWH + 1]),
    "spikes that differ are no course": (
        [
            (0, MWH, UP),
            (15, 9 * MWH, UP),
            (300, 7 * MWH, UP),
            (700, 12 * MWH, UP),
            (1000, 3 * MWH, UP),
            (1300, MWH, UP),
        ],
        [MWH, MWH],
    ),
    "a rise within what a house can make since the last reading": (
        [(0, MWH, UP), (86400, 5 * MWH, UP)],
        [MWH, 5 * MWH],
    ),
    "a first zero is held back while the gateway boots, however long that takes": (
        [(0, 0.0, 5.0), (599, 0.0, 5.0), (9000, 0.0, 599.0), (9001, MWH, 600.0)],
        [MWH],
    ),
    "a first zero of a gateway that is up is true": ([(0, 0.0, 600.0)], [0.0]),
    "a first zero with unknown uptime is held back for ten minutes": (
        [(0, 0.0, None), (599, 0.0, None), (600, 0.0, None)],
        [0.0],
    ),
    "a value below zero is never shown": (
        [(0, -5 * KWH, UP), (15, -5 * KWH + 1, UP), (2 * WEEK, -1.0, UP), (2 * WEEK + 15, 5.0, UP)],
        [5.0],
    ),
    "a value that rises through zero begins with it": (
        [(0, -1.0, UP), (15, 0.0, UP), (30, 1.0, UP)],
        [0.0, 1.0],
    ),
    "a value below zero is not forgotten for what was shown before": (
        [(0, MWH, UP), (15, -1.0, UP), (30, 0.5 * MWH, UP), (45, MWH + 1, UP)],
        [MWH, MWH + 1],
    ),
    "a hold ends after seven days": (
        [(0, 9 * MWH, UP), (15, 4 * MWH, UP), (WEEK, 4 * MWH + 1, UP), (WEEK + 15, 4 * MWH + 2, UP)],
        [9 * MWH, 4 * MWH + 2],
    ),
    "also that of a zero, but not while the gateway boots": (
        [
            (0, MWH, UP),
            (15, 0.0, UP),
            (WEEK + 15, 0.0, 30.0),
            (WEEK + 600, 0.0, 615.0),
            (WEEK + 615, 7.0, UP),
        ],
        [MWH, 0.0, 7.0],
    ),
}


@pytest.mark.parametrize(("course", "expected"), COURSES.values(), ids=COURSES)
def test_course(course: Course, expected: list[float]) -> None:
    assert shown(course) == expected


@pytest.mark.parametrize(("course", "expected"), COURSES.values(), ids=COURSES)
def test_judging_an_answer_again_changes_nothing(course: Course, expected: list[float]) -> None:
    guard = CounterGuard()
    for moment, value, uptime in course:
        once = guard.judge({SITE: value}, moment, uptime)
        assert guard.judge({SITE: value}, moment, uptime) == once


def test_the_uptime_may_come_after_the_reading() -> None:
    guard = CounterGuard()
    assert guard.judge({SITE: 0.0}, 10.0) == {SITE}
    assert guard.judge({SITE: 0.0}, 10.0, UP) == frozenset()


def test_a_one_off_dump_shows_a_first_zero() -> None:
    guard = CounterGuard(one_off=True)
    assert guard.judge({SITE: 0.0, SITE_OUT: -1.0}, 0.0) == {SITE_OUT}


def test_a_new_meter_that_never_counts_one_direction_begins_at_zero() -> None:
    """The other direction began anew ten minutes ago: the zero is that of the new meter, not of a boot."""
    guard = CounterGuard()
    guard.judge({SITE: 5 * MWH, SITE_OUT: 12 * KWH}, 0.0, UP)
    held = {
        moment: guard.judge({SITE: KWH + moment * 1e3, SITE_OUT: 0.0}, moment, 700.0 + moment)
        for moment in range(15, 1300, 15)
    }
    assert held[600] == {SITE, SITE_OUT}
    assert held[1245] == frozenset()


def test_a_zero_long_after_a_new_meter_is_that_of_a_boot() -> None:
    guard = CounterGuard()
    guard.judge({SITE: 5 * MWH, SITE_OUT: 12 * KWH}, 0.0, UP)
    for moment in range(15, 1300, 15):
        guard.judge({SITE: KWH + moment * 1e3, SITE_OUT: 0.0}, moment, UP)
    guard.judge({SITE: KWH + 9e6, SITE_OUT: 2 * KWH}, 4000.0, UP)
    for moment in range(86400, 88200, 15):
        held = guard.judge({SITE: KWH + 9e7, SITE_OUT: 0.0}, moment, moment - 86000.0)
        assert held == {SITE_OUT}


def test_memory_is_bounded() -> None:
    guard = CounterGuard()
    for number in range(MAX_SERIES + 500):
        guard.judge({("name", (str(number),)): 1.0}, 1.0)
    assert len(guard._past) == MAX_SERIES


# The tables


def test_every_doubt_has_a_rule() -> None:
    assert set(RULES) == set(Doubt)


def test_the_tables_name_counters_of_the_catalogue() -> None:
    families = {family.name for family in CATALOGUE if family.kind == "counter"}
    assert {name for key, sources in SOURCES.items() for name, _ in (key, *sources)} <= families
    assert {"powerwall_dev_imported_joules_total", "powerwall_battery_charged_joules_total"} <= families


def test_opposites_are_mutual() -> None:
    for key in (SITE, ("powerwall_battery_charged_joules_total", ("A",))):
        other = opposite(key)
        assert other is not None
        assert other != key
        assert opposite(other) == key
    assert opposite(("powerwall_something_else_total", ())) is None


# Whatever a gateway says

VALUES = st.sampled_from([0.0, -1.0, KWH / 2, KWH, 9 * KWH, 40 * KWH, MWH, MWH + 1, 9 * MWH]) | st.floats(
    -1.0, 1e11
)
READINGS = st.lists(
    st.tuples(
        st.sampled_from([5.0, 60.0, 300.0, 7200.0, 2 * 86400.0]), VALUES, st.sampled_from([None, 30.0, UP])
    ),
    max_size=60,
)


@settings(deadline=None)
@given(readings=READINGS)
@pytest.mark.parametrize("key", [SITE, LOAD], ids=["a meter", "the load"])
def test_what_is_shown_steps_back_for_a_new_meter_or_after_seven_days_alone(
    key: Key, readings: list[tuple[float, float, float | None]]
) -> None:
    guard, at, last, last_at = CounterGuard(), 0.0, 0.0, 0.0
    for seconds, value, uptime in readings:
        at += seconds
        held = guard.judge({key: value}, at, uptime)
        assert guard.judge({key: value}, at, uptime) == held
        if held:
            continue
        assert value >= 0.0
        if value < last:
            gap = at - last_at
            near = (
                gap >= PATIENCE
                and value <= max(NEAR_ZERO, MOST_POWER * gap)
                and last - value >= KWH
                and value > 0.0
            )
            assert gap > WEEK or (near and key is SITE)
        last, last_at = value, at


# The log


def lines(caplog: pytest.LogCaptureFixture, course: Course) -> list[str]:
    caplog.set_level(logging.INFO, "probe_exporter.metrics.guard")
    shown(course)
    return [record.getMessage() for record in caplog.records]


def test_a_hold_is_told_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    course = [(0.0, MWH, UP), (15.0, 0.0, 5.0), (30.0, 0.0, 20.0), (255.0, MWH + KWH, 245.0)]
    begin, end = lines(caplog, course)
    assert begin == (
        "home: powerwall_imported_joules_total of site is held back at 0.000 kWh: it reads 0, as after a reboot; "
        "it was at 1000.000 kWh"
    )
    assert end == (
        "home: powerwall_imported_joules_total of site is shown again at 1001.000 kWh after 4m: "
        "its reading is plausible again"
    )


def test_a_new_meter_and_a_hold_that_is_over_are_told(caplog: pytest.LogCaptureFixture) -> None:
    course = [
        (0.0, 9 * MWH, UP),
        (15.0, KWH, UP),
        (615.0, 2 * KWH, UP),
        (630.0, 0.0, UP),
        (WEEK + 630.0, 0.0, UP),
    ]
    assert [line.rpartition(": ")[2] for line in lines(caplog, course)] == [
        "it fell by 1 kWh or more; it was at 9000.000 kWh",
        "its meter was replaced, and it begins anew near 0",
        "it reads 0, as after a reboot; it was at 2.000 kWh",
        "it was held back for seven days, and is shown as a new beginning",
    ]


def test_below_zero_is_a_warning_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    lines(caplog, [(0.0, -MWH, UP), (15.0, -MWH + 1, UP)])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "is held back at -1000.000 kWh: it is below zero" in record.getMessage()


def test_a_gateway_that_is_up_says_nothing_of_its_true_zeros(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "probe_exporter.metrics.guard")
    guard = CounterGuard("home")
    guard.judge({SITE: 0.0}, 1.0)
    guard.judge({SITE: 0.0}, 1.0, UP)
    assert not caplog.records


def test_a_counter_that_flaps_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    course: Course = [(15.0 * n, MWH + n - 50 * (n % 2), UP) for n in range(400)]
    assert len(lines(caplog, course)) == 2


def test_a_counter_that_flaps_and_then_stays_away_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    course: Course = [(0.0, MWH, UP), (15.0, 0.0, UP), (30.0, MWH, UP)]
    course += [(60.0 + 15.0 * n, 0.0, UP) for n in range(60)]
    assert len(lines(caplog, [*course, (1000.0, MWH, UP)])) == 4


def test_a_thousand_counters_at_once_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "probe_exporter.metrics.guard")
    guard = CounterGuard("home")
    keys: list[Key] = [("name", (str(number),)) for number in range(1000)]
    guard.judge(dict.fromkeys(keys, MWH), 0.0, UP)
    guard.judge(dict.fromkeys(keys, 0.0), 15.0, UP)
    assert len(caplog.records) == MAX_LINES + 1
    assert caplog.messages[-1] == "home: the same applies to 980 more counters"
