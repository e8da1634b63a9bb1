"""Metrics of the battery system as a whole: capacity, set points, limits, what is available and controlled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, one, state_set
from probe_exporter.readings import Readings
from probe_exporter.readings.battery import COMMAND_SOURCES, SystemStatus
from probe_exporter.readings.grid import GRID_STATES

_HARDWARE = "Powerwall 2 and Powerwall+, firmware 21 and later; not Powerwall 3"


def _system(name: str, documentation: str, value: Callable[[SystemStatus], float | None]) -> Family:
    """A family without labels from ``system_status``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.system_status is None else one(value(readings.system_status))

    return Family(name, "gauge", documentation, "system_status", read, hardware=_HARDWARE)


def _island_state(readings: Readings) -> Iterable[Sample]:
    if readings.system_status is not None and readings.system_status.island_state:
        yield (readings.system_status.island_state,), 1.0


def _island_status(readings: Readings) -> Iterable[Sample]:
    return (
        () if readings.system_status is None else state_set(readings.system_status.island_state, GRID_STATES)
    )


def _command_source(readings: Readings) -> Iterable[Sample]:
    system = readings.system_status
    return () if system is None else state_set(system.command_source, COMMAND_SOURCES)


FAMILIES: tuple[Family, ...] = (
    _system(
        "powerwall_full_pack_joules",
        "Capacity of all batteries in J (system_status: nominal_full_pack_energy).",
        lambda system: system.full_energy,
    ),
    _system(
        "powerwall_remaining_joules",
        "Energy left in all batteries in J (system_status: nominal_energy_remaining).",
        lambda system: system.remaining_energy,
    ),
    Family(
        "powerwall_island_state",
        "gauge",
        "The connection to the grid (system_status: system_island_state), one sample of 1.",
        "system_status",
        _island_state,
        ("state",),
        hardware=_HARDWARE,
    ),
    Family(
        "powerwall_system_island_status",
        "gauge",
        "State set of the connection to the grid (system_status: system_island_state).",
        "system_status",
        _island_status,
        ("state",),
        hardware=_HARDWARE,
    ),
    Family(
        "powerwall_command_source",
        "gauge",
        "State set of who commands the batteries (system_status: command_source); Configuration is the owner's "
        "settings.",
        "system_status",
        _command_source,
        ("state",),
        hardware=_HARDWARE,
    ),
    _system(
        "powerwall_grid_services_power_watts",
        "Power given to grid services in W (system_status: grid_services_power).",
        lambda system: system.grid_services_power,
    ),
    _system(
        "powerwall_battery_target_power_watts",
        "Power that the site master asks of the batteries in W, + is discharging (system_status: "
        "battery_target_power).",
        lambda system: system.target_power,
    ),
    _system(
        "powerwall_battery_target_reactive_power_vars",
        "Reactive power that the site master asks of the batteries in var (system_status: "
        "battery_target_reactive_power).",
        lambda system: system.target_reactive_power,
    ),
    _system(
        "powerwall_max_charge_power_watts",
        "Power at which the batteries may charge now in W (system_status: max_charge_power).",
        lambda system: system.max_charge_power,
    ),
    _system(
        "powerwall_max_discharge_power_watts",
        "Power at which the batteries may discharge now in W (system_status: max_discharge_power).",
        lambda system: system.max_discharge_power,
    ),
    _system(
        "powerwall_max_apparent_power_voltamperes",
        "Apparent power that the batteries may give now in VA (system_status: max_apparent_power).",
        lambda system: system.max_apparent_power,
    ),
    _system(
        "powerwall_instantaneous_max_charge_power_watts",
        "Power at which the batteries could charge for a moment in W (system_status: "
        "instantaneous_max_charge_power).",
        lambda system: system.instantaneous_max_charge_power,
    ),
    _system(
        "powerwall_instantaneous_max_discharge_power_watts",
        "Power at which the batteries could discharge for a moment in W (system_status: "
        "instantaneous_max_discharge_power).",
        lambda system: system.instantaneous_max_discharge_power,
    ),
    _system(
        "powerwall_ffr_power_availability_high_watts",
        "Power to spare for fast frequency response in W, high side (system_status: ffr_power_availability_high).",
        lambda system: system.ffr_power_high,
    ),
    _system(
        "powerwall_ffr_power_availability_low_watts",
        "Power to spare for fast frequency response in W, low side (system_status: ffr_power_availability_low).",
        lambda system: system.ffr_power_low,
    ),
    _system(
        "powerwall_load_charge_constraint_watts",
        "Limit on charging because of the load in W (system_status: load_charge_constraint).",
        lambda system: system.load_charge_constraint,
    ),
    _system(
        "powerwall_max_sustained_ramp_rate_watts_per_second",
        "How fast the power of the batteries may change in W/s (system_status: max_sustained_ramp_rate; the unit is "
        "not documented).",
        lambda system: system.ramp_rate,
    ),
    _system(
        "powerwall_solar_real_power_limit_watts",
        "Limit on the solar power in W (system_status: solar_real_power_limit); no sample where there is no limit.",
        lambda system: system.solar_limit,
    ),
    _system(
        "powerwall_auxiliary_load_watts",
        "Auxiliary load in W (system_status: auxiliary_load).",
        lambda system: system.auxiliary_load,
    ),
    _system(
        "powerwall_inverter_nominal_usable_power_watts",
        "Nominal power of the usable inverters in W (system_status: inverter_nominal_usable_power).",
        lambda system: system.inverter_usable_power,
    ),
    _system(
        "powerwall_batteries_available",
        "How many batteries are available (system_status: available_blocks).",
        lambda system: system.batteries_available,
    ),
    _system(
        "powerwall_batteries_controlled",
        "How many batteries the site master controls (system_status: blocks_controlled).",
        lambda system: system.batteries_controlled,
    ),
    _system(
        "powerwall_enable_lines_high",
        "Whether the switches of all batteries are on (system_status: all_enable_lines_high), 0 or 1.",
        lambda system: system.enable_lines_high,
    ),
    _system(
        "powerwall_last_toggle_timestamp_seconds",
        "When the system was last switched on or off, in Unix seconds (system_status: last_toggle_timestamp).",
        lambda system: system.last_toggle,
    ),
)
