"""The part of a gateway's page about TEDAPI: units with their packs and strings, and why it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probe_exporter.probe import Site
from probe_exporter.readings import Readings
from probe_exporter.readings.tedapi_components import HybridInverter


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack: energies in J, ``charge`` a ratio, the temperature in °C."""

    serial: str
    charge: float | None
    remaining: float | None
    full: float | None
    temperature: float | None


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A Powerwall 3 with its own readings. A follower that was not asked has no inverter and no packs."""

    serial: str
    type: str
    inverter: HybridInverter | None
    packs: tuple[PackRow, ...]
    silent: bool


@dataclass(frozen=True, slots=True)
class Newer:
    """The part of the page. ``error`` is why TEDAPI does not answer, "" where it does or was not asked yet."""

    units: tuple[UnitRow, ...]
    alerts: tuple[str, ...]
    error: str
    asked: bool


def newer(site: Site, readings: Readings) -> Newer | None:
    """The part of a gateway with TEDAPI; None for gateways without it."""
    side = site.memory.tedapi
    if side is None:
        return None
    controller = readings.tedapi_controller
    found = [alert.name for alert in (controller.alerts or () if controller is not None else ())]
    found += [alert.name for unit in readings.units for alert in unit.alerts]
    return Newer(
        tuple(_units(readings)), tuple(dict.fromkeys(found)), side.error or "", side.run.up is not None
    )


def _units(readings: Readings) -> Iterator[UnitRow]:
    config = readings.tedapi_config
    told = {unit.serial: unit for unit in readings.units}
    packs = readings.packs
    for block in (config.blocks or ()) if config is not None else ():
        unit = told.get(block.serial)
        yield UnitRow(
            block.serial,
            block.type,
            None if unit is None else unit.inverter,
            tuple(
                PackRow(
                    pack.serial,
                    None
                    if pack.energy is None or pack.energy.remaining is None
                    else pack.energy.remaining / pack.energy.full,
                    None if pack.energy is None else pack.energy.remaining,
                    None if pack.energy is None else pack.energy.full,
                    dict(pack.board.temperatures).get("max"),
                )
                for pack in packs
                if pack.inverter == block.serial
            ),
            unit is None,
        )
