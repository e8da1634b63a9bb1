"""Metrics of the batteries: state of charge, and each battery block.

Where two batteries give the same serial, both are yielded; the assembly of a probe keeps the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.source import OWNER_API, Source
from probe_exporter.readings import Readings
from probe_exporter.readings.battery import (
    INVERTER_GRID_STATES,
    INVERTER_STATES,
    SEQUENCE_STATES,
    Battery,
    SystemStatus,
)

_CHARGE = Source("system_status/soe", lambda readings: readings.soe, hardware="all")
_SYSTEM = Source(
    "system_status",
    lambda readings: readings.system_status,
    hardware=f"{OWNER_API}; firmware 21 and later",
)


def _battery(
    name: str,
    documentation: str,
    value: Callable[[Battery], float | None],
    kind: Literal["gauge", "counter"] = "gauge",
) -> Family:
    """Yield a sample for each battery; a disabled battery has no measurements."""

    def samples(system: SystemStatus) -> Iterator[Sample]:
        for battery in system.batteries:
            number = value(battery)
            if number is not None:
                yield (battery.serial,), float(number)

    return _SYSTEM.samples(name, documentation, ("serial",), samples, kind=kind)


def _state(name: str, documentation: str, word: Callable[[Battery], str | None]) -> Family:
    """Yield a sample of 1 for each battery with its state in a label, as the Go exporter has it."""

    def samples(system: SystemStatus) -> Iterator[Sample]:
        for battery in system.batteries:
            state = word(battery)
            if state:
                yield (battery.serial, state), 1.0

    return _SYSTEM.samples(name, documentation, ("serial", "state"), samples)


def _state_set(
    name: str, documentation: str, word: Callable[[Battery], str | None], known: tuple[str, ...]
) -> Family:
    """A state set for each battery."""

    def samples(system: SystemStatus) -> Iterator[Sample]:
        for battery in system.batteries:
            yield from state_set(word(battery), known, battery.serial)

    return _SYSTEM.samples(name, documentation, ("serial", "state"), samples)


def _info(readings: Readings) -> Iterator[Sample]:
    """Firmware before 21 has no system status; there the inventory names the batteries, without their versions."""
    if readings.system_status is not None:
        for battery in readings.system_status.batteries:
            yield (battery.serial, battery.part_number, battery.version), 1.0
    elif readings.powerwalls is not None and readings.status is not None and readings.status.before(21):
        for powerwall in readings.powerwalls.powerwalls:
            yield (powerwall.serial, powerwall.part_number, ""), 1.0


def _disabled(battery: Battery) -> bool | None:
    return None if battery.disabled_reasons is None else bool(battery.disabled_reasons)


def _disabled_reasons(system: SystemStatus) -> Iterator[Sample]:
    for battery in system.batteries:
        for reason in battery.disabled_reasons or ():
            yield (battery.serial, reason), 1.0


CHARGE: tuple[Family, ...] = (
    _CHARGE.value(
        "powerwall_charge_ratio",
        "State of charge as a ratio of the whole pack (system_status/soe: percentage).",
        lambda charge: charge.ratio,
    ),
    _CHARGE.value(
        "powerwall_charge_app_ratio",
        "State of charge as Tesla's app shows it (system_status/soe: percentage; the app hides the lowest 5 % of "
        "the pack), a ratio between 0 and 1.",
        lambda charge: charge.app_ratio,
    ),
)

BLOCKS: tuple[Family, ...] = (
    Family(
        "powerwall_battery_info",
        "gauge",
        "Identity of a battery (system_status: PackageSerialNumber, PackagePartNumber, version; before firmware 21 "
        "powerwalls, up to 10 min old and without a version), always 1.",
        "system_status",
        _info,
        ("serial", "partno", "version"),
        hardware=OWNER_API,
        also=("powerwalls", "status"),
    ),
    _battery(
        "powerwall_battery_full_pack_joules",
        "Capacity of the battery in J (system_status: nominal_full_pack_energy). A new pack has some 14.4 kWh where "
        "13.5 kWh are nominal, so that a health above 1 is normal.",
        lambda battery: battery.full_energy,
    ),
    _battery(
        "powerwall_battery_remaining_joules",
        "Energy left in the battery in J (system_status: nominal_energy_remaining).",
        lambda battery: battery.remaining_energy,
    ),
    _battery(
        "powerwall_battery_charge_ratio",
        "State of charge of the battery (system_status: nominal_energy_remaining by nominal_full_pack_energy).",
        lambda battery: battery.charge_ratio,
    ),
    _battery(
        "powerwall_battery_output_volts",
        "Voltage of the battery's inverter in V, AC (system_status: v_out).",
        lambda battery: battery.voltage,
    ),
    _battery(
        "powerwall_battery_output_amps",
        "Current of the battery in A on its DC side of some 50 V, + is charging (system_status: i_out): the other "
        "sign than powerwall_battery_output_power_watts. No sample for 0 A beside more than 100 VA.",
        lambda battery: battery.current,
    ),
    _battery(
        "powerwall_battery_output_hz",
        "Frequency of the battery's inverter in Hz (system_status: f_out).",
        lambda battery: battery.frequency,
    ),
    _battery(
        "powerwall_battery_output_power_watts",
        "Power of the battery in W, AC, + is discharging (system_status: p_out).",
        lambda battery: battery.power,
    ),
    _battery(
        "powerwall_battery_output_reactive_power_vars",
        "Reactive power of the battery in var (system_status: q_out).",
        lambda battery: battery.reactive_power,
    ),
    _battery(
        "powerwall_battery_charged_joules_total",
        "Energy charged in J over the battery's life (system_status: energy_charged).",
        lambda battery: battery.charged,
        "counter",
    ),
    _battery(
        "powerwall_battery_discharged_joules_total",
        "Energy discharged in J over the battery's life (system_status: energy_discharged).",
        lambda battery: battery.discharged,
        "counter",
    ),
    _battery(
        "powerwall_battery_off_grid",
        "1 if the battery is off grid (system_status: off_grid), otherwise 0.",
        lambda battery: battery.off_grid,
    ),
    _battery(
        "powerwall_battery_island_state",
        "1 if the battery's inverter forms voltage and frequency itself, islanded (system_status: vf_mode), "
        "otherwise 0; not to be confused with powerwall_island_state.",
        lambda battery: battery.islanded,
    ),
    _battery(
        "powerwall_battery_wobble_detected",
        "1 if the battery detects a wobble of the frequency (system_status: wobble_detected), otherwise 0.",
        lambda battery: battery.wobble_detected,
    ),
    _battery(
        "powerwall_battery_charge_power_clamped",
        "1 if the battery's charging power is clamped (system_status: charge_power_clamped), otherwise 0.",
        lambda battery: battery.charge_clamped,
    ),
    _battery(
        "powerwall_battery_backup_ready",
        "1 if the battery is ready for backup (system_status: backup_ready), otherwise 0.",
        lambda battery: battery.backup_ready,
    ),
    _state(
        "powerwall_battery_pinv_state",
        "State of the battery's inverter (system_status: pinv_state), one sample of 1.",
        lambda battery: battery.inverter_state,
    ),
    _state_set(
        "powerwall_battery_pinv_status",
        "State set of the battery's inverter (system_status: pinv_state).",
        lambda battery: battery.inverter_state,
        INVERTER_STATES,
    ),
    _state(
        "powerwall_battery_pinv_grid_state",
        "State of the grid by the battery's inverter (system_status: pinv_grid_state), one sample of 1.",
        lambda battery: battery.inverter_grid_state,
    ),
    _state_set(
        "powerwall_battery_pinv_grid_status",
        "State set of how the battery's inverter finds the grid (system_status: pinv_grid_state).",
        lambda battery: battery.inverter_grid_state,
        INVERTER_GRID_STATES,
    ),
    _state(
        "powerwall_battery_opseq_state",
        "State of the battery's operation sequence (system_status: OpSeqState), one sample of 1.",
        lambda battery: battery.sequence_state,
    ),
    _state_set(
        "powerwall_battery_opseq_status",
        "State set of the battery's operation sequence (system_status: OpSeqState).",
        lambda battery: battery.sequence_state,
        SEQUENCE_STATES,
    ),
    _battery(
        "powerwall_battery_disabled",
        "1 if the battery is disabled (system_status: disabled_reasons is not empty), otherwise 0.",
        _disabled,
    ),
    _SYSTEM.samples(
        "powerwall_battery_disabled_reason",
        "Why the battery is disabled (system_status: disabled_reasons), always 1; a sample for each reason.",
        ("serial", "reason"),
        _disabled_reasons,
    ),
)

FAMILIES: tuple[Family, ...] = CHARGE + BLOCKS
