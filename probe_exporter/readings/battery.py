"""The batteries: state of charge, the system status with its battery blocks, and the inventory of Powerwalls.

Energies are in joules, powers in W, var and VA, times in Unix seconds, ratios between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.app_scale import app_ratio
from probe_exporter.readings.currents import measured_current
from probe_exporter.readings.grid import GRID_STATES, GridFaults, grid_faults_of
from probe_exporter.readings.payload import Payload

INVERTER_STATES = (
    "PINV_GridFollowing",
    "PINV_GridForming",
    "PINV_Standby",
    "PINV_Init",
    "PINV_SupportDC",
    "PINV_ACStageFault",
    "PINV_DCStageFault",
    "PINV_Off",
)
"""The words that the gateway's own page uses; a gateway forms the grid in every outage."""
INVERTER_GRID_STATES = ("Grid_Compliant", "Grid_Qualifying", "Grid_Uncompliant")
SEQUENCE_STATES = ("Active", "Standby")
COMMAND_SOURCES = ("Configuration",)
CHECK_STATES = ("pass", "fail", "not_run", "running", "scheduled")

_WATT_HOUR: Final = 3600.0
_NO_LIMIT: Final = 1e9
SITE_MASTER_RUNS: Final = "site controller running"
"""Part of the message of a check that is refused because the site master runs."""


@dataclass(frozen=True, slots=True)
class Charge:
    """The state of charge: ``ratio`` of the whole pack, ``app_ratio`` as Tesla's app shows it."""

    ratio: float | None
    app_ratio: float | None


