"""Metrics of the inventory of Powerwalls.

What a Powerwall says of the grid and of its checks means nothing while the site master runs, and is left out then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from probe_exporter.metrics.catalogue import Family, Sample, one, state_set
from probe_exporter.readings import Readings
from probe_exporter.readings.battery import CHECK_STATES, INVERTER_GRID_STATES, Battery, Powerwall, Powerwalls

_SERIAL = ("serial",)
_TEN_MINUTES = " Up to 10 min old."
_STOPPED = " Only while the site master is stopped: it means nothing else." + _TEN_MINUTES
_HARDWARE = "Powerwall 2 and Powerwall+; not Powerwall 3"


def _inventory_family(
    name: str,
    documentation: str,
    read: Callable[[Readings], Iterable[Sample]],
    labels: tuple[str, ...],
    hardware: str = _HARDWARE,
) -> Family:
    return Family(name, "gauge", documentation, "powerwalls", read, labels, "site", hardware)


def _inventory(name: str, documentation: str, value: Callable[[Powerwalls], float | None]) -> Family:
    """A family without labels from ``powerwalls``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.powerwalls is None else one(value(readings.powerwalls))

    return _inventory_family(name, documentation + _TEN_MINUTES, read, ())


def _powerwall(name: str, documentation: str, value: Callable[[Powerwall], float | None]) -> Family:
    """One sample a Powerwall of the inventory."""

    def read(readings: Readings) -> Iterator[Sample]:
        if readings.powerwalls is not None:
            for powerwall in readings.powerwalls.powerwalls:
                number = value(powerwall)
                if number is not None:
                    yield (powerwall.serial,), float(number)

    return _inventory_family(name, documentation + _TEN_MINUTES, read, _SERIAL)


def _types(readings: Readings) -> Iterator[Sample]:
    """The inventory names the type; a battery block mostly leaves it empty, and is only asked without inventory."""
    named: Iterable[Powerwall | Battery] = ()
    if readings.powerwalls is not None and readings.powerwalls.powerwalls:
        named = readings.powerwalls.powerwalls
    elif readings.system_status is not None:
        named = readings.system_status.batteries
    for battery in named:
        if battery.type:
            yield (battery.serial, battery.type), 1.0


def _stopped(readings: Readings) -> tuple[Powerwall, ...]:
    """The Powerwalls, while what they say of the grid and of their checks can be believed."""
    if readings.powerwalls is None or readings.powerwalls.refused:
        return ()
    if readings.sitemaster is None or readings.sitemaster.running is not False:
        return ()
    return readings.powerwalls.powerwalls


def _grid_status(readings: Readings) -> Iterator[Sample]:
    for powerwall in _stopped(readings):
        yield from state_set(powerwall.grid_state, INVERTER_GRID_STATES, powerwall.serial)


def _reconnection(readings: Readings) -> Iterator[Sample]:
    for powerwall in _stopped(readings):
        if powerwall.reconnection_time is not None:
            yield (powerwall.serial,), powerwall.reconnection_time


def _alerts(readings: Readings) -> Iterator[Sample]:
    for powerwall in _stopped(readings):
        for diagnostic in powerwall.diagnostics:
            if diagnostic.alert is not None:
                yield (powerwall.serial, diagnostic.name), float(diagnostic.alert)


def _checks(readings: Readings) -> Iterator[Sample]:
    for powerwall in _stopped(readings):
        for diagnostic in powerwall.diagnostics:
            for check in diagnostic.checks:
                yield from state_set(check.state, CHECK_STATES, powerwall.serial, diagnostic.name, check.name)


FAMILIES: tuple[Family, ...] = (
    _inventory(
        "powerwall_batteries_configured",
        "How many Powerwalls the inventory lists (powerwalls: powerwalls); more than powerwall_batteries_available "
        "where one dropped out.",
        lambda powerwalls: powerwalls.count,
    ),
    _inventory(
        "powerwall_battery_enumerating",
        "Whether the gateway is looking for its Powerwalls (powerwalls: enumerating), 0 or 1.",
        lambda powerwalls: powerwalls.enumerating,
    ),
    _inventory(
        "powerwall_batteries_grid_qualifying",
        "Whether the Powerwalls are qualifying the grid (powerwalls: grid_qualifying), 0 or 1.",
        lambda powerwalls: powerwalls.grid_qualifying,
    ),
    _inventory(
        "powerwall_batteries_checking_if_offgrid",
        "Whether the Powerwalls are checking if they are off grid (powerwalls: checking_if_offgrid), 0 or 1.",
        lambda powerwalls: powerwalls.checking_if_offgrid,
    ),
    _inventory(
        "powerwall_grid_code_validating",
        "Whether the grid code is being validated (powerwalls: grid_code_validating), 0 or 1.",
        lambda powerwalls: powerwalls.grid_code_validating,
    ),
    _inventory_family(
        "powerwall_battery_type_info",
        "Type of a Powerwall, ACPW or SolarPowerwall, in 1.x acpw (powerwalls: type; system_status: Type), always 1."
        + _TEN_MINUTES,
        _types,
        ("serial", "type"),
    ),
    _powerwall(
        "powerwall_battery_updating",
        "Whether the Powerwall's firmware is being updated (powerwalls: updating), 0 or 1.",
        lambda powerwall: powerwall.updating,
    ),
    _powerwall(
        "powerwall_battery_under_phase_detection",
        "Whether the Powerwall's phase is being detected (powerwalls: under_phase_detection), 0 or 1.",
        lambda powerwall: powerwall.under_phase_detection,
    ),
    _inventory_family(
        "powerwall_battery_grid_status",
        "State set of how the Powerwall finds the grid (powerwalls: grid_state)." + _STOPPED,
        _grid_status,
        ("serial", "state"),
    ),
    _inventory_family(
        "powerwall_battery_grid_reconnection_seconds",
        "Seconds until the Powerwall connects to the grid again (powerwalls: grid_reconnection_time_seconds)."
        + _STOPPED,
        _reconnection,
        _SERIAL,
    ),
    _inventory_family(
        "powerwall_battery_diagnostic_alert",
        "Whether a diagnostic of the Powerwall, commissioning or update, gives an alert (powerwalls: "
        "commissioning_diagnostic.alert, update_diagnostic.alert), 0 or 1." + _STOPPED,
        _alerts,
        ("serial", "diagnostic"),
        "Powerwall 2 and Powerwall+, firmware 21 and later; not Powerwall 3",
    ),
    _inventory_family(
        "powerwall_battery_diagnostic_check_status",
        "State set of a check of the Powerwall, commissioning or update (powerwalls: "
        "commissioning_diagnostic.checks, update_diagnostic.checks)." + _STOPPED,
        _checks,
        ("serial", "diagnostic", "check", "state"),
    ),
)
