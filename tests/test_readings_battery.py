"""Charge, system status, battery blocks and the inventory of Powerwalls."""

from __future__ import annotations

from typing import Any

import pytest

from probe_exporter.readings.document import read
from tests.readings_of import BY_NAME, READ_AT, Samples, readings_from, readings_of, samples_of, value_of

SOLAR_ONE, PLAIN_ONE, DISABLED = "TG1230120008P1", "TG1230120009Q2", "TG1230120010R3"


def of_batteries(name: str) -> Samples:
    return samples_of(readings_of("pwplus-23.28"), f"powerwall_battery_{name}")


@pytest.mark.parametrize(
    ("percent", "raw", "app"),
    [(24, 0.24, 0.2), (100, 1.0, 1.0), (5, 0.05, 0.0), (3.1, 0.031, 0.0), (100.4, 1.004, 1.0), (0, 0.0, 0.0)],
)
def test_charge(percent: float, raw: float, app: float) -> None:
    readings = readings_from(soe={"percentage": percent})
    assert value_of(readings, "powerwall_charge_ratio") == pytest.approx(raw)
    assert value_of(readings, "powerwall_charge_app_ratio") == pytest.approx(app)


def test_the_whole_system_in_base_units() -> None:
    readings = readings_of("pwplus-23.28")
    expected = {
        "full_pack_joules": 26110 * 3600.0,
        "remaining_joules": 17230 * 3600.0,
        "grid_services_power_watts": -450.0,
        "battery_target_power_watts": -1482.25,
        "battery_target_reactive_power_vars": 12.0,
        "max_charge_power_watts": 10790.0,
        "max_discharge_power_watts": 10810.0,
        "max_apparent_power_voltamperes": 10820.0,
        "instantaneous_max_charge_power_watts": 13980.0,
        "instantaneous_max_discharge_power_watts": 23990.0,
        "instantaneous_max_apparent_power_voltamperes": 11530.0,
        "ffr_power_availability_high_watts": 11590.0,
        "ffr_power_availability_low_watts": 11610.0,
        "load_charge_constraint_watts": 130.0,
        "max_sustained_ramp_rate_watts_per_second": 2.7e6,
        "solar_real_power_limit_watts": 7610.4375,
        "auxiliary_load_watts": 33.0,
        "inverter_nominal_usable_power_watts": 11570.0,
        "batteries_available": 2.0,
        "batteries_controlled": 5.0,
        "enable_lines_high": 0.0,
        "last_toggle_timestamp_seconds": 1696272391.957195,
    }
    found = {name: value_of(readings, f"powerwall_{name}") for name in expected}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("limit", "exported"),
    [(-1, None), (1e9, None), (1.7976931348623157e308, None), (0, 0.0), (3909.5, 3909.5), (None, None)],
)
def test_no_solar_limit_has_many_spellings(limit: object, exported: float | None) -> None:
    readings = readings_from(system_status={"solar_real_power_limit": limit, "max_charge_power": 5})
    assert value_of(readings, "powerwall_solar_real_power_limit_watts") == exported
    assert value_of(readings, "powerwall_max_charge_power_watts") == 5.0


def test_one_watt_backwards_is_a_measurement() -> None:
    readings = readings_from(system_status={"battery_target_power": -1, "grid_services_power": -0.0})
    assert value_of(readings, "powerwall_battery_target_power_watts") == -1.0
    assert str(value_of(readings, "powerwall_grid_services_power_watts")) == "0.0"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SystemGridConnected", "SystemGridConnected"),
        ("SystemIslandedActive", "SystemIslandedActive"),
        ("Adrift", "other"),
    ],
)
def test_island_state(word: str, state: str) -> None:
    readings = readings_from(system_status={"system_island_state": word})
    assert samples_of(readings, "powerwall_island_state") == {(word,): 1.0}
    states = samples_of(readings, "powerwall_system_island_status")
    assert [name for (name,), value in states.items() if value] == [state]
    assert len(states) == 8


def test_command_source() -> None:
    assert samples_of(readings_of("pwplus-23.28"), "powerwall_command_source") == {
        ("Configuration",): 1.0, ("other",): 0.0
    }  # fmt: skip
    reading = read("system_status", {"command_source": "Remote"}, READ_AT)
    assert reading.unknown == ("Remote",)


def test_an_empty_state_gives_no_sample() -> None:
    readings = readings_from(
        system_status={"system_island_state": "", "command_source": "", "max_charge_power": 1}
    )
    for name in ("powerwall_island_state", "powerwall_system_island_status", "powerwall_command_source"):
        assert samples_of(readings, name) == {}


