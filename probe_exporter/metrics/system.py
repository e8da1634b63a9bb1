"""Metrics of the battery system as a whole: capacity, set points, limits, what is available and controlled."""

from __future__ import annotations

from probe_exporter.metrics.catalogue import Family
from probe_exporter.metrics.source import OWNER_API, Source
from probe_exporter.readings.battery import COMMAND_SOURCES

_SYSTEM = Source(
    "system_status",
    lambda readings: readings.system_status,
    hardware=f"{OWNER_API}; firmware 21 and later",
)

FAMILIES: tuple[Family, ...] = (
    _SYSTEM.value(
        "powerwall_full_pack_joules",
        "Capacity of all batteries in J (system_status: nominal_full_pack_energy).",
        lambda system: system.full_energy,
    ),
    _SYSTEM.value(
        "powerwall_remaining_joules",
        "Energy left in all batteries in J (system_status: nominal_energy_remaining).",
        lambda system: system.remaining_energy,
    ),
    _SYSTEM.word(
        "powerwall_island_state",
        "The connection to the grid (system_status: system_island_state), one sample of 1.",
        "state",
        lambda system: system.island_state,
    ),
    _SYSTEM.states(
        "powerwall_command_source",
        "State set of who commands the batteries (system_status: command_source); Configuration is the owner's "
        "settings.",
        lambda system: system.command_source,
        COMMAND_SOURCES,
    ),
    _SYSTEM.value(
        "powerwall_grid_services_power_watts",
        "Power given to grid services in W (system_status: grid_services_power).",
        lambda system: system.grid_services_power,
    ),
    _SYSTEM.value(
        "powerwall_battery_target_power_watts",
        "Power that the site master asks of the batteries in W, + is discharging (system_status: "
        "battery_target_power).",
        lambda system: system.target_power,
    ),
    _SYSTEM.value(
        "powerwall_battery_target_reactive_power_vars",
        "Reactive power that the site master asks of the batteries in var (system_status: "
        "battery_target_reactive_power).",
        lambda system: system.target_reactive_power,
    ),
    _SYSTEM.value(
        "powerwall_max_charge_power_watts",
        "Power at which the batteries may charge now in W (system_status: max_charge_power).",
        lambda system: system.max_charge_power,
    ),
    _SYSTEM.value(
        "powerwall_max_discharge_power_watts",
        "Power at which the batteries may discharge now in W (system_status: max_discharge_power).",
        lambda system: system.max_discharge_power,
    ),
    _SYSTEM.value(
        "powerwall_max_apparent_power_voltamperes",
        "Apparent power that the batteries may give now in VA (system_status: max_apparent_power).",
        lambda system: system.max_apparent_power,
    ),
    _SYSTEM.value(
        "powerwall_instantaneous_max_charge_power_watts",
        "Power at which the batteries could charge for a moment in W (system_status: "
        "instantaneous_max_charge_power).",
        lambda system: system.instantaneous_max_charge_power,
    ),
    _SYSTEM.value(
        "powerwall_instantaneous_max_discharge_power_watts",
        "Power at which the batteries could discharge for a moment in W (system_status: "
        "instantaneous_max_discharge_power).",
        lambda system: system.instantaneous_max_discharge_power,
    ),
    _SYSTEM.value(
        "powerwall_instantaneous_max_apparent_power_voltamperes",
        "Apparent power that the batteries could give for a moment in VA (system_status: "
        "instantaneous_max_apparent_power).",
        lambda system: system.instantaneous_max_apparent_power,
        hardware=f"{OWNER_API}; firmware 22 and later",
    ),
    _SYSTEM.value(
        "powerwall_ffr_power_availability_high_watts",
        "Power to spare for fast frequency response in W, high side (system_status: ffr_power_availability_high).",
        lambda system: system.ffr_power_high,
    ),
    _SYSTEM.value(
        "powerwall_ffr_power_availability_low_watts",
        "Power to spare for fast frequency response in W, low side (system_status: ffr_power_availability_low).",
        lambda system: system.ffr_power_low,
    ),
    _SYSTEM.value(
        "powerwall_load_charge_constraint_watts",
        "Limit on charging because of the load in W (system_status: load_charge_constraint).",
        lambda system: system.load_charge_constraint,
    ),
    _SYSTEM.value(
        "powerwall_max_sustained_ramp_rate_watts_per_second",
        "Highest rate of change of the batteries' power, in W/s (system_status: max_sustained_ramp_rate; the unit is "
        "not documented).",
        lambda system: system.ramp_rate,
    ),
    _SYSTEM.value(
        "powerwall_solar_real_power_limit_watts",
        "Limit on the solar power in W (system_status: solar_real_power_limit); no sample where there is no limit.",
        lambda system: system.solar_limit,
    ),
    _SYSTEM.value(
        "powerwall_auxiliary_load_watts",
        "Auxiliary load in W (system_status: auxiliary_load).",
        lambda system: system.auxiliary_load,
    ),
    _SYSTEM.value(
        "powerwall_inverter_nominal_usable_power_watts",
        "Nominal power of the usable inverters in W (system_status: inverter_nominal_usable_power).",
        lambda system: system.inverter_usable_power,
    ),
    _SYSTEM.value(
        "powerwall_batteries_available",
        "Number of available batteries (system_status: available_blocks).",
        lambda system: system.batteries_available,
    ),
    _SYSTEM.value(
        "powerwall_batteries_controlled",
        "Number of batteries that the site master controls (system_status: blocks_controlled).",
        lambda system: system.batteries_controlled,
    ),
    _SYSTEM.value(
        "powerwall_enable_lines_high",
        "1 if the switches of all batteries are on (system_status: all_enable_lines_high), otherwise 0.",
        lambda system: system.enable_lines_high,
    ),
    _SYSTEM.value(
        "powerwall_last_toggle_timestamp_seconds",
        "Time when the system was last switched on or off, in Unix seconds (system_status: last_toggle_timestamp).",
        lambda system: system.last_toggle,
    ),
)