def parse_soe(payload: Payload, read_at: float) -> Charge:
    """The gateway counts in percent of the whole pack."""
    return Charge(ratio=payload.ratio("percentage"), app_ratio=app_ratio(payload.number("percentage")))


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery block. A disabled one has no measurements.

    ``power`` is + while discharging, on the AC side; ``current`` is on the DC side and + while charging.
    ``disabled_reasons`` is None where the gateway does not report it.
    """

    serial: str
    part_number: str
    version: str
    type: str
    full_energy: float | None
    remaining_energy: float | None
    power: float | None
    reactive_power: float | None
    voltage: float | None
    frequency: float | None
    current: float | None
    charged: float | None
    discharged: float | None
    off_grid: bool | None
    islanded: bool | None
    wobble_detected: bool | None
    charge_clamped: bool | None
    backup_ready: bool | None
    inverter_state: str | None
    inverter_grid_state: str | None
    sequence_state: str | None
    disabled_reasons: tuple[str, ...] | None

    @property
    def charge_ratio(self) -> float | None:
        """The charge of this battery, a ratio."""
        if self.remaining_energy is None or self.full_energy is None or self.full_energy < 1.0:
            return None
        return self.remaining_energy / self.full_energy


def _battery(payload: Payload) -> Battery:
    return Battery(
        serial=payload.text("PackageSerialNumber") or "",
        part_number=payload.text("PackagePartNumber") or "",
        version=payload.text("version") or "",
        type=payload.text("Type") or "",
        full_energy=payload.number("nominal_full_pack_energy", _WATT_HOUR),
        remaining_energy=payload.number("nominal_energy_remaining", _WATT_HOUR),
        power=payload.number("p_out"),
        reactive_power=payload.number("q_out"),
        voltage=payload.number("v_out"),
        frequency=payload.number("f_out"),
        current=measured_current(payload, "i_out", payload.number("p_out"), payload.number("q_out")),
        charged=payload.number("energy_charged", _WATT_HOUR),
        discharged=payload.number("energy_discharged", _WATT_HOUR),
        off_grid=payload.flag("off_grid"),
        islanded=payload.flag("vf_mode"),
        wobble_detected=payload.flag("wobble_detected"),
        charge_clamped=payload.flag("charge_power_clamped"),
        backup_ready=payload.flag("backup_ready"),
        inverter_state=payload.word("pinv_state", INVERTER_STATES),
        inverter_grid_state=payload.word("pinv_grid_state", INVERTER_GRID_STATES),
        sequence_state=payload.word("OpSeqState", SEQUENCE_STATES),
        disabled_reasons=(
            None if payload.length("disabled_reasons") is None else payload.texts("disabled_reasons")
        ),
    )


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """The whole battery system: capacity, set points, limits, and the battery blocks.

    ``solar_limit`` is None where there is none. ``ramp_rate`` is in W/s. Powers are + while discharging.
    """

    full_energy: float | None
    remaining_energy: float | None
    island_state: str | None
    command_source: str | None
    target_power: float | None
    target_reactive_power: float | None
    max_charge_power: float | None
    max_discharge_power: float | None
    max_apparent_power: float | None
    instantaneous_max_charge_power: float | None
    instantaneous_max_discharge_power: float | None
    instantaneous_max_apparent_power: float | None
    ffr_power_high: float | None
    ffr_power_low: float | None
    load_charge_constraint: float | None
    ramp_rate: float | None
    solar_limit: float | None
    auxiliary_load: float | None
    inverter_usable_power: float | None
    grid_services_power: float | None
    batteries_available: float | None
    batteries_controlled: float | None
    enable_lines_high: bool | None
    last_toggle: float | None
    batteries: tuple[Battery, ...]
    grid_faults: GridFaults | None


def parse_system_status(payload: Payload, read_at: float) -> SystemStatus:
    """Only firmware 21 and later has this; ``grid_faults`` is None where the list is missing."""
    return SystemStatus(
        full_energy=payload.number("nominal_full_pack_energy", _WATT_HOUR),
        remaining_energy=payload.number("nominal_energy_remaining", _WATT_HOUR),
        island_state=payload.word("system_island_state", GRID_STATES),
        command_source=payload.word("command_source", COMMAND_SOURCES),
        target_power=payload.number("battery_target_power"),
        target_reactive_power=payload.number("battery_target_reactive_power"),
        max_charge_power=payload.number("max_charge_power"),
        max_discharge_power=payload.number("max_discharge_power"),
        max_apparent_power=payload.number("max_apparent_power"),
        instantaneous_max_charge_power=payload.number("instantaneous_max_charge_power"),
        instantaneous_max_discharge_power=payload.number("instantaneous_max_discharge_power"),
        instantaneous_max_apparent_power=payload.number("instantaneous_max_apparent_power"),
        ffr_power_high=payload.number("ffr_power_availability_high"),
        ffr_power_low=payload.number("ffr_power_availability_low"),
        load_charge_constraint=payload.number("load_charge_constraint"),
        ramp_rate=payload.number("max_sustained_ramp_rate"),
        solar_limit=_solar_limit(payload.number("solar_real_power_limit")),
        auxiliary_load=payload.number("auxiliary_load"),
        inverter_usable_power=payload.number("inverter_nominal_usable_power"),
        grid_services_power=payload.number("grid_services_power"),
        batteries_available=payload.number("available_blocks"),
        batteries_controlled=payload.number("blocks_controlled"),
        enable_lines_high=payload.flag("all_enable_lines_high"),
        last_toggle=payload.instant("last_toggle_timestamp"),
        batteries=tuple(
            _battery(block) for block in payload.child("battery_blocks").elements() if block.is_object
        ),
        grid_faults=grid_faults_of(payload),
    )


def _solar_limit(watts: float | None) -> float | None:
    """No limit is −1 in 21.x and 22.x, the largest double in 23.x."""
    return watts if watts is not None and 0.0 <= watts < _NO_LIMIT else None


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a diagnostic."""

    name: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A diagnostic of a Powerwall, "commissioning" or "update", and its checks."""

    name: str
    alert: bool | None
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Powerwall:
    """A Powerwall of the inventory. ``reconnection_time`` is in seconds.

    The grid state, the reconnection time and the diagnostics mean nothing while the site master runs.
    """

    serial: str
    part_number: str
    type: str
    updating: bool | None
    under_phase_detection: bool | None
    grid_state: str | None
    reconnection_time: float | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Powerwalls:
    """The inventory. ``refused`` is set where a check says that it could not be done beside a running site master.

    ``gateway_din`` is the gateway's own.
    """

    count: float | None
    gateway_din: str | None
    enumerating: bool | None
    grid_qualifying: bool | None
    checking_if_offgrid: bool | None
    grid_code_validating: bool | None
    powerwalls: tuple[Powerwall, ...]
    refused: bool


def parse_powerwalls(payload: Payload, read_at: float) -> Powerwalls:
    """While the site master runs, 21.x to 23.x let every commissioning check fail with a message that says so."""
    entries = [entry for entry in payload.child("powerwalls").elements() if entry.is_object]
    return Powerwalls(
        count=payload.length("powerwalls"),
        gateway_din=payload.text("gateway_din") or None,
        enumerating=payload.flag("enumerating"),
        grid_qualifying=payload.flag("grid_qualifying"),
        checking_if_offgrid=payload.flag("checking_if_offgrid"),
        grid_code_validating=payload.flag("grid_code_validating"),
        powerwalls=tuple(_powerwall(entry) for entry in entries),
        refused=any(_refused(entry) for entry in entries),
    )


def _powerwall(payload: Payload) -> Powerwall:
    return Powerwall(
        serial=payload.text("PackageSerialNumber") or "",
        part_number=payload.text("PackagePartNumber") or "",
        type=payload.text("type") or payload.text("Type") or "",
        updating=payload.flag("updating"),
        under_phase_detection=payload.flag("under_phase_detection"),
        grid_state=payload.word("grid_state", INVERTER_GRID_STATES),
        reconnection_time=payload.number("grid_reconnection_time_seconds"),
        diagnostics=tuple(_diagnostic(payload, name) for name in ("commissioning", "update")),
    )


def _diagnostic(powerwall: Payload, name: str) -> Diagnostic:
    payload = powerwall.child(f"{name}_diagnostic")
    return Diagnostic(
        name=name,
        alert=payload.flag("alert"),
        checks=tuple(
            Check(check.text("name") or "", check.word("status", CHECK_STATES))
            for check in payload.child("checks").elements()
        ),
    )


def _refused(powerwall: Payload) -> bool:
    checks = powerwall.child("commissioning_diagnostic").child("checks")
    return any(SITE_MASTER_RUNS in (check.text("message") or "") for check in checks.elements())