def test_measurements_of_batteries() -> None:
    assert of_batteries("output_power_watts") == {(SOLAR_ONE,): -760.0, (PLAIN_ONE,): -710.0}
    assert of_batteries("output_reactive_power_vars") == {(SOLAR_ONE,): 15.0, (PLAIN_ONE,): 14.0}
    assert of_batteries("output_volts") == {(SOLAR_ONE,): 244.3, (PLAIN_ONE,): 244.4}
    assert of_batteries("output_hz") == {(SOLAR_ONE,): 60.006, (PLAIN_ONE,): 60.007}
    assert of_batteries("output_amps") == {(SOLAR_ONE,): 15.6, (PLAIN_ONE,): 14.5}
    assert of_batteries("charged_joules_total") == {
        (SOLAR_ONE,): 7210330 * 3600.0, (PLAIN_ONE,): 5910150 * 3600.0
    }  # fmt: skip
    assert of_batteries("discharged_joules_total") == {
        (SOLAR_ONE,): 6388120 * 3600.0, (PLAIN_ONE,): 5214050 * 3600.0
    }  # fmt: skip


def test_energy_of_batteries() -> None:
    assert of_batteries("full_pack_joules") == {
        (SOLAR_ONE,): 13290 * 3600.0, (PLAIN_ONE,): 12820 * 3600.0, (DISABLED,): 12460 * 3600.0
    }  # fmt: skip
    assert of_batteries("remaining_joules") == {
        (SOLAR_ONE,): 8870 * 3600.0, (PLAIN_ONE,): 8360 * 3600.0, (DISABLED,): 0.0
    }  # fmt: skip
    assert of_batteries("charge_ratio")[SOLAR_ONE,] == pytest.approx(8870 / 13290)


@pytest.mark.parametrize(("full", "remaining"), [(0, 5), (None, 5), (13000, None), (-5, 5), (1e-320, 1e300)])
def test_no_charge_ratio_without_a_capacity(full: object, remaining: object) -> None:
    block = {
        "PackageSerialNumber": "A",
        "nominal_full_pack_energy": full,
        "nominal_energy_remaining": remaining,
    }
    readings = readings_from(system_status={"battery_blocks": [block]})
    assert samples_of(readings, "powerwall_battery_charge_ratio") == {}


def test_flags_of_batteries() -> None:
    assert of_batteries("island_state") == {(SOLAR_ONE,): 0.0, (PLAIN_ONE,): 1.0, (DISABLED,): 0.0}
    assert of_batteries("wobble_detected") == {(SOLAR_ONE,): 0.0, (PLAIN_ONE,): 1.0, (DISABLED,): 0.0}
    assert of_batteries("charge_power_clamped") == {(SOLAR_ONE,): 0.0, (PLAIN_ONE,): 0.0, (DISABLED,): 1.0}
    assert of_batteries("backup_ready") == {(SOLAR_ONE,): 1.0, (PLAIN_ONE,): 1.0, (DISABLED,): 0.0}
    assert set(of_batteries("off_grid").values()) == {0.0}


def test_a_disabled_battery() -> None:
    assert of_batteries("disabled") == {(SOLAR_ONE,): 0.0, (PLAIN_ONE,): 0.0, (DISABLED,): 1.0}
    assert of_batteries("disabled_reason") == {(DISABLED, "DisabledExcessiveVoltageDrop"): 1.0}
    assert (DISABLED, "Standby") in of_batteries("opseq_state")
    assert not any(serial == DISABLED for serial, _ in of_batteries("pinv_state"))
    unsaid = readings_from(system_status={"battery_blocks": [{"disabled_reasons": None}]})
    assert samples_of(unsaid, "powerwall_battery_disabled") == {}


@pytest.mark.parametrize(
    ("field", "go", "states", "word", "size"),
    [
        ("pinv_state", "pinv_state", "pinv_status", "PINV_GridFollowing", 9),
        ("pinv_grid_state", "pinv_grid_state", "pinv_grid_status", "Grid_Qualifying", 4),
        ("OpSeqState", "opseq_state", "opseq_status", "Standby", 3),
    ],
)
def test_states_of_batteries(field: str, go: str, states: str, word: str, size: int) -> None:
    for said, expected in ((word, word), ("NeverHeard", "other")):
        block = {"PackageSerialNumber": "A", field: said}
        readings = readings_from(system_status={"battery_blocks": [block]})
        assert samples_of(readings, f"powerwall_battery_{go}") == {("A", said): 1.0}
        found = samples_of(readings, f"powerwall_battery_{states}")
        assert [state for (_, state), value in found.items() if value] == [expected]
        assert len(found) == size


