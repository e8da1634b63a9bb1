"""Prices and settings of a site: metrics made for each answer, from the configuration and the moment of the request.

They come from no endpoint. So they are in the answer of a failed probe too, and no limit or cache applies to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from probe_exporter.config.schema import GatewayConfig
from probe_exporter.metrics.catalogue import Sample, one
from probe_exporter.metrics.filled import FilledMetric, heading
from probe_exporter.tariffs import Tariff
from probe_exporter.tariffs.conditions import time_zone
from probe_exporter.tariffs.plan import utc_offset

SITE_FAMILIES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "powerwall_site_utc_offset_seconds",
        (
            "Seconds that the site's wall clock is ahead of UTC at the moment of the request: by the gateway's "
            "timezone in the configuration, by its tariff's, or by what the gateway tells."
        ),
        (),
    ),
    (
        "powerwall_configured_capacity_joules",
        "The capacity of the batteries that the configuration states, for models that tell none.",
        (),
    ),
)
"""Name, help and labels of what the configuration has of a site. All are gauges."""

TARIFF_FAMILIES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("powerwall_tariff_info", "The tariff of this gateway.", ("tariff", "currency")),
    (
        "powerwall_tariff_import_price",
        "Price of a kWh from the grid at the moment of the request.",
        ("currency",),
    ),
    (
        "powerwall_tariff_export_price",
        "Price of a kWh fed into the grid at the moment of the request; below 0 if feeding in costs money.",
        ("currency",),
    ),
    ("powerwall_tariff_standing_charge", "Charge for a day, whatever is used.", ("currency",)),
    (
        "powerwall_tariff_import_period",
        "The period of import at the moment of the request: 1 for the one that holds; `other` is a price without name.",
        ("period",),
    ),
    (
        "powerwall_tariff_next_change_timestamp_seconds",
        "Time when a price or the period changes next, in Unix seconds; absent where nothing changes within 400 days.",
        (),
    ),
)
"""Name, help and labels of the values of the tariff. All are gauges."""


def site_metrics(
    gateway: GatewayConfig, collectors: Collection[str], moment: float, told: str = ""
) -> list[FilledMetric]:
    """Return the metrics of a site for a moment (Unix seconds), in the order of the two tables.

    ``told`` is the name of the time zone that the gateway reports, which is used if the configuration has none.
    """
    zone = zone_of(gateway, told)
    samples: dict[str, Iterable[Sample]] = {
        "powerwall_site_utc_offset_seconds": one(utc_offset(zone, moment) if zone else None),
        "powerwall_configured_capacity_joules": one(gateway.capacity),
    }
    if gateway.prices is not None and "tariff" in collectors:
        samples |= _tariff_samples(gateway.prices, moment)
    return [
        FilledMetric(heading(name, "gauge", documentation, labels), values)
        for name, documentation, labels in (*SITE_FAMILIES, *TARIFF_FAMILIES)
        if (values := dict(samples.get(name, ())))
    ]


def zone_of(gateway: GatewayConfig, told: str) -> ZoneInfo | None:
    """Return the zone of a gateway: as configured, else as it reports; None where neither is known."""
    if gateway.timezone is not None:
        return time_zone(gateway.timezone)
    return gateway.prices.zone if gateway.prices is not None else _told_zone(told)


@lru_cache(maxsize=256)
def _told_zone(told: str) -> ZoneInfo | None:
    """Return the zone of a name that a gateway reports, None for one that is not known here.

    A gateway may report any text: `zoneinfo` does not open files outside the folders of zones.
    """
    try:
        return time_zone(told)
    except ValueError:
        return None


def _tariff_samples(tariff: Tariff, moment: float) -> dict[str, Iterable[Sample]]:
    prices = tariff.prices(moment)
    money = (tariff.currency,)
    holds = prices.imported.period
    return {
        "powerwall_tariff_info": [((tariff.name, tariff.currency), 1.0)],
        "powerwall_tariff_import_price": [(money, prices.imported.price)],
        "powerwall_tariff_export_price": [(money, prices.exported.price)] if prices.exported else [],
        "powerwall_tariff_standing_charge": (
            [] if tariff.standing_charge is None else [(money, tariff.standing_charge)]
        ),
        "powerwall_tariff_import_period": [((period,), float(period == holds)) for period in tariff.periods],
        "powerwall_tariff_next_change_timestamp_seconds": one(tariff.next_change(moment)),
    }
