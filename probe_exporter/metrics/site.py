"""Metrics of what was configured when the site was built: ratings, grid code, name, inverters, generators."""

from __future__ import annotations

from collections.abc import Iterable

from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.source import OWNER_API, TEN_MINUTES, Source
from probe_exporter.readings import Readings
from probe_exporter.readings.site import NET_METER_MODES, Solars

_SITE = Source("site_info", lambda readings: readings.site_info, TEN_MINUTES, "site")
_SOLARS = Source("solars", lambda readings: readings.solars, TEN_MINUTES, "site")
_GENERATORS = Source("generators", lambda readings: readings.generators, TEN_MINUTES, "site")


def told_timezone(readings: Readings) -> str:
    """Return the time zone that the gateway reports, empty where it reports none."""
    info, named = readings.site_info, readings.site_name
    return (info.timezone if info else "") or (named.timezone if named else "")


def _info(readings: Readings) -> Iterable[Sample]:
    """The texts of ``site_info``; the name and zone of ``site_info/site_name`` where that lacks them."""
    info, named = readings.site_info, readings.site_name
    name = (info.site_name if info else "") or (named.name if named else "")
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
    labels = (name, told_timezone(readings), *grid)
    return ((labels, 1.0),) if any(labels) else ()


def _solar_info(solars: Solars) -> Iterable[Sample]:
    for index, inverter in enumerate(solars.inverters):
        if inverter.brand or inverter.model:
            yield (str(index), inverter.brand, inverter.model), 1.0


def _solar_rating(solars: Solars) -> Iterable[Sample]:
    for index, inverter in enumerate(solars.inverters):
        if inverter.rating is not None:
            yield (str(index),), inverter.rating


FAMILIES: tuple[Family, ...] = (
    Family(
        "powerwall_site_info",
        "gauge",
        "Name and time zone of the site, and the grid code with its attributes (site_info: site_name, timezone, "
        "grid_code), always 1. The grid's own words are grid_country, grid_state and grid_region."
        + TEN_MINUTES,
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
        OWNER_API,
        also=("site_name",),
    ),
    _SITE.value(
        "powerwall_site_nominal_joules",
        "Configured capacity in J (site_info: nominal_system_energy_kWh); of a single battery up to firmware 1.47.",
        lambda info: info.nominal_energy,
    ),
    _SITE.value(
        "powerwall_site_max_joules",
        "Largest capacity in J (site_info: max_system_energy_kWh); not said up to firmware 1.46.",
        lambda info: info.max_energy,
    ),
    _SITE.value(
        "powerwall_site_nominal_power_watts",
        "Configured power in W (site_info: nominal_system_power_kW).",
        lambda info: info.nominal_power,
    ),
    _SITE.value(
        "powerwall_site_max_power_watts",
        "Largest power in W (site_info: max_system_power_kW); not said up to firmware 1.46.",
        lambda info: info.max_power,
    ),
    _SITE.value(
        "powerwall_site_meter_max_power_watts",
        "Most power that may be drawn from the grid in W (site_info: max_site_meter_power_kW); absent without a limit.",
        lambda info: info.meter_max_power,
    ),
    _SITE.value(
        "powerwall_site_meter_min_power_watts",
        "Least power at the grid in W, − is export (site_info: min_site_meter_power_kW); absent without a limit.",
        lambda info: info.meter_min_power,
    ),
    _SITE.value(
        "powerwall_site_panel_max_amperes",
        "Rating of the main panel in A (site_info: panel_max_current).",
        lambda info: info.panel_max_current,
        "firmware 23 and later; not Powerwall 3",
    ),
    _SITE.value(
        "powerwall_site_measured_frequency_hertz",
        "Frequency of the grid in Hz (site_info: measured_frequency); absent while the site master runs.",
        lambda info: info.measured_frequency,
        "firmware 21, only while stopped",
    ),
    _SITE.states(
        "powerwall_site_net_meter_mode",
        "State set of what may be sold to the grid (site_info: net_meter_mode): battery_ok, the battery's energy too; "
        "pv_only, solar production alone; never, nothing.",
        lambda info: info.net_meter_mode,
        NET_METER_MODES,
        hardware="newer firmware 23 and later; not Powerwall 3",
    ),
    _SITE.value(
        "powerwall_site_grid_voltage_setting_volts",
        "Voltage of the configured grid in V (site_info: grid_code.grid_voltage_setting).",
        lambda info: info.grid_voltage,
    ),
    _SITE.value(
        "powerwall_site_grid_frequency_setting_hertz",
        "Frequency of the configured grid in Hz (site_info: grid_code.grid_freq_setting).",
        lambda info: info.grid_frequency,
    ),
    _SOLARS.samples(
        "powerwall_solar_info",
        "Brand and model of each configured solar inverter (solars: brand, model), always 1.",
        ("index", "brand", "model"),
        _solar_info,
    ),
    _SOLARS.samples(
        "powerwall_solar_rating_watts",
        "Configured rating of each solar inverter in W (solars: power_rating_watts).",
        ("index",),
        _solar_rating,
    ),
    _GENERATORS.value(
        "powerwall_generators",
        "Number of configured generators (generators: generators).",
        lambda generators: generators.count,
    ),
    _GENERATORS.word(
        "powerwall_generator_info",
        "Switching mode of a generator (generators: disconnect_type), always 1; the word None where it has none.",
        "disconnect_type",
        lambda generators: generators.disconnect_type,
    ),
)
