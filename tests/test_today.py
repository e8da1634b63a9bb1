"""The energy of today, out of totals that a gateway tells."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from probe_exporter.probe.today import Today, today
from probe_exporter.readings import Readings, read
from probe_exporter.readings.payload import decode

BERLIN = ZoneInfo("Europe/Berlin")
EVENING = datetime(2025, 6, 15, 21, 59, tzinfo=timezone.utc).timestamp()
"""A minute before midnight in Berlin."""


def told(before: Today | None, moment: float, watt_hours: float, zone: ZoneInfo | None = BERLIN) -> Today:
    document = {"solar": {"energy_exported": watt_hours, "last_communication_time": "2025-06-15T12:00:00Z"}}
    readings = Readings()
    readings.aggregates = read("meters/aggregates", decode(json.dumps(document).encode()), moment).value  # type: ignore[assignment]
    return today(before, readings, moment, zone)


def produced(day: Today) -> float | None:
    """Watt-hours of the sun."""
    energy = day.energy("solar", "exported")
    return None if energy is None else energy / 3600.0


def test_a_day_ends_at_midnight_of_the_gateway() -> None:
    first = told(None, EVENING - 3600.0, 1000.0)
    later = told(first, EVENING, 1500.0)
    assert produced(later) == 500.0
    assert later.since == EVENING - 3600.0
    morning = told(later, EVENING + 120.0, 1600.0)
    assert produced(morning) == 0.0
    assert morning.since == EVENING + 120.0
    assert produced(told(morning, EVENING + 3600.0, 1850.0)) == 250.0


def test_the_zone_stays_known_when_the_gateway_does_not_tell_it() -> None:
    first = told(None, EVENING, 1000.0)
    assert told(first, EVENING + 120.0, 1500.0, None).since == EVENING + 120.0


def test_zeros_after_a_reboot_are_no_totals() -> None:
    begun_in_zeros = told(told(None, EVENING - 60.0, 0.0), EVENING - 30.0, 37e6)
    assert produced(begun_in_zeros) == 0.0, "not the energy of a lifetime"
    rebooted = told(told(None, EVENING - 60.0, 1000.0), EVENING - 30.0, 0.0)
    assert produced(rebooted) == 0.0
    assert produced(told(rebooted, EVENING, 1100.0)) == 100.0


def test_a_meter_that_begins_anew_has_no_energy_that_day() -> None:
    assert produced(told(told(None, EVENING - 60.0, 1000.0), EVENING, 10.0)) is None


def test_what_was_never_told_is_not_known() -> None:
    assert told(None, EVENING, 1000.0).energy("load", "imported") is None