def test_identity_of_batteries() -> None:
    assert next(iter(of_batteries("info"))) == (SOLAR_ONE, "2012170-25-F", "41c7a0d9be6215")
    assert of_batteries("type_info")[SOLAR_ONE, "SolarPowerwall"] == 1.0


def test_equal_serials_are_all_yielded_and_left_to_the_assembly() -> None:
    blocks = [
        {"PackageSerialNumber": "A", "p_out": 1},
        {"PackageSerialNumber": "A", "p_out": 2},
        {"p_out": 3},
    ]
    readings = readings_from(system_status={"battery_blocks": blocks})
    samples = list(BY_NAME["powerwall_battery_output_power_watts"].read(readings))
    assert samples == [(("A",), 1.0), (("A",), 2.0), (("",), 3.0)]


def test_faults_inside_the_system_status_win() -> None:
    with_list = readings_from(system_status={"grid_faults": [], "max_charge_power": 1}, grid_faults=[{}, {}])
    assert with_list.faults is not None
    assert with_list.system_status is not None
    assert with_list.faults is with_list.system_status.grid_faults
    without = readings_from(system_status={"max_charge_power": 1}, grid_faults=[{}, {}])
    assert without.faults is without.grid_faults
    assert without.faults is not None


def test_the_inventory() -> None:
    readings = readings_of("pwplus-23.28")
    assert value_of(readings, "powerwall_batteries_configured") == 3.0
    assert value_of(readings, "powerwall_battery_enumerating") == 0.0
    assert of_batteries("updating") == {(SOLAR_ONE,): 0.0, (PLAIN_ONE,): 1.0, (DISABLED,): 0.0}
    assert len(of_batteries("under_phase_detection")) == 3
    stopped = readings_of("pw2-21.44-stopped")
    assert value_of(stopped, "powerwall_batteries_grid_qualifying") == 1.0
    assert value_of(stopped, "powerwall_batteries_checking_if_offgrid") == 0.0
    assert value_of(stopped, "powerwall_grid_code_validating") == 0.0


def test_the_type_comes_from_the_block_where_there_is_no_inventory() -> None:
    blocks = {"battery_blocks": [{"PackageSerialNumber": "A", "Type": "ACPW"}, {"Type": ""}]}
    assert samples_of(readings_from(system_status=blocks), "powerwall_battery_type_info") == {
        ("A", "ACPW"): 1.0
    }
    both = readings_from(
        system_status=blocks, powerwalls={"powerwalls": [{"PackageSerialNumber": "A", "type": "acpw"}]}
    )
    assert samples_of(both, "powerwall_battery_type_info") == {("A", "acpw"): 1.0}


LIARS = (
    "powerwall_battery_grid_status",
    "powerwall_battery_grid_reconnection_seconds",
    "powerwall_battery_diagnostic_alert",
    "powerwall_battery_diagnostic_check_status",
)


def test_diagnostics_while_the_site_master_is_stopped() -> None:
    readings = readings_of("pw2-21.44-stopped")
    serial = "TG121047000K27"
    assert value_of(readings, LIARS[0], serial, "Grid_Qualifying") == 1.0
    assert value_of(readings, LIARS[1], serial) == 287.0
    assert samples_of(readings, LIARS[2]) == {(serial, "commissioning"): 0.0, (serial, "update"): 1.0}
    checks = samples_of(readings, LIARS[3])
    assert [labels[2:] for labels, value in checks.items() if value and labels[1] == "commissioning"] == [
        ("CAN connectivity", "pass"),
        ("Enable switch", "pass"),
        ("Internal communications", "running"),
        ("Firmware up-to-date", "not_run"),
    ]
    assert len(checks) == 8 * 6


@pytest.mark.parametrize("name", LIARS)
@pytest.mark.parametrize("sitemaster", [{"running": True}, {"status": "StatusDown"}, {}], ids=repr)
def test_diagnostics_lie_while_the_site_master_runs(name: str, sitemaster: dict[str, Any]) -> None:
    readings = readings_of("pw2-21.44-stopped")
    readings.sitemaster = readings_from(sitemaster=sitemaster).sitemaster
    assert samples_of(readings, name) == {}
    assert value_of(readings, "powerwall_batteries_configured") == 1.0


@pytest.mark.parametrize("name", LIARS)
def test_an_inventory_read_before_the_stop_still_lies(name: str) -> None:
    readings = readings_of("pw2-21.44-running")
    readings.sitemaster = readings_of("pw2-21.44-stopped").sitemaster
    assert samples_of(readings, name) == {}
