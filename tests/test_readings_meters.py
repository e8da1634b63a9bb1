"""Meters: the sums by category, and meter by meter with phases and current transformers."""

from __future__ import annotations

from typing import Any

import pytest

from probe_exporter.readings.document import read
from tests.readings_of import READ_AT, Samples, readings_from, readings_of, samples_of, value_of

NEVER = "0001-01-01T00:00:00Z"
TIME = "2023-11-04T15:27:48.5-07:00"
SITE_METER = ("site", "synchrometerX", "JBL23012Y1F044", "")


def of_site_meter(name: str, *labels: str) -> float | None:
    return value_of(readings_of("pwplus-23.28"), f"powerwall_dev_{name}", *SITE_METER, *labels)


def of_meter(meter: dict[str, Any], name: str) -> Samples:
    return samples_of(readings_from(meters_site=[meter]), f"powerwall_dev_{name}")


def test_sums_in_base_units() -> None:
    readings = readings_of("pw3-26")
    expected = {
        "instant_power_watts": -184.0,
        "instant_reactive_power_watts": -655.0,
        "instant_apparent_power_watts": (184**2 + 655**2) ** 0.5,
        "exported_joules_total": 371205.8125 * 3600,
        "imported_joules_total": 52810.5625 * 3600,
        "instant_average_volts": 239.1,
        "instant_average_amps": 3.62,
        "instant_total_amps": 3.63,
        "meter_last_communication_timestamp_seconds": 1773788662.730118,
        "meter_devices": 1.0,
        "meter_timeout_seconds": 60.0,
    }
    found = {name: value_of(readings, f"powerwall_{name}", "site") for name in expected}
    assert found == pytest.approx(expected)


def test_a_frequency_of_zero_is_not_measured() -> None:
    readings = readings_of("pw3-26")
    assert samples_of(readings, "powerwall_frequency_hz") == {("battery",): 50.004, ("solar",): 50.006}


def test_a_counter_at_zero_is_a_reading() -> None:
    readings = readings_of("pw3-26")
    assert value_of(readings, "powerwall_imported_joules_total", "solar") == 0.0
    assert value_of(readings, "powerwall_exported_joules_total", "load") == 0.0


def test_every_category_of_1x() -> None:
    readings = readings_of("legacy-1.x")
    categories = [category for (category,) in samples_of(readings, "powerwall_instant_power_watts")]
    assert categories == ["site", "battery", "load", "solar"], "three more were never measured"
    assert len(samples_of(readings, "powerwall_meter_last_communication_timestamp_seconds")) == 4
    for name in (
        "powerwall_instant_average_amps",
        "powerwall_meter_devices",
        "powerwall_meter_timeout_seconds",
    ):
        assert samples_of(readings, name) == {}


def test_categories_nobody_heard_of_and_keys_that_are_none() -> None:
    document = {"conductor": {"instant_power": 7, "instant_total_current": None}, "note": "x", "solar": None}
    readings = readings_from(aggregates=document)
    assert samples_of(readings, "powerwall_instant_power_watts") == {("conductor",): 7.0}
    assert samples_of(readings, "powerwall_instant_total_amps") == {}


def test_phases_of_the_sums_only_where_they_were_measured() -> None:
    readings = readings_of("pwplus-23.28")
    assert samples_of(
        readings, "powerwall_meter_last_phase_communication_timestamp_seconds"
    ) == pytest.approx({("site", "voltage"): 1699136868.118830117, ("site", "power"): 1699136868.168830117})


@pytest.mark.parametrize("endpoint", ["meters/site", "meters/solar"])
def test_a_category_without_meters_is_null(endpoint: str) -> None:
    assert read(endpoint, None, READ_AT).value is None
    assert read(endpoint, [], READ_AT).value is None


def test_one_meter_in_base_units() -> None:
    expected = {
        "instant_power_watts": -2598.0,
        "instant_reactive_power_watts": 218.0,
        "instant_apparent_power_watts": (2598**2 + 218**2) ** 0.5,
        "exported_joules_total": 4811206.625 * 3600,
        "imported_joules_total": 6120343.375 * 3600,
        "instant_average_volts": 211.7,
        "instant_average_amps": 21.43,
        "instant_total_amps": 21.44,
        "last_communication_timestamp_seconds": 1699136868.268830117,
    }
    assert {name: of_site_meter(name) for name in expected} == pytest.approx(expected)
    assert of_site_meter("frequency_hz") is None
    assert of_site_meter("connected") is None


def test_phases_of_a_meter() -> None:
    assert [of_site_meter("phase_volts", phase) for phase in "abc"] == [122.3, 122.4, None]
    assert [of_site_meter("phase_power_watts", phase) for phase in "abc"] == [-1571.0, -1027.0, None]
    assert [of_site_meter("phase_reactive_power_vars", phase) for phase in "abc"] == [133.0, 85.0, None]
    assert [of_site_meter("phase_current_amperes", phase) for phase in "abc"] == [12.91, 8.52, None]


