"""The configuration of the site by its installer: ratings, grid code, name, solar inverters, generators.

The gateway uses kWh and kW here; values are in J, W, V, A and Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.payload import Payload

_KILOWATT: Final = 1000.0
_KILOWATT_HOUR: Final = 3.6e6
NET_METER_MODES = ("battery_ok", "pv_only", "never")

_UNLIMITED: Final = 1e9
"""Kilowatts that mean no limit, of either sign."""


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Ratings and the grid code with its attributes; texts are "" where the gateway has none.

    Limits of the site meter are None where there is none.
    """

    nominal_energy: float | None
    max_energy: float | None
    nominal_power: float | None
    max_power: float | None
    meter_max_power: float | None
    meter_min_power: float | None
    panel_max_current: float | None
    measured_frequency: float | None
    net_meter_mode: str | None
    grid_voltage: float | None
    grid_frequency: float | None
    site_name: str
    timezone: str
    grid_code: str
    country: str
    state: str
    utility: str
    distributor: str
    retailer: str
    region: str
    phase: str


def parse_site_info(payload: Payload, read_at: float) -> SiteInfo:
    """Up to firmware 1.46 the grid code is a string with its attributes beside it, from 1.47 an object."""
    grid = payload.child("grid_code")
    if not grid.is_object:
        grid = payload
    return SiteInfo(
        nominal_energy=payload.number("nominal_system_energy_kWh", _KILOWATT_HOUR),
        max_energy=payload.number("max_system_energy_kWh", _KILOWATT_HOUR) or None,  # 0 in 1.4x: not reported
        nominal_power=payload.number("nominal_system_power_kW", _KILOWATT),
        max_power=payload.number("max_system_power_kW", _KILOWATT) or None,
        meter_max_power=_limit(payload, "max_site_meter_power_kW"),
        meter_min_power=_limit(payload, "min_site_meter_power_kW"),
        panel_max_current=payload.number("panel_max_current"),
        measured_frequency=_measured(payload, "measured_frequency"),
        net_meter_mode=payload.word("net_meter_mode", NET_METER_MODES),
        grid_voltage=grid.number("grid_voltage_setting"),
        grid_frequency=grid.number("grid_freq_setting"),
        site_name=payload.text("site_name") or "",
        timezone=payload.text("timezone") or "",
        grid_code=grid.text("grid_code") or "",
        country=grid.text("country") or "",
        state=grid.text("state") or "",
        utility=grid.text("utility") or "",
        distributor=grid.text("distributor") or "",
        retailer=grid.text("retailer") or "",
        region=grid.text("region") or "",
        phase=grid.text("grid_phase_setting") or "",
    )


def _limit(payload: Payload, key: str) -> float | None:
    kilowatts = payload.number(key)
    return None if kilowatts is None or abs(kilowatts) >= _UNLIMITED else kilowatts * _KILOWATT


def _measured(payload: Payload, key: str) -> float | None:
    return payload.number(key) or None


@dataclass(frozen=True, slots=True)
class SiteName:
    """The name that the owner gave the site, and its time zone; "" where not reported."""

    name: str
    timezone: str


def parse_site_name(payload: Payload, read_at: float) -> SiteName:
    """The name is the owner's text: it goes into a label, never into the name of a metric."""
    return SiteName(payload.text("site_name") or "", payload.text("timezone") or "")


@dataclass(frozen=True, slots=True)
class SolarInverter:
    """A configured solar inverter; ``rating`` in W."""

    brand: str
    model: str
    rating: float | None


@dataclass(frozen=True, slots=True)
class Solars:
    """The configured solar inverters, in the gateway's order."""

    inverters: tuple[SolarInverter, ...]


def parse_solars(payload: Payload, read_at: float) -> Solars:
    """Return the inverters as an installer typed them in, not as measured."""
    return Solars(
        tuple(
            SolarInverter(
                element.text("brand") or "", element.text("model") or "", element.number("power_rating_watts")
            )
            for element in payload.elements()
        )
    )


@dataclass(frozen=True, slots=True)
class Generators:
    """The number of configured generators, and their switching mode; None where unknown."""

    count: int | None
    disconnect_type: str | None


def parse_generators(payload: Payload, read_at: float) -> Generators:
    """The power of a generator is an aggregates category; here is only whether there is one."""
    return Generators(payload.length("generators"), payload.text("disconnect_type"))
