"""Metrics of inverters and strings by TEDAPI: the hybrid inverter of a Powerwall 3, the solar one of a Powerwall+."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.tedapi import CONTROLLER, UNITS, Twin
from probe_exporter.readings import Readings
from probe_exporter.readings.solar import INVERTER_STATES
from probe_exporter.readings.tedapi_components import (
    HYBRID_MODES,
    HYBRID_STATES,
    STRING_STATES,
    Components,
    Fan,
    HybridInverter,
)
from probe_exporter.readings.tedapi_controller import DcInverter, DcString

_Units = tuple[Components, ...]


def _inverters(units: _Units) -> Iterator[tuple[str, HybridInverter]]:
    for unit in units:
        if unit.inverter is not None:
            yield unit.serial, unit.inverter


def _inverter(name: str, documentation: str, value: Callable[[HybridInverter], float | None]) -> Family:
    """Yield a sample for each Powerwall 3."""

    def samples(units: _Units) -> Iterator[Sample]:
        for serial, inverter in _inverters(units):
            number = value(inverter)
            if number is not None:
                yield (serial,), number

    return UNITS.samples(name, documentation, ("inverter",), samples)


def _states(
    name: str, documentation: str, word: Callable[[HybridInverter], str | None], known: tuple[str, ...]
) -> Family:
    """A state set of a Powerwall 3."""

    def samples(units: _Units) -> Iterator[Sample]:
        for serial, inverter in _inverters(units):
            yield from state_set(word(inverter), known, serial)

    return UNITS.samples(name, documentation, ("inverter", "state"), samples)


def _string_states(units: _Units) -> Iterator[Sample]:
    for serial, inverter in _inverters(units):
        for string in inverter.strings:
            yield from state_set(string.state, STRING_STATES, serial, string.name)


def _temperatures(units: _Units) -> Iterator[Sample]:
    for serial, inverter in _inverters(units):
        if inverter.ambient_temperature is not None:
            yield (serial, "ambient"), inverter.ambient_temperature


def _fans(readings: Readings, value: Callable[[Fan], float | None]) -> Iterator[Sample]:
    for serial, inverter in _inverters(readings.units):
        for fan in inverter.fans:
            number = value(fan)
            if number is not None:
                yield (serial, fan.name), number


def _fan_speeds(readings: Readings) -> Iterator[Sample]:
    yield from _fans(readings, lambda fan: fan.speed)
    if readings.tedapi_controller is not None:
        for serial, speed in readings.tedapi_controller.fans:
            yield (serial, "1"), speed


FAMILIES: tuple[Family, ...] = (
    _inverter(
        "powerwall_inverter_solar_power_watts",
        "Power of the panels at the inverter of a Powerwall 3 in W, DC (tedapi/components: PCH_SlowPvPowerSum).",
        lambda inverter: inverter.solar_power,
    ),
    _inverter(
        "powerwall_inverter_battery_power_watts",
        "Power of the packs at the inverter of a Powerwall 3 in W, DC, + is discharging (tedapi/components: "
        "PCH_BatteryPower): more than the AC power of powerwall_instant_power_watts while discharging.",
        lambda inverter: inverter.battery_power,
    ),
    _inverter(
        "powerwall_inverter_output_power_watts",
        "Power of the inverter of a Powerwall 3 in W, AC, + is output, sun and battery together (tedapi/components: "
        "PCH_AcRealPowerSum, else PCH_AcRealPowerAB).",
        lambda inverter: inverter.power,
    ),
    _inverter(
        "powerwall_inverter_output_volts",
        "Voltage of the inverter of a Powerwall 3 in V, AC (tedapi/components: PCH_AcVoltageAB).",
        lambda inverter: inverter.voltage,
    ),
    _inverter(
        "powerwall_inverter_output_hertz",
        "Frequency of the inverter of a Powerwall 3 in Hz (tedapi/components: PCH_AcFrequency).",
        lambda inverter: inverter.frequency,
    ),
    _states(
        "powerwall_inverter_state",
        "State set of the inverter of a Powerwall 3 (tedapi/components: PCH_State).",
        lambda inverter: inverter.state,
        HYBRID_STATES,
    ),
    _states(
        "powerwall_inverter_ac_mode",
        "State set of how the inverter of a Powerwall 3 meets the grid (tedapi/components: PCH_AcMode).",
        lambda inverter: inverter.mode,
        HYBRID_MODES,
    ),
    UNITS.samples(
        "powerwall_inverter_temperature_celsius",
        "Temperature of the inverter of a Powerwall 3 in °C (tedapi/components: PCH_AmbientTemp); sensor is ambient.",
        ("inverter", "sensor"),
        _temperatures,
    ),
    Family(
        "powerwall_inverter_fan_rpm",
        "gauge",
        "Speed of a fan in revolutions per minute (tedapi/components: PCH_FanSpeed_A, PCH_FanSpeed_B; of a Powerwall+ "
        "tedapi/controller: PVAC_Fan_Speed_Actual_RPM). Up to 60 s old.",
        "tedapi/components",
        _fan_speeds,
        ("inverter", "fan"),
        "tedapi",
        "with TEDAPI",
    ),
    Family(
        "powerwall_inverter_fan_duty_ratio",
        "gauge",
        "Share of full power for a fan (tedapi/components: PCH_FanDuty_A, PCH_FanDuty_B), in steps. Up to 60 s old.",
        "tedapi/components",
        lambda readings: _fans(readings, lambda fan: fan.duty),
        ("inverter", "fan"),
        "tedapi",
        "Powerwall 3 with TEDAPI",
    ),
    UNITS.samples(
        "powerwall_pv_string_state",
        "State set of a string of panels (tedapi/components: PCH_PvState_A to _F); Pv_Active_Parallel is a string that "
        "is bridged to its neighbour.",
        ("inverter", "string", "state"),
        _string_states,
    ),
)


def _strings(
    readings: Readings,
    hybrid: Callable[[float, float | None], float | None],
) -> Iterator[Sample]:
    """A value made of volts and amperes of each string, of a Powerwall 3 by letter and of a Powerwall+ too."""
    for serial, inverter in _inverters(readings.units):
        for string in inverter.strings:
            number = hybrid(string.voltage, string.current)
            if number is not None:
                yield (serial, string.name), number
    for serial, dc_string in _dc_strings(readings):
        number = hybrid(dc_string.voltage, dc_string.current)
        if number is not None:
            yield (serial, dc_string.name), number


def _dc_inverters(readings: Readings) -> tuple[DcInverter, ...]:
    return () if readings.tedapi_controller is None else readings.tedapi_controller.inverters


def _dc_strings(readings: Readings) -> Iterator[tuple[str, DcString]]:
    for inverter in _dc_inverters(readings):
        for string in inverter.strings:
            yield inverter.serial, string


def _connected(readings: Readings) -> Iterator[Sample]:
    for serial, string in _dc_strings(readings):
        if string.connected is not None:
            yield (serial, string.name), float(string.connected)


def _output(name: str, field: str, value: Callable[[DcInverter], float | None]) -> Twin:
    def read(readings: Readings) -> Iterator[Sample]:
        for inverter in _dc_inverters(readings):
            number = value(inverter)
            if number is not None:
                yield (inverter.serial,), number

    return Twin(name, CONTROLLER.endpoint, f"PVAC[].{field}", read)


def _dc_states(readings: Readings) -> Iterator[Sample]:
    for inverter in _dc_inverters(readings):
        yield from state_set(inverter.state, INVERTER_STATES, inverter.serial)


_BY_LETTER = "; then inverter is its serial, and string a letter"

TWINS: tuple[Twin, ...] = (
    Twin(
        "powerwall_pv_string_volts",
        UNITS.endpoint,
        f"PCH_PvVoltageA to F, of a Powerwall+ PVAC_PVMeasuredVoltage_A to _D{_BY_LETTER}",
        lambda readings: _strings(readings, lambda volts, amperes: volts),
    ),
    Twin(
        "powerwall_pv_string_amperes",
        UNITS.endpoint,
        f"PCH_PvCurrentA to F, of a Powerwall+ PVAC_PVCurrent_A to _D{_BY_LETTER}",
        lambda readings: _strings(readings, lambda volts, amperes: amperes),
    ),
    Twin(
        "powerwall_pv_string_power_watts",
        UNITS.endpoint,
        f"volts times amperes of the string, as nothing tells the power{_BY_LETTER}",
        lambda readings: _strings(
            readings, lambda volts, amperes: None if amperes is None else volts * amperes
        ),
    ),
    Twin(
        "powerwall_pv_string_connected", CONTROLLER.endpoint, "PVS[].PVS_StringA_Connected to D", _connected
    ),
    _output("powerwall_pv_inverter_output_power_watts", "PVAC_Pout", lambda inverter: inverter.power),
    _output("powerwall_pv_inverter_output_volts", "PVAC_Vout", lambda inverter: inverter.voltage),
    _output("powerwall_pv_inverter_output_hertz", "PVAC_Fout", lambda inverter: inverter.frequency),
    Twin("powerwall_pv_inverter_state", CONTROLLER.endpoint, "PVAC[].PVAC_State", _dc_states),
)
