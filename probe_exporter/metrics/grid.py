"""Metrics of the public grid: its state, grid services, and the faults that an inverter noticed."""

from __future__ import annotations

from collections.abc import Iterable

from probe_exporter.metrics.catalogue import Family, Sample, one, state_set
from probe_exporter.readings import Readings
from probe_exporter.readings.grid import GRID_STATES, GridFaults

_FAULT_HARDWARE = "Powerwall 2 and Powerwall+; firmware 20.49 and later; not Powerwall 3"


def _connected(readings: Readings) -> Iterable[Sample]:
    return () if readings.grid_status is None else one(readings.grid_status.connected)


def _status(readings: Readings) -> Iterable[Sample]:
    return () if readings.grid_status is None else state_set(readings.grid_status.state, GRID_STATES)


def _services(readings: Readings) -> Iterable[Sample]:
    return () if readings.grid_status is None else one(readings.grid_status.services_active)


def _island_status(readings: Readings) -> Iterable[Sample]:
    return (
        () if readings.system_status is None else state_set(readings.system_status.island_state, GRID_STATES)
    )


def _faults(readings: Readings) -> GridFaults:
    faults = readings.faults
    return GridFaults((), False) if faults is None else faults


def _fault_count(readings: Readings) -> Iterable[Sample]:
    faults = _faults(readings)
    return one(len(faults.faults) if faults.listed else None)


def _fault_info(readings: Readings) -> Iterable[Sample]:
    for fault in dict.fromkeys(
        (fault.alert, fault.ecu_type, fault.part_number, fault.serial, _word(fault.is_fault))
        for fault in _faults(readings).faults
    ):
        yield fault, 1.0


def _word(flag: bool | None) -> str:
    return "" if flag is None else str(flag).lower()


def _fault_timestamps(readings: Readings) -> Iterable[Sample]:
    """The newest of each alert of each device: an alert that comes again must not lose to its older entry."""
    newest: dict[tuple[str, ...], float] = {}
    for fault in _faults(readings).faults:
        if fault.happened is not None:
            key = (fault.alert, fault.ecu_type, fault.serial)
            newest[key] = max(fault.happened, newest.get(key, 0.0))
    return newest.items()


FAMILIES: tuple[Family, ...] = (
    Family(
        "powerwall_grid_connected",
        "gauge",
        "Whether the house hangs on the grid (system_status/grid_status: grid_status), 0 or 1; transitions count as 0.",
        "system_status/grid_status",
        _connected,
    ),
    Family(
        "powerwall_grid_status",
        "gauge",
        "State set of the connection to the grid (system_status/grid_status: grid_status).",
        "system_status/grid_status",
        _status,
        ("state",),
    ),
    Family(
        "powerwall_grid_services_active",
        "gauge",
        "Whether a utility or a virtual power plant controls the battery (system_status/grid_status: "
        "grid_services_active), 0 or 1.",
        "system_status/grid_status",
        _services,
        hardware="firmware 20.49 and later",
    ),
    Family(
        "powerwall_system_island_status",
        "gauge",
        "State set of the connection to the grid as the site master sees it (system_status: system_island_state).",
        "system_status",
        _island_status,
        ("state",),
        hardware="Powerwall 2 and Powerwall+; not Powerwall 3; firmware 21 and later",
    ),
    Family(
        "powerwall_grid_faults",
        "gauge",
        "How many entries the list of grid faults has (system_status: grid_faults, or system_status/grid_faults). "
        "Entries stay for weeks, so this is no count of faults that are active.",
        "system_status",
        _fault_count,
        hardware=_FAULT_HARDWARE,
    ),
    Family(
        "powerwall_grid_fault_info",
        "gauge",
        "An alert in the list of grid faults, with the device that noticed it (system_status: grid_faults, or "
        "system_status/grid_faults), always 1. Entries stay for weeks: powerwall_grid_fault_timestamp_seconds "
        "says when.",
        "system_status",
        _fault_info,
        ("alert", "ecu_type", "part_number", "serial", "is_fault"),
        hardware=_FAULT_HARDWARE,
    ),
    Family(
        "powerwall_grid_fault_timestamp_seconds",
        "gauge",
        "When a device last noticed this alert, in Unix seconds (system_status: grid_faults[].timestamp, or "
        "system_status/grid_faults).",
        "system_status",
        _fault_timestamps,
        ("alert", "ecu_type", "serial"),
        hardware=_FAULT_HARDWARE,
    ),
)
