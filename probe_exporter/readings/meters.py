"""What the meters measure: the sums by category (site, battery, load, solar …), and meter by meter.

Energies are in joules, times in Unix seconds. Directions are the gateway's: see each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.payload import Payload

METERS_STATES = ("ok",)
PHASES = ("a", "b", "c")
_PHASE_OF_LINE: Final = {"l1": "a", "l2": "b", "l3": "c"}

_WATT_HOUR: Final = 3600.0
_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Measurements:
    """What the sum of a category, or one meter, says of itself.

    W, var, VA, Hz, J, V, A; ``frequency`` is None where the meter does not measure it (the gateway says 0).
    ``communicated`` is when the meter last answered. Currents are 0 where the meter does not measure them.
    """

    power: float | None
    reactive_power: float | None
    apparent_power: float | None
    frequency: float | None
    exported: float | None
    imported: float | None
    average_voltage: float | None
    average_current: float | None
    total_current: float | None
    communicated: float | None


def _measurements(payload: Payload) -> Measurements:
    return Measurements(
        power=payload.number("instant_power"),
        reactive_power=payload.number("instant_reactive_power"),
        apparent_power=payload.number("instant_apparent_power"),
        frequency=payload.number("frequency") or None,
        exported=payload.number("energy_exported", _WATT_HOUR),
        imported=payload.number("energy_imported", _WATT_HOUR),
        average_voltage=payload.number("instant_average_voltage"),
        average_current=payload.number("instant_average_current"),
        total_current=payload.number("instant_total_current"),
        communicated=payload.instant("last_communication_time"),
    )


@dataclass(frozen=True, slots=True)
class Category:
    """One category. Site: + is from the grid; battery: + is discharging; load: + is use; solar: + is production.

    ``phase_communicated`` pairs a quantity (voltage, power, energy) with when it was last measured by phase;
    ``timeout`` is in seconds.
    """

    name: str
    measured: Measurements
    phase_communicated: tuple[tuple[str, float], ...]
    devices: float | None
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Aggregates:
    """The categories in the order of the gateway."""

    categories: tuple[Category, ...]


def parse_aggregates(payload: Payload, read_at: float) -> Aggregates:
    """Any key that holds an object is a category: 1.x has seven of them, and a generator adds one."""
    return Aggregates(tuple(_category(name, entry) for name, entry in payload.items() if entry.is_object))


def _category(name: str, payload: Payload) -> Category:
    timeout = payload.number("timeout")
    return Category(
        name=name,
        measured=_measurements(payload),
        phase_communicated=tuple(
            (quantity, moment)
            for quantity in ("voltage", "power", "energy")
            if (moment := payload.instant(f"last_phase_{quantity}_communication_time")) is not None
        ),
        devices=payload.number("num_meters_aggregated"),
        timeout=None if timeout is None else timeout / _NANOSECONDS,
    )


PhaseValues = tuple[tuple[str, float], ...]
"""Names of phases and their values; a phase that is not measured is not there."""


@dataclass(frozen=True, slots=True)
class MeterDevice:
    """One meter. A solar meter counts production as ``imported``, the other way round from the sums.

    ``enabled`` and ``inverted`` are those of current transformers 1 to 4; voltages name the phases l1 to l3.
    """

    type: str
    serial: str
    location: str | None
    short_id: str | None
    id: str | None
    connected: bool | None
    measured: Measurements
    voltages: PhaseValues
    powers: PhaseValues
    reactive_powers: PhaseValues
    currents: PhaseValues
    enabled: tuple[bool | None, ...]
    inverted: tuple[bool | None, ...]
    power_scale: float | None


@dataclass(frozen=True, slots=True)
class MeterDevices:
    """The meters of one category."""

    devices: tuple[MeterDevice, ...]


def parse_meter_devices(payload: Payload, read_at: float) -> MeterDevices:
    """A category without meters of its own is ``null``."""
    return MeterDevices(tuple(_device(entry) for entry in payload.elements() if entry.is_object))


def _device(payload: Payload) -> MeterDevice:
    connection = payload.child("connection")
    readings = payload.child("Cached_readings")
    number = payload.number("id")
    meter_type = payload.text("type") or ""
    powers = _phases(readings, "real_power_{}", "power")
    voltages = _voltages(readings)
    connected = frozenset([phase for phase, _ in powers] + [_PHASE_OF_LINE[line] for line, _ in voltages])
    return MeterDevice(
        type=meter_type,
        serial=connection.text("device_serial") or "",
        location=payload.text("location"),
        short_id=connection.text("short_id"),
        id=None if number is None else f"{number:.15g}",
        connected=connection.flag("neurio_connected"),
        measured=_measurements(readings),
        voltages=voltages,
        powers=powers,
        reactive_powers=_phases(readings, "reactive_power_{}", "power"),
        currents=_currents(readings, meter_type, connected),
        enabled=payload.flags("cts")[:4],
        inverted=payload.flags("inverted")[:4],
        power_scale=payload.number("real_power_scale_factor"),
    )


def _measured(readings: Payload, quantity: str) -> bool:
    """Whether the phases of ``quantity`` were ever measured: 2018 does not say when, and year 0001 means never."""
    key = f"last_phase_{quantity}_communication_time"
    return readings.text(key) is None or readings.instant(key) is not None


def _phases(readings: Payload, key: str, quantity: str) -> PhaseValues:
    if not _measured(readings, quantity):
        return ()
    values = ((phase, readings.number(key.format(phase))) for phase in PHASES)
    return tuple((phase, value) for phase, value in values if value is not None)


def _voltages(readings: Payload) -> PhaseValues:
    if not _measured(readings, "voltage"):
        return ()
    values = ((line, readings.number(f"v_{line}n")) for line in _PHASE_OF_LINE)
    return tuple((phase, value) for phase, value in values if value is not None)


def _currents(readings: Payload, meter_type: str, connected: frozenset[str]) -> PhaseValues:
    """Currents of the ``connected`` phases: the gateway also says 0 for others, and a Neurio measures none at all."""
    currents = tuple(
        (phase, current)
        for phase, current in _phases(readings, "i_{}_current", "power")
        if phase in connected
    )
    if meter_type.startswith("neurio") and not any(current for _, current in currents):
        return ()
    return currents


@dataclass(frozen=True, slots=True)
class MetersStatus:
    """What the gateway says of its meters: ``state`` is "ok" or the complaint."""

    state: str | None
    errors: float | None


def parse_meters_status(payload: Payload, read_at: float) -> MetersStatus:
    """An empty status is a good one."""
    status = payload.word("status", METERS_STATES)
    return MetersStatus(state="ok" if status == "" else status, errors=payload.length("errors"))