def test_transformers_of_a_meter() -> None:
    readings = readings_of("pw2-21.44-running")
    meter = ("site", "synchrometerX", "JBL21047Y1F031", "")
    for name in ("powerwall_dev_ct_enabled", "powerwall_dev_ct_inverted"):
        assert [value_of(readings, name, *meter, ct) for ct in "12345"] == [0.0, 0.0, 1.0, 0.0, None]


def test_two_meters_with_one_serial_differ_by_type() -> None:
    readings = readings_of("pw2-21.44-running")
    assert samples_of(readings, "powerwall_dev_instant_power_watts") == {
        ("site", "synchrometerY", "JBL21047Y1F031", ""): 263.0,
        ("site", "synchrometerX", "JBL21047Y1F031", ""): 155.0,
        ("solar", "synchrometerX", "JBL21047Y1F032", ""): 1866.0,
    }
    third = ("site", "synchrometerX", "JBL21047Y1F031", "", "c")
    assert samples_of(readings, "powerwall_dev_phase_current_amperes")[third] == 1.62
    assert samples_of(readings, "powerwall_dev_info")[
        "site", "synchrometerX", "JBL21047Y1F031", "site", "1232100-00-E--TG1210470R0G5", "1"
    ] == 1.0  # fmt: skip
    assert samples_of(readings, "powerwall_dev_real_power_scale_ratio") == {
        ("solar", "synchrometerX", "JBL21047Y1F032", ""): 1.5
    }


def test_a_neurio_of_2018() -> None:
    readings = readings_of("legacy-1.x")
    site, solar = ("site", "neurio_tcp", "OBB3180001207", ""), ("solar", "neurio_tcp", "OBB3180001333", "")
    assert samples_of(readings, "powerwall_dev_connected") == {site: 1.0, solar: 1.0}
    assert value_of(readings, "powerwall_dev_phase_volts", *site, "b") == 120.7
    assert samples_of(readings, "powerwall_dev_phase_current_amperes") == {}
    assert samples_of(readings, "powerwall_dev_instant_average_amps") == {}
    # the solar meter counts production as import
    assert value_of(readings, "powerwall_dev_imported_joules_total", *solar) == 8120552.25 * 3600
    assert value_of(readings, "powerwall_dev_exported_joules_total", *solar) == 14206.5 * 3600


@pytest.mark.parametrize(
    ("quantity", "fields", "name"),
    [
        ("voltage", {"v_l1n": 0.0}, "phase_volts"),
        ("power", {"real_power_a": 0.0}, "phase_power_watts"),
        ("power", {"reactive_power_a": 0.0}, "phase_reactive_power_vars"),
        ("power", {"real_power_a": 0.0, "i_a_current": 0.0}, "phase_current_amperes"),
    ],
)
def test_phases_that_were_never_measured(quantity: str, fields: dict[str, float], name: str) -> None:
    stamp = f"last_phase_{quantity}_communication_time"
    assert of_meter({"type": "synchrometerX", "Cached_readings": {**fields, stamp: NEVER}}, name) == {}
    assert len(of_meter({"type": "synchrometerX", "Cached_readings": {**fields, stamp: TIME}}, name)) == 1
    assert len(of_meter({"type": "synchrometerX", "Cached_readings": fields}, name)) == 1


def test_currents_of_phases_that_are_not_connected() -> None:
    cached = {"v_l2n": 121.0, "real_power_c": 5.0, "i_a_current": 0, "i_b_current": 2.5, "i_c_current": 0}
    assert of_meter({"type": "synchrometerX", "Cached_readings": cached}, "phase_current_amperes") == {
        ("site", "synchrometerX", "", "", "b"): 2.5,
        ("site", "synchrometerX", "", "", "c"): 0.0,
    }


def test_a_meter_that_never_answered_has_no_time() -> None:
    cached = {"instant_power": 0, "last_communication_time": NEVER}
    assert (
        of_meter({"type": "neurio_tcp", "Cached_readings": cached}, "last_communication_timestamp_seconds")
        == {}
    )


@pytest.mark.parametrize(
    ("status", "state"), [("", "ok"), ("ok", "ok"), ("no meter", "other"), (None, None)], ids=repr
)
def test_meters_status(status: object, state: str | None) -> None:
    states = samples_of(
        readings_from(meters_status={"status": status, "errors": []}), "powerwall_meters_status"
    )
    assert [name for (name,), value in states.items() if value] == ([state] if state else [])


def test_meters_errors() -> None:
    assert value_of(readings_of("pwplus-23.28"), "powerwall_meters_errors") == 2.0
    assert value_of(readings_of("pw2-21.44-running"), "powerwall_meters_errors") is None
