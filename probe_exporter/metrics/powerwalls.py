"""Metrics of the inventory of Powerwalls.

A Powerwall's state of the grid and of its checks is valid only while the site master is stopped; else it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.source import OWNER_API, TEN_MINUTES, Source
from probe_exporter.readings import Readings
from probe_exporter.readings.battery import CHECK_STATES, INVERTER_GRID_STATES, Battery, Powerwall, Powerwalls


def _believable(readings: Readings) -> Powerwalls | None:
    """Return the inventory while its states of the grid and of checks are valid, else None.

    It is read less often than the site master: an inventory with refused checks is from before the stop.
    """
    if readings.sitemaster is None or readings.sitemaster.running is not False:
        return None
    return None if readings.powerwalls is None or readings.powerwalls.refused else readings.powerwalls


_INVENTORY = Source("powerwalls", lambda readings: readings.powerwalls, TEN_MINUTES, "site")
_STOPPED = Source(
    "powerwalls",
    _believable,
    f" Only while the site master is stopped.{TEN_MINUTES}",
    "site",
    also=("sitemaster",),
)


def _powerwall(name: str, documentation: str, value: Callable[[Powerwall], float | None]) -> Family:
    """Yield a sample for each Powerwall."""

    def samples(inventory: Powerwalls) -> Iterator[Sample]:
        for powerwall in inventory.powerwalls:
            number = value(powerwall)
            if number is not None:
                yield (powerwall.serial,), float(number)

    return _INVENTORY.samples(name, documentation, ("serial",), samples)


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


def _grid_status(inventory: Powerwalls) -> Iterator[Sample]:
    for powerwall in inventory.powerwalls:
        yield from state_set(powerwall.grid_state, INVERTER_GRID_STATES, powerwall.serial)


def _reconnection(inventory: Powerwalls) -> Iterator[Sample]:
    for powerwall in inventory.powerwalls:
        if powerwall.reconnection_time is not None:
            yield (powerwall.serial,), powerwall.reconnection_time


def _alerts(inventory: Powerwalls) -> Iterator[Sample]:
    for powerwall in inventory.powerwalls:
        for diagnostic in powerwall.diagnostics:
            if diagnostic.alert is not None:
                yield (powerwall.serial, diagnostic.name), float(diagnostic.alert)


def _checks(inventory: Powerwalls) -> Iterator[Sample]:
    for powerwall in inventory.powerwalls:
        for diagnostic in powerwall.diagnostics:
            for check in diagnostic.checks:
                yield from state_set(check.state, CHECK_STATES, powerwall.serial, diagnostic.name, check.name)


FAMILIES: tuple[Family, ...] = (
    _INVENTORY.value(
        "powerwall_batteries_configured",
        "Number of Powerwalls in the inventory (powerwalls: powerwalls); more than powerwall_batteries_available "
        "where one dropped out.",
        lambda powerwalls: powerwalls.count,
    ),
    _INVENTORY.value(
        "powerwall_battery_enumerating",
        "1 if the gateway is searching for its Powerwalls (powerwalls: enumerating), otherwise 0.",
        lambda powerwalls: powerwalls.enumerating,
    ),
    _INVENTORY.value(
        "powerwall_batteries_grid_qualifying",
        "1 if the Powerwalls are qualifying the grid (powerwalls: grid_qualifying), otherwise 0.",
        lambda powerwalls: powerwalls.grid_qualifying,
    ),
    _INVENTORY.value(
        "powerwall_batteries_checking_if_offgrid",
        "1 if the Powerwalls are checking if they are off grid (powerwalls: checking_if_offgrid), otherwise 0.",
        lambda powerwalls: powerwalls.checking_if_offgrid,
    ),
    _INVENTORY.value(
        "powerwall_grid_code_validating",
        "1 if the grid code is being validated (powerwalls: grid_code_validating), otherwise 0.",
        lambda powerwalls: powerwalls.grid_code_validating,
    ),
    Family(
        "powerwall_battery_type_info",
        "gauge",
        "Type of a Powerwall, ACPW or SolarPowerwall, in 1.x acpw (powerwalls: type; system_status: Type), always 1."
        + TEN_MINUTES,
        "powerwalls",
        _types,
        ("serial", "type"),
        "site",
        OWNER_API,
        also=("system_status",),
    ),
    _powerwall(
        "powerwall_battery_updating",
        "1 if the Powerwall's firmware is being updated (powerwalls: updating), otherwise 0.",
        lambda powerwall: powerwall.updating,
    ),
    _powerwall(
        "powerwall_battery_under_phase_detection",
        "1 if the Powerwall's phase is being detected (powerwalls: under_phase_detection), otherwise 0.",
        lambda powerwall: powerwall.under_phase_detection,
    ),
    _STOPPED.samples(
        "powerwall_battery_grid_status",
        "State set of how the Powerwall finds the grid (powerwalls: grid_state).",
        ("serial", "state"),
        _grid_status,
    ),
    _STOPPED.samples(
        "powerwall_battery_grid_reconnection_seconds",
        "Seconds until the Powerwall connects to the grid again (powerwalls: grid_reconnection_time_seconds).",
        ("serial",),
        _reconnection,
    ),
    _STOPPED.samples(
        "powerwall_battery_diagnostic_alert",
        "1 if a diagnostic of the Powerwall, commissioning or update, gives an alert (powerwalls: "
        "commissioning_diagnostic.alert, update_diagnostic.alert), otherwise 0.",
        ("serial", "diagnostic"),
        _alerts,
        hardware=f"{OWNER_API}; firmware 21 and later",
    ),
    _STOPPED.samples(
        "powerwall_battery_diagnostic_check_status",
        "State set of a check of the Powerwall, commissioning or update (powerwalls: "
        "commissioning_diagnostic.checks, update_diagnostic.checks).",
        ("serial", "diagnostic", "check", "state"),
        _checks,
    ),
)
