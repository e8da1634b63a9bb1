"""The counter guard and what a gateway derives: the load is held back with its sources, and corrected downwards."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from probe_exporter.metrics.guard import CounterGuard, Key

IMPORTED = "powerwall_imported_joules_total"
EXPORTED = "powerwall_exported_joules_total"
LOAD = (IMPORTED, ("load",))
BOTH = {LOAD, (EXPORTED, ("load",))}
KWH = 3.6e6
MWH = 1000 * KWH
UP = 9e5

HOUSE: dict[Key, float] = {
    (IMPORTED, ("site",)): 20 * MWH,
    (EXPORTED, ("site",)): 3 * MWH,
    (IMPORTED, ("battery",)): 6 * MWH,
    (EXPORTED, ("battery",)): 5 * MWH,
    (IMPORTED, ("solar",)): 40 * KWH,
    (EXPORTED, ("solar",)): 30 * MWH,
    LOAD: 45.96 * MWH,
    (EXPORTED, ("load",)): 0.0,
}
"""A house in J."""


def house(load: float = 0.0, /, without: Key | None = None, **changes: float) -> dict[Key, float]:
    """The house, with other values: ``site_in=…``; ``load`` is what its use differs by."""
    readings = dict(HOUSE)
    for name, value in changes.items():
        category, _, way = name.partition("_")
        readings[IMPORTED if way == "in" else EXPORTED, (category,)] = value
    readings[LOAD] += load
    if without is not None:
        del readings[without]
    return readings


def begun() -> CounterGuard:
    guard = CounterGuard("home")
    assert guard.judge(HOUSE, 0.0, UP) == frozenset()
    return guard


HELD_WITH_A_SOURCE: dict[str, Mapping[Key, float]] = {
    "a zero": house(1.0, battery_in=0.0),
    "an impossible rise": house(1.0, battery_out=17 * MWH),
    "a drop of 1 kWh or more": house(1.0, site_in=19 * MWH),
    "a drop of 1 kWh or more, below zero": house(1.0, solar_in=-1.0),
    "a source that is missing": house(1.0, without=(EXPORTED, ("battery",))),
}


@pytest.mark.parametrize("readings", HELD_WITH_A_SOURCE.values(), ids=HELD_WITH_A_SOURCE)
def test_load_is_held_back_with_a_source(readings: Mapping[Key, float]) -> None:
    guard = begun()
    assert LOAD in guard.judge(readings, 15.0, UP)
    assert guard.judge(house(2.0), 30.0, UP) == frozenset()


SHOWN_ALL_THE_SAME: dict[str, Mapping[Key, float]] = {
    "a smaller drop": house(1.0, site_out=3 * MWH - 0.9 * KWH),
    "a rise that a house can make": house(1.0, site_in=20 * MWH + 0.9 * KWH),
    "a category that the load does not come from": house(1.0, generator_in=0.0),
}


@pytest.mark.parametrize("readings", SHOWN_ALL_THE_SAME.values(), ids=SHOWN_ALL_THE_SAME)
def test_load_is_shown_whatever_else_is_held_back(readings: Mapping[Key, float]) -> None:
    assert LOAD not in begun().judge(readings, 15.0, UP)


def test_a_first_zero_whose_opposite_counts_does_not_hold_the_load_back() -> None:
    zero = (IMPORTED, ("solar",))
    assert CounterGuard().judge(house(solar_in=0.0), 0.0) == {zero, (EXPORTED, ("load",))}


def test_first_zeros_in_both_directions_hold_the_load_back() -> None:
    guard = CounterGuard()
    assert LOAD in guard.judge(house(battery_in=0.0, battery_out=0.0), 0.0, 30.0)
    assert LOAD not in guard.judge(house(battery_in=0.0, battery_out=0.0), 600.0, 630.0)


def test_a_source_that_never_had_samples_is_not_missing() -> None:
    guard = CounterGuard()
    for moment in (0.0, 15.0):
        assert LOAD not in guard.judge(house(moment, without=(EXPORTED, ("battery",))), moment, UP)


def test_a_source_that_stays_away_is_not_missed_for_ever() -> None:
    guard = begun()
    away = [
        guard.judge(house(day * KWH, without=(EXPORTED, ("solar",))), day * 86400.0, UP)
        for day in range(1, 10)
    ]
    assert [LOAD in held for held in away] == [True] * 6 + [False] * 3


def test_a_fall_of_the_load_is_a_correction_however_large() -> None:
    guard = begun()
    course = [-12 * MWH, -12 * MWH + 1, -45.959 * MWH, -1.0, 0.0, 1.0]
    held = [LOAD in guard.judge(house(change), 1000.0 * n, UP) for n, change in enumerate(course, start=1)]
    assert held == [True, True, True, True, False, False]


def test_a_correction_is_a_new_beginning_after_seven_days() -> None:
    guard = begun()
    days = [LOAD in guard.judge(house(-12 * MWH + day), day * 86400.0, UP) for day in range(1, 10)]
    assert days == [True] * 7 + [False] * 2


def test_a_smaller_battery_and_its_load_begin_anew_together() -> None:
    guard = begun()
    guard.judge(house(272 * KWH, battery_in=3 * MWH, battery_out=2 * MWH), 15.0, UP)
    for day in range(1, 10):
        readings = house(272 * KWH + day * 10 * KWH, battery_in=3 * MWH, battery_out=2 * MWH)
        held = guard.judge(readings, day * 86400.0, UP)
        assert held == (
            {(IMPORTED, ("battery",)), (EXPORTED, ("battery",)), *BOTH} if day < 8 else frozenset()
        )


def test_a_second_battery_is_one_jump_of_its_own_and_none_of_the_load() -> None:
    guard = begun()
    battery = (IMPORTED, ("battery",))
    for moment in range(60, 3600, 60):
        readings = house(-12 * MWH + 8.0 * moment, battery_in=18 * MWH)
        assert guard.judge(readings, moment, UP) == ({battery, *BOTH} if moment < 660 else {LOAD})


def test_a_rise_that_the_sources_explain_is_shown_with_them() -> None:
    """A second battery that has given more than it took."""
    guard = begun()
    for moment in range(60, 1200, 60):
        held = guard.judge(house(12 * MWH, battery_out=17 * MWH), moment, UP)
        assert held == ({(EXPORTED, ("battery",)), *BOTH} if moment < 660 else frozenset())


def test_the_meters_themselves_are_not_derived() -> None:
    """A battery's own counters, in another answer, hold nothing else back and are not held back."""
    guard = begun()
    blocks: dict[Key, float] = {
        ("powerwall_battery_charged_joules_total", ("A",)): 1.0,
        ("powerwall_battery_discharged_joules_total", ("A",)): 1.0,
    }
    assert guard.judge(blocks, 1.0, UP) == frozenset()
    assert LOAD not in guard.judge(house(1.0), 15.0, UP)
