"""Packs under their usual serial: the unit that each belongs to, which one is built in, and its energy.

It takes three answers: ``config.json`` lists the expansions, the components name the boards, the controller has
energies by the serial of a board.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from probe_exporter.readings.tedapi_components import Components, HighVoltagePack, PackEnergy
from probe_exporter.readings.tedapi_config import EXPANSION, Block, SiteConfig
from probe_exporter.readings.tedapi_controller import Controller
from probe_exporter.readings.tedapi_signals import serial_of


@dataclass(frozen=True, slots=True)
class NamedPack:
    """A pack. ``serial`` is that of the Powerwall 3 for the pack inside it, its own for an expansion.

    ``inverter`` is the serial of the Powerwall 3 that it belongs to, ``board`` what its own board reports.
    """

    serial: str
    inverter: str
    board: HighVoltagePack
    energy: PackEnergy | None


def named_packs(
    config: SiteConfig | None, units: Iterable[Components], controller: Controller | None
) -> tuple[NamedPack, ...]:
    """The packs of the units that were read. None before the configuration is known: it lists the built-in one."""
    if config is None:
        return ()
    blocks = {block.serial: block for block in config.blocks or ()}
    leader = serial_of(config.din)
    by_serial = dict(controller.packs) if controller is not None else {}
    found: list[NamedPack] = []
    for unit in units:
        block = blocks.get(unit.serial)
        if block is not None:
            alone = len(blocks) == 1 and not block.expansions
            found += _packs(unit, block, by_serial if unit.serial == leader else {}, alone)
    return tuple(found)


def _packs(
    unit: Components, block: Block, by_serial: dict[str, PackEnergy], alone: bool
) -> Iterator[NamedPack]:
    if not unit.packs:
        if alone and unit.unnamed is not None:
            yield NamedPack(block.serial, block.serial, unit.unnamed, unit.unnamed.energy)
        return
    built_in = [pack for pack in unit.packs if pack.serial not in block.expansions]
    for pack in unit.packs:
        inside = len(built_in) == 1 and pack is built_in[0]
        energy = by_serial.get(pack.serial) if by_serial else pack.energy
        yield NamedPack(block.serial if inside else pack.serial, block.serial, pack, energy)


def types(config: SiteConfig) -> Iterator[tuple[str, str]]:
    """The serial and the type of every configured pack."""
    for block in config.blocks or ():
        if block.type:
            yield block.serial, block.type
        for expansion in block.expansions:
            yield expansion, EXPANSION
