"""Metrics of what was configured when the site was built: ratings, grid code, name, inverters, generators."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, one
from probe_exporter.readings import Readings
from probe_exporter.readings.site import SiteInfo

_TEN_MINUTES = " Up to 10 min old."
_OWNER_API = "Powerwall 2 and Powerwall+; not Powerwall 3"


def _site(
    name: str, documentation: str, value: Callable[[SiteInfo], float | None], hardware: str = _OWNER_API
) -> Family:
    """A family without labels from ``site_info``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.site_info is None else one(value(readings.site_info))

    return Family(
        name,
        "gauge",
        f"{documentation}{_TEN_MINUTES}",
        "site_info",
        read,
        (),
        "site",
        hardware,
    )


def _info(readings: Readings) -> Iterable[Sample]:
    """The texts of ``site_info``; the name and zone of ``site_info/site_name`` where that lacks them."""
    info, named = readings.site_info, readings.site_name
    name = (info.site_name if info else "") or (named.name if named else "")
    timezone = (info.timezone if info else "") or (named.timezone if named else "")
    grid = ("",) * 8
    if info is not None:
        grid = (
            info.grid_code,
            info.country,
            info.state,
            info.utility,
            info.distributor,
            info.retailer,
            info.region,
            info.phase,
        )
    labels = (name, timezone, *grid)
    return ((labels, 1.0),) if any(labels) else ()


def _solar_info(readings: Readings) -> Iterable[Sample]:
    if readings.solars is not None:
        for index, inverter in enumerate(readings.solars.inverters):
            if inverter.brand or inverter.model:
                yield (str(index), inverter.brand, inverter.model), 1.0


def _solar_rating(readings: Readings) -> Iterable[Sample]:
    if readings.solars is not None:
        for index, inverter in enumerate(readings.solars.inverters):
            if inverter.rating is not None:
                yield (str(index),), inverter.rating


def _generators(readings: Readings) -> Iterable[Sample]:
    return () if readings.generators is None else one(readings.generators.count)


def _generator_info(readings: Readings) -> Iterable[Sample]:
    if readings.generators is not None and readings.generators.disconnect_type:
        yield (readings.generators.disconnect_type,), 1.0


FAMILIES: tuple[Family, ...] = (
    Family(
        "powerwall_site_info",
        "gauge",
        "Name and time zone of the site, and the grid code with its attributes (site_info: site_name, timezone, "
        "grid_code), always 1. The grid's own words are grid_country, grid_state and grid_region."
        + _TEN_MINUTES,
        "site_info",
        _info,
        (
            "site_name",
            "timezone",
            "grid_code",
            "grid_country",
            "grid_state",
            "utility",
            "distributor",
            "retailer",
            "grid_region",
            "phase",
        ),
        "site",
        _OWNER_API,
    ),
    _site(
        "powerwall_site_nominal_joules",
        "Configured capacity in J (site_info: nominal_system_energy_kWh); of a single battery up to firmware 1.46.",
        lambda info: info.nominal_energy,
    ),
    _site(
        "powerwall_site_max_joules",
        "Largest capacity in J (site_info: max_system_energy_kWh); not said up to firmware 1.46.",
        lambda info: info.max_energy,
    ),
    _site(
        "powerwall_site_nominal_power_watts",
        "Configured power in W (site_info: nominal_system_power_kW).",
        lambda info: info.nominal_power,
    ),
    _site(
        "powerwall_site_max_power_watts",
        "Largest power in W (site_info: max_system_power_kW); not said up to firmware 1.46.",
        lambda info: info.max_power,
    ),
    _site(
        "powerwall_site_meter_max_power_watts",
        "Most power that may be drawn from the grid in W (site_info: max_site_meter_power_kW); absent without a limit.",
        lambda info: info.meter_max_power,
    ),
    _site(
        "powerwall_site_meter_min_power_watts",
        "Least power at the grid in W, − is export (site_info: min_site_meter_power_kW); absent without a limit.",
        lambda info: info.meter_min_power,
    ),
    _site(
        "powerwall_site_panel_max_amperes",
        "Rating of the main panel in A (site_info: panel_max_current).",
        lambda info: info.panel_max_current,
        "firmware 23 and later; not Powerwall 3",
    ),
    _site(
        "powerwall_site_measured_frequency_hertz",
        "Frequency of the grid in Hz (site_info: measured_frequency); absent while the site master runs.",
        lambda info: info.measured_frequency,
        "firmware 21, only while stopped",
    ),
    _site(
        "powerwall_site_grid_voltage_setting_volts",
        "Voltage of the configured grid in V (site_info: grid_code.grid_voltage_setting).",
        lambda info: info.grid_voltage,
    ),
    _site(
        "powerwall_site_grid_frequency_setting_hertz",
        "Frequency of the configured grid in Hz (site_info: grid_code.grid_freq_setting).",
        lambda info: info.grid_frequency,
    ),
    Family(
        "powerwall_solar_info",
        "gauge",
        "Brand and model of each configured solar inverter (solars: brand, model), always 1." + _TEN_MINUTES,
        "solars",
        _solar_info,
        ("index", "brand", "model"),
        "site",
        _OWNER_API,
    ),
    Family(
        "powerwall_solar_rating_watts",
        "gauge",
        "Configured rating of each solar inverter in W (solars: power_rating_watts)." + _TEN_MINUTES,
        "solars",
        _solar_rating,
        ("index",),
        "site",
        _OWNER_API,
    ),
    Family(
        "powerwall_generators",
        "gauge",
        "How many generators are configured (generators: generators)." + _TEN_MINUTES,
        "generators",
        _generators,
        (),
        "site",
        _OWNER_API,
    ),
    Family(
        "powerwall_generator_info",
        "gauge",
        "How a generator is switched in (generators: disconnect_type), always 1; the word None where there is none."
        + _TEN_MINUTES,
        "generators",
        _generator_info,
        ("disconnect_type",),
        "site",
        _OWNER_API,
    ),
)
