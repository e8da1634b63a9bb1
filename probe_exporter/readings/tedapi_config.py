"""TEDAPI's ``config.json``: blocks and expansions, reserve and mode, limits, grid code, meters. Base units.

The file also names the installer and the customer; these are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.app_scale import app_ratio
from probe_exporter.readings.payload import Payload
from probe_exporter.readings.site import NET_METER_MODES
from probe_exporter.readings.status import OPERATION_MODES
from probe_exporter.readings.tedapi_signals import KILOWATT, KILOWATT_HOUR, serial_of

EXPANSION: Final = "expansion"
"""The type of a pack that is listed as an expansion: the gateway has no word for it."""


_ANY: Final = "*"
_NOWHERE: Final = "none"
_UNLIMITED: Final = 1e9 * KILOWATT


@dataclass(frozen=True, slots=True)
class Block:
    """A Powerwall by its ``serial``, and the serials of the expansions at it. The limit is in A."""

    serial: str
    part_number: str
    type: str
    current_limit: float | None
    expansions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfiguredMeter:
    """A meter: its location, kind and serial, and its current transformers (a, b, c, d)."""

    category: str
    type: str
    serial: str
    transformers: tuple[bool | None, ...]
    inverted: tuple[bool | None, ...]
    scale: float | None


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """The configuration. Texts are "" where not reported; ratios of the whole pack; J, W, Unix seconds.

    ``blocks`` and ``wall_connectors`` are None where the file has no such list.
    """

    din: str | None
    blocks: tuple[Block, ...] | None
    wall_connectors: int | None
    meters: tuple[ConfiguredMeter, ...]
    mode: str | None
    reserve: float | None
    app_reserve: float | None
    commissioned: float | None
    meter_max_power: float | None
    meter_min_power: float | None
    nominal_energy: float | None
    nominal_power: float | None
    export_rule: str | None
    net_meter_mode: str | None
    grid_charging_allowed: bool | None
    solar_curtailment: bool | None
    grid: tuple[str, ...]
    site_name: str
    timezone: str
    registered: bool | None

    @property
    def packs(self) -> int | None:
        """The number of configured packs: blocks and their expansions."""
        if self.blocks is None:
            return None
        return sum(1 + len(block.expansions) for block in self.blocks)

    @property
    def followers(self) -> tuple[Block, ...]:
        """The blocks behind the leader."""
        leader = serial_of(self.din)
        return tuple(block for block in self.blocks or () if block.serial != leader)


def parse_tedapi_config(payload: Payload, read_at: float) -> SiteConfig:
    """An absent ban on charging from the grid means that it is allowed, an absent curtailment that there is none."""
    site = payload.child("site_info")
    forbidden = site.flag("disallow_charge_from_grid_with_solar_installed")
    grid = (
        site.text("grid_code") or "",
        *(_named(site, key) for key in ("country", "state", "utility", "distributor", "retailer", "region")),
    )
    return SiteConfig(
        din=payload.text("vin"),
        blocks=tuple(_blocks(payload)) if payload.child("battery_blocks").is_list else None,
        wall_connectors=payload.length("evses"),
        meters=tuple(_meters(payload)),
        mode=payload.word("default_real_mode", OPERATION_MODES),
        reserve=site.ratio("backup_reserve_percent"),
        app_reserve=app_ratio(site.number("backup_reserve_percent")),
        commissioned=site.instant("battery_commission_date"),
        meter_max_power=_limit(site, "max_site_meter_power_ac"),
        meter_min_power=_limit(site, "min_site_meter_power_ac"),
        nominal_energy=site.number("nominal_system_energy_ac", KILOWATT_HOUR),
        nominal_power=site.number("nominal_system_power_ac", KILOWATT),
        export_rule=site.word("customer_preferred_export_rule", NET_METER_MODES),
        net_meter_mode=site.word("net_meter_mode", NET_METER_MODES),
        grid_charging_allowed=not forbidden if site.is_object else None,
        solar_curtailment=bool(site.flag("on_grid_solar_curtailment_enabled")) if site.is_object else None,
        grid=grid if any(grid) else (),
        site_name=site.text("site_name") or "",
        timezone=site.text("timezone") or "",
        registered=payload.child("customer").flag("registered"),
    )


def _blocks(payload: Payload) -> Iterator[Block]:
    for element in payload.child("battery_blocks").elements():
        part_number, _, serial = (element.text("vin") or "").partition("--")
        if serial:
            expansions = (
                serial_of(one.text("din")) for one in element.child("battery_expansions").elements()
            )
            yield Block(
                serial,
                part_number,
                element.text("type") or "",
                element.number("max_current"),
                tuple(dict.fromkeys(expansion for expansion in expansions if expansion)),
            )


def _meters(payload: Payload) -> Iterator[ConfiguredMeter]:
    """Meters that measure something: one whose place is ``none`` has no current transformers.

    The serial ends in the kind here, and does not in the owner interface.
    """
    for element in payload.child("meters").elements():
        category = element.text("location") or ""
        kind = element.text("type") or ""
        if category and category != _NOWHERE:
            yield ConfiguredMeter(
                category,
                kind,
                (element.child("connection").text("device_serial") or "").removesuffix(kind),
                element.flags("cts"),
                element.flags("inverted"),
                element.number("real_power_scale_factor"),
            )


def _limit(site: Payload, key: str) -> float | None:
    watts = site.number(key, KILOWATT)
    return None if watts is None or abs(watts) >= _UNLIMITED else watts


def _named(site: Payload, key: str) -> str:
    """A text; ``*`` means any, and is not a name."""
    text = site.text(key) or ""
    return "" if text == _ANY else text
