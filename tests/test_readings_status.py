"""The gateway itself: what its status, site master, operation, update and registration become."""

from __future__ import annotations

from typing import Any

import pytest

from probe_exporter.readings import Readings
from probe_exporter.readings.document import read
from tests.readings_of import READ_AT, readings_from, readings_of, samples_of, value_of


def test_identity_of_a_second_gateway() -> None:
    readings = readings_of("pwplus-23.28")
    assert samples_of(readings, "powerwall_info") == {
        ("23.28.2 41c7a0d9", "41c7a0d9be6215f38d07a4c9e1b2f6058d3e7a94"): 1.0
    }
    labels = ("1232100-20-J--TG1230120R3K8", "1232100-20-J", "TG1230120R3K8", "teg", "pvinverter", "v2.1", "")
    assert samples_of(readings, "powerwall_gateway_info") == {labels: 1.0}
    assert samples_of(readings, "powerwall_firmware_version_part") == {
        ("major",): 23.0, ("minor",): 28.0, ("patch",): 2.0
    }  # fmt: skip
    assert value_of(readings, "powerwall_commission_count") == 6.0


def test_a_1x_gateway_has_no_identity() -> None:
    readings = readings_of("legacy-1.x")
    assert samples_of(readings, "powerwall_gateway_info") == {}
    assert samples_of(readings, "powerwall_commission_count") == {}
    assert samples_of(readings, "powerwall_gateway_followers") == {}


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("21.44 223a56cd", [21.0, 44.0]), ("22.26.1-foxtrot", [22.0, 26.0, 1.0]), ("1.40.6", [1.0, 40.0, 6.0]),
        ("23.4.2-1", [23.0, 4.0, 2.0]), ("", []), ("nightly", []), ("25", []), ("٢.٣", []), (7, []),
    ],
)  # fmt: skip
def test_version_parts(version: object, parts: list[float]) -> None:
    readings = readings_from(status={"version": version, "is_new": False})
    assert list(samples_of(readings, "powerwall_firmware_version_part").values()) == parts


def test_the_start_is_reckoned_from_the_uptime_and_whole() -> None:
    readings = readings_of("legacy-1.x")
    uptime = 283 * 3600 + 17 * 60 + 58.204771336
    assert value_of(readings, "powerwall_uptime_seconds") == pytest.approx(uptime)
    assert value_of(readings, "powerwall_start_time_seconds") == round(READ_AT - uptime)


def test_followers_are_counted_and_null_is_not_zero() -> None:
    assert value_of(readings_of("pw2-21.44-running"), "powerwall_gateway_followers") == 1.0
    assert value_of(readings_of("pw2-21.44-stopped"), "powerwall_gateway_followers") is None


def test_din_without_a_serial_is_kept_whole() -> None:
    (labels,) = samples_of(readings_from(status={"din": "1232100"}), "powerwall_gateway_info")
    assert labels[:3] == ("1232100", "", "")


@pytest.mark.parametrize(
    ("can_reboot", "allowed", "reasons"),
    [
        ("Yes", 1.0, []), ("Power flow is too high", 0.0, [("Power flow is too high",)]), ("", None, []),
        (None, None, []), (True, None, []),
    ],
)  # fmt: skip
def test_reboot(can_reboot: object, allowed: float | None, reasons: list[tuple[str]]) -> None:
    readings = readings_from(sitemaster={"running": True, "can_reboot": can_reboot})
    assert value_of(readings, "powerwall_reboot_allowed") == allowed
    assert list(samples_of(readings, "powerwall_sitemaster_busy")) == reasons


def test_sitemaster() -> None:
    readings = readings_of("pwplus-23.28")
    assert value_of(readings, "powerwall_sitemaster_running") == 1.0
    assert value_of(readings, "powerwall_sitemaster_connected") == 0.0
    assert value_of(readings, "powerwall_power_supply_mode") == 1.0
    assert samples_of(readings, "powerwall_sitemaster_status") == {
        ("StatusUp",): 1.0, ("StatusDown",): 0.0, ("other",): 0.0
    }  # fmt: skip


def test_a_stopped_sitemaster() -> None:
    readings = readings_of("pw2-21.44-stopped")
    assert value_of(readings, "powerwall_sitemaster_running") == 0.0
    assert value_of(readings, "powerwall_sitemaster_status", "StatusDown") == 1.0
    assert samples_of(readings, "powerwall_reboot_allowed") == {}


def test_1x_sitemaster_has_neither_status_nor_uptime_to_read() -> None:
    readings = readings_of("legacy-1.x")
    assert value_of(readings, "powerwall_sitemaster_connected") == 1.0
    assert samples_of(readings, "powerwall_sitemaster_status") == {}
    assert samples_of(readings, "powerwall_power_supply_mode") == {}


