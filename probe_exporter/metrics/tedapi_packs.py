"""Metrics of the packs of a Powerwall 3, and of what TEDAPI reports of every battery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.tedapi import CONFIG, CONTROLLER, PACKS, UNITS, Twin
from probe_exporter.readings import Readings
from probe_exporter.readings.tedapi_components import PACK_STATES, Components, PackEnergy
from probe_exporter.readings.tedapi_config import SiteConfig
from probe_exporter.readings.tedapi_controller import Controller
from probe_exporter.readings.tedapi_packs import NamedPack, types

_Packs = tuple[NamedPack, ...]
_Units = tuple[Components, ...]


def _energies(packs: Iterable[NamedPack], value: Callable[[PackEnergy], float | None]) -> Iterator[Sample]:
    for pack in packs:
        number = None if pack.energy is None else value(pack.energy)
        if number is not None:
            yield (pack.serial,), number


def _ratio(energy: PackEnergy) -> float | None:
    return None if energy.remaining is None else energy.remaining / energy.full


def _pack_info(packs: _Packs) -> Iterator[Sample]:
    for pack in packs:
        yield (pack.serial, pack.inverter, pack.board.serial), 1.0


def _pack_status(packs: _Packs) -> Iterator[Sample]:
    for pack in packs:
        yield from state_set(pack.board.state, PACK_STATES, pack.serial)


def _temperatures(readings: Readings) -> Iterator[Sample]:
    for pack in readings.packs:
        for sensor, degrees in pack.board.temperatures:
            yield (pack.serial, sensor), degrees
    if readings.tedapi_controller is not None:
        for serial, sensor, degrees in readings.tedapi_controller.temperatures:
            yield (serial, sensor), degrees


def _unit(name: str, documentation: str, value: Callable[[Components], float | None]) -> Family:
    """Yield a sample for each Powerwall 3."""

    def samples(units: _Units) -> Iterator[Sample]:
        for unit in units:
            number = value(unit)
            if number is not None:
                yield (unit.serial,), number

    return UNITS.samples(name, documentation, ("inverter",), samples)


def _current_limits(config: SiteConfig) -> Iterator[Sample]:
    for block in config.blocks or ():
        if block.current_limit is not None:
            yield (block.serial,), block.current_limit


FAMILIES: tuple[Family, ...] = (
    PACKS.samples(
        "powerwall_battery_pack_info",
        "A pack of a Powerwall 3 (tedapi/components: hvp[].serialNumber), always 1: inverter is the Powerwall 3 that "
        "it belongs to, pack_serial the serial of the pack's own board. The pack inside goes by the serial of the "
        "Powerwall 3, an expansion by its own.",
        ("serial", "inverter", "pack_serial"),
        _pack_info,
    ),
    PACKS.samples(
        "powerwall_battery_pack_status",
        "State set of the pack (tedapi/components: HVP_State).",
        ("serial", "state"),
        _pack_status,
    ),
    PACKS.samples(
        "powerwall_battery_pack_discharged_joules_total",
        "Energy that the pack has given over its life in J, on its DC side (tedapi/controller: "
        "BMS_kwhDischargeTotal; of a follower tedapi/components). Nothing counts what it took.",
        ("serial",),
        lambda packs: _energies(packs, lambda energy: energy.discharged),
        kind="counter",
    ),
    Family(
        "powerwall_battery_temperature_celsius",
        "gauge",
        "Temperature of a battery in °C (tedapi/components: HVP_PackTempMax, HVP_PackTempMin, HVP_ShuntTemperature; "
        "of a Powerwall 2 tedapi/controller: THC_AmbientTemp, PINV_HeatsinkTemp); sensor is max, min or shunt of a "
        "pack, ambient or heatsink of a Powerwall 2. Up to 60 s old.",
        "tedapi/components",
        _temperatures,
        ("serial", "sensor"),
        "tedapi",
        "with TEDAPI",
    ),
    _unit(
        "powerwall_batteries_connected",
        "Number of connected packs of a Powerwall 3 (tedapi/components: BAGGR_NumBatteriesConnected).",
        lambda unit: unit.connected,
    ),
    _unit(
        "powerwall_batteries_present",
        "Number of present packs of a Powerwall 3 (tedapi/components: BAGGR_NumBatteriesPresent).",
        lambda unit: unit.present,
    ),
    _unit(
        "powerwall_batteries_expected",
        "Number of expected packs of a Powerwall 3 (tedapi/components: BAGGR_NumBatteriesExpected); one is missing if "
        "powerwall_batteries_connected is less.",
        lambda unit: unit.expected,
    ),
    CONFIG.samples(
        "powerwall_battery_current_limit_amperes",
        "Most current that a battery block may carry in A (tedapi/config: battery_blocks[].max_current).",
        ("serial",),
        _current_limits,
    ),
    CONFIG.value(
        "powerwall_battery_commission_timestamp_seconds",
        "Time when the battery was commissioned, in Unix seconds (tedapi/config: site_info.battery_commission_date).",
        lambda config: config.commissioned,
    ),
)


def _info(readings: Readings) -> Iterator[Sample]:
    for pack in readings.packs:
        yield (pack.serial, pack.board.part_number, pack.board.version), 1.0


def _types(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_config is not None:
        for labels in types(readings.tedapi_config):
            yield labels, 1.0


def _configured(readings: Readings) -> Iterator[Sample]:
    count = None if readings.tedapi_config is None else readings.tedapi_config.packs
    if count is not None:
        yield (), float(count)


def _energy_twin(name: str, field: str, value: Callable[[PackEnergy], float | None]) -> Twin:
    origin = f"{field}; of a follower tedapi/components"
    return Twin(name, CONTROLLER.endpoint, origin, lambda readings: _energies(readings.packs, value))


def _site_twin(name: str, origin: str, value: Callable[[Controller], float | None]) -> Twin:
    def read(readings: Readings) -> Iterator[Sample]:
        number = None if readings.tedapi_controller is None else value(readings.tedapi_controller)
        if number is not None:
            yield (), float(number)

    return Twin(name, CONTROLLER.endpoint, origin, read)


def _disabled(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_controller is not None:
        for block in readings.tedapi_controller.blocks:
            yield (block.serial,), float(bool(block.reasons))


def _disabled_reasons(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_controller is not None:
        for block in readings.tedapi_controller.blocks:
            for reason in dict.fromkeys(block.reasons):
                yield (block.serial, reason), 1.0


_CHARGE_ORIGIN = "control.systemStatus.nominalEnergyRemainingWh by nominalFullPackEnergyWh"
_REASONS = "control.batteryBlocks[].disableReasons"

TWINS: tuple[Twin, ...] = (
    _energy_twin(
        "powerwall_battery_remaining_joules", "BMS_nominalEnergyRemaining", lambda energy: energy.remaining
    ),
    _energy_twin(
        "powerwall_battery_full_pack_joules", "BMS_nominalFullPackEnergy", lambda energy: energy.full
    ),
    _energy_twin(
        "powerwall_battery_charge_ratio", "BMS_nominalEnergyRemaining by BMS_nominalFullPackEnergy", _ratio
    ),
    Twin("powerwall_battery_info", UNITS.endpoint, "hvp[].serialNumber, partNumber, HVP_appGitHash", _info),
    Twin(
        "powerwall_battery_type_info",
        CONFIG.endpoint,
        "battery_blocks[].type, expansion for battery_expansions[]",
        _types,
    ),
    Twin(
        "powerwall_batteries_configured",
        CONFIG.endpoint,
        "battery_blocks and their battery_expansions",
        _configured,
    ),
    Twin("powerwall_battery_disabled", CONTROLLER.endpoint, _REASONS, _disabled),
    Twin("powerwall_battery_disabled_reason", CONTROLLER.endpoint, _REASONS, _disabled_reasons),
    _site_twin(
        "powerwall_remaining_joules",
        "control.systemStatus.nominalEnergyRemainingWh",
        lambda controller: controller.remaining_energy,
    ),
    _site_twin(
        "powerwall_full_pack_joules",
        "control.systemStatus.nominalFullPackEnergyWh",
        lambda controller: controller.full_energy,
    ),
    _site_twin("powerwall_charge_ratio", _CHARGE_ORIGIN, lambda controller: controller.charge),
    _site_twin(
        "powerwall_charge_app_ratio",
        _CHARGE_ORIGIN,
        lambda controller: controller.app_charge,
    ),
)
