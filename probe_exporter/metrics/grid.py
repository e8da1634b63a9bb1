"""Metrics of the public grid: its state, grid services, and the faults that an inverter detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.source import OWNER_API, Source
from probe_exporter.readings.grid import GRID_STATES, GridFault, GridFaults

_GRID = Source("system_status/grid_status", lambda readings: readings.grid_status, hardware="all")
_SYSTEM = Source(
    "system_status", lambda readings: readings.system_status, hardware=f"{OWNER_API}; firmware 21 and later"
)
_FAULTS = Source(
    "system_status",
    lambda readings: readings.faults,
    hardware=f"{OWNER_API}; firmware 20.49 and later",
    also=("grid_faults",),
)


def _fault_info(faults: GridFaults) -> Iterable[Sample]:
    for fault in dict.fromkeys(
        (fault.alert, fault.ecu_type, fault.part_number, fault.serial, _word(fault.is_fault))
        for fault in faults.faults
    ):
        yield fault, 1.0


def _word(flag: bool | None) -> str:
    return "" if flag is None else str(flag).lower()


def _of_newest(name: str, documentation: str, value: Callable[[GridFault], float | None]) -> Family:
    """A value of the newest entry of each alert of each device: a repeated alert must show its newest value."""

    def samples(faults: GridFaults) -> Iterable[Sample]:
        newest: dict[tuple[str, str, str], GridFault] = {}
        for fault in sorted(faults.faults, key=lambda fault: fault.happened or 0.0, reverse=True):
            newest.setdefault((fault.alert, fault.ecu_type, fault.serial), fault)
        for key, fault in newest.items():
            number = value(fault)
            if number is not None:
                yield key, number

    return _FAULTS.samples(name, documentation, ("alert", "ecu_type", "serial"), samples)


FAMILIES: tuple[Family, ...] = (
    _GRID.value(
        "powerwall_grid_connected",
        "1 if the home is on the grid (system_status/grid_status: grid_status), otherwise 0; transitions count as 0.",
        lambda grid: grid.connected,
    ),
    _GRID.states(
        "powerwall_grid_status",
        "State set of the connection to the grid (system_status/grid_status: grid_status).",
        lambda grid: grid.state,
        GRID_STATES,
    ),
    _GRID.value(
        "powerwall_grid_services_active",
        "1 if a utility or a virtual power plant controls the battery (system_status/grid_status: "
        "grid_services_active), otherwise 0.",
        lambda grid: grid.services_active,
        hardware="firmware 20.49 and later",
    ),
    _SYSTEM.states(
        "powerwall_system_island_status",
        "State set of the connection to the grid as the site master sees it (system_status: system_island_state).",
        lambda system: system.island_state,
        GRID_STATES,
    ),
    _FAULTS.value(
        "powerwall_grid_faults",
        "Number of entries in the list of grid faults (system_status: grid_faults, or system_status/grid_faults). "
        "Entries stay for weeks, so this does not count the active faults.",
        lambda faults: len(faults.faults) if faults.listed else None,
    ),
    _FAULTS.samples(
        "powerwall_grid_fault_info",
        "An alert in the list of grid faults, with the device that noticed it (system_status: grid_faults, or "
        "system_status/grid_faults), always 1. Entries stay for weeks: powerwall_grid_fault_timestamp_seconds "
        "says when.",
        ("alert", "ecu_type", "part_number", "serial", "is_fault"),
        _fault_info,
    ),
    _of_newest(
        "powerwall_grid_fault_timestamp_seconds",
        "Time when a device last noticed this alert, in Unix seconds (system_status: grid_faults[].timestamp, or "
        "system_status/grid_faults).",
        lambda fault: fault.happened,
    ),
    _of_newest(
        "powerwall_grid_fault_hertz",
        "The frequency in Hz that a device measured when it last noticed this alert (system_status: "
        "grid_faults[].decoded_alert, or system_status/grid_faults).",
        lambda fault: fault.frequency,
    ),
    _of_newest(
        "powerwall_grid_fault_volts",
        "The voltage in V that a device measured when it last noticed this alert (system_status: "
        "grid_faults[].decoded_alert, or system_status/grid_faults).",
        lambda fault: fault.voltage,
    ),
)