def test_a_word_nobody_knew() -> None:
    reading = read("operation", {"real_mode": "storm_watch"}, READ_AT)
    assert reading.unknown == ("storm_watch",)
    readings = readings_from(operation={"real_mode": "storm_watch"})
    assert samples_of(readings, "powerwall_operation_mode") == {("storm_watch",): 1.0}
    states = samples_of(readings, "powerwall_operation_mode_state")
    assert {state for state, value in states.items() if value} == {("other",)}
    assert len(states) == 7


@pytest.mark.parametrize(
    ("system", "mode", "reserve", "app_reserve"),
    [
        ("legacy-1.x", "backup", 0.43, 0.4),
        ("pw2-21.44-running", "autonomous", 0.24, 0.2),
        ("pw2-21.44-stopped", "self_consumption", 0.05, 0.0),
        ("pwplus-23.28", "self_consumption", 0.81, 0.8),
    ],
)
def test_operation(system: str, mode: str, reserve: float, app_reserve: float) -> None:
    readings = readings_of(system)
    assert samples_of(readings, "powerwall_operation_mode") == {(mode,): 1.0}
    assert value_of(readings, "powerwall_operation_mode_state", mode) == 1.0
    assert value_of(readings, "powerwall_operation_mode_state", "other") == 0.0
    assert value_of(readings, "powerwall_reserve_ratio") == reserve
    assert value_of(readings, "powerwall_reserve_app_ratio") == app_reserve


def test_load_shedding() -> None:
    readings = readings_of("pwplus-23.28")
    assert value_of(readings, "powerwall_freq_shift_load_shed_charge_ratio") == 0.64
    assert value_of(readings, "powerwall_freq_shift_load_shed_delta_hertz") == -0.34


@pytest.mark.parametrize(
    ("problems", "count"), [([], 0.0), (["a", {"b": 1}], 2.0), (None, None), ({"a": 1}, None)], ids=repr
)
def test_problems(problems: object, count: float | None) -> None:
    readings = readings_from(problems={"problems": problems})
    assert value_of(readings, "powerwall_problems_detected_count") == count


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ({"state": "/update_failed", "info": {"status": ["nonactionable"]}}, "idle"),
        ({"state": "/update_failed", "info": {"status": ["error"]}}, "failed"),
        ({"state": "/update_failed", "info": None}, "failed"),
        ({"state": "/update_unknown"}, "idle"),
        ({"state": "/clear_update_status"}, "checking"),
        ({"state": "/download"}, "download"),
        ({"state": "/update_downloaded"}, "downloaded"),
        ({"state": "/update_staged"}, "staged"),
        ({"state": "/update_succeeded"}, "up to date"),
        ({"state": "/update_succeeded", "offline_updating": True}, "updating"),
        ({"state": "/update_dreamt"}, "other"),
    ],
)
def test_update_state(document: dict[str, Any], state: str) -> None:
    states = samples_of(readings_from(update_status=document), "powerwall_update_state")
    assert [name for (name,), value in states.items() if value] == [state]
    assert len(states) == 9


def test_update() -> None:
    readings = readings_of("pw2-21.44-stopped")
    assert value_of(readings, "powerwall_update_state", "download") == 1.0
    assert value_of(readings, "powerwall_update_download_bytes_per_second") == 48213.5
    assert value_of(readings, "powerwall_update_offline_updating") == 0.0
    assert value_of(readings, "powerwall_update_last_check_timestamp_seconds") == 1640021409.871
    assert samples_of(readings, "powerwall_update_info") == {("21.44 6e8b03d1", ""): 1.0}
    staged = readings_of("pwplus-23.28")
    assert samples_of(staged, "powerwall_update_info") == {
        ("23.36.4 5b92e07f", "nonactionable,ignoring"): 1.0
    }
    assert samples_of(staged, "powerwall_update_download_bytes_per_second") == {}


def test_registration() -> None:
    assert value_of(readings_of("pwplus-23.28"), "powerwall_customer_registered") == 1.0
    assert value_of(readings_of("pw2-21.44-stopped"), "powerwall_customer_registered") == 0.0
    assert value_of(readings_from(registration={"registered": None}), "powerwall_customer_registered") is None


def test_without_an_answer_nothing_is_said() -> None:
    for name in (
        "powerwall_info",
        "powerwall_sitemaster_busy",
        "powerwall_operation_mode",
        "powerwall_update_info",
    ):
        assert samples_of(Readings(), name) == {}


def test_a_status_without_a_version_has_no_info() -> None:
    readings = readings_from(status={"is_new": False})
    assert samples_of(readings, "powerwall_info") == {}
    assert samples_of(readings, "powerwall_gateway_info") == {}
