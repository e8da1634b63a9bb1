"""The measurements of the meters: the sums by category (site, battery, load, solar …), and meter by meter.

Energies are in joules, times in Unix seconds. Directions are the gateway's: see each class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Final

from probe_exporter.readings.currents import measured_current
from probe_exporter.readings.payload import Payload

METERS_STATES = ("ok",)
PHASES = ("a", "b", "c")

Keys = tuple[tuple[str, str], ...]
"""Names of phases, or of quantities, each with the key of a field."""


def _by_phase(key: str) -> Keys:
    """The phases, each with the key of its field: ``key`` with the letter of the phase in it."""
    return tuple((phase, key.format(phase)) for phase in PHASES)


_VOLTAGES: Final[Keys] = (("a", "v_l1n"), ("b", "v_l2n"), ("c", "v_l3n"))
_POWERS: Final = _by_phase("real_power_{}")
_REACTIVE_POWERS: Final = _by_phase("reactive_power_{}")
_CURRENTS: Final = _by_phase("i_{}_current")
_EXPORTED: Final = _by_phase("energy_exported_{}")
_IMPORTED: Final = _by_phase("energy_imported_{}")

_VOLTAGE_TIME: Final = "last_phase_voltage_communication_time"
_POWER_TIME: Final = "last_phase_power_communication_time"
_ENERGY_TIME: Final = "last_phase_energy_communication_time"
_PHASE_TIMES: Final[Keys] = (("voltage", _VOLTAGE_TIME), ("power", _POWER_TIME), ("energy", _ENERGY_TIME))

_WATT_HOUR: Final = 3600.0
_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Measurements:
    """The measurements of the sum of a category, or of one meter.

    W, var, VA, Hz, J, V, A; ``frequency`` is None where the meter does not measure it (the gateway reports 0), and a
    current where it reports 0 beside more than 100 VA. ``communicated`` is when the meter last answered.
    """

    power: float | None = None
    reactive_power: float | None = None
    apparent_power: float | None = None
    frequency: float | None = None
    exported: float | None = None
    imported: float | None = None
    average_voltage: float | None = None
    average_current: float | None = None
    total_current: float | None = None
    communicated: float | None = None


NOTHING: Final = Measurements()


def _measurements(payload: Payload) -> Measurements:
    """All are None for what was never measured: its time is in the year 1, and every number is 0."""
    power = payload.number("instant_power")
    reactive_power = payload.number("instant_reactive_power")
    apparent_power = payload.number("instant_apparent_power")
    powers = (power, reactive_power) if apparent_power is None else (apparent_power,)
    measured = Measurements(
        power=power,
        reactive_power=reactive_power,
        apparent_power=apparent_power,
        frequency=payload.number("frequency") or None,
        exported=payload.number("energy_exported", _WATT_HOUR),
        imported=payload.number("energy_imported", _WATT_HOUR),
        average_voltage=payload.number("instant_average_voltage"),
        average_current=measured_current(payload, "instant_average_current", *powers),
        total_current=measured_current(payload, "instant_total_current", *powers),
        communicated=payload.instant("last_communication_time"),
    )
    return NOTHING if payload.never("last_communication_time") and not _any(measured) else measured


def _any(measured: Measurements) -> bool:
    """Return True if there is a number other than 0."""
    return any(getattr(measured, field.name) for field in fields(measured))


@dataclass(frozen=True, slots=True)
class Category:
    """A category. Site: + is from the grid; battery: + is discharging; load: + is use; solar: + is production.

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
    """Any key that holds an object is a category: a generator adds one.

    1.x lists seven, of which three were never measured; such a category is left out.
    """
    return Aggregates(
        tuple(
            _category(name, entry, measured)
            for name, entry in payload.items()
            if entry.is_object and (measured := _measurements(entry)) != NOTHING
        )
    )


def _category(name: str, payload: Payload, measured: Measurements) -> Category:
    timeout = payload.number("timeout")
    return Category(
        name=name,
        measured=measured,
        phase_communicated=tuple(
            (quantity, moment)
            for quantity, key in _PHASE_TIMES
            if (moment := payload.instant(key)) is not None
        ),
        devices=payload.number("num_meters_aggregated"),
        timeout=None if timeout is None else timeout / _NANOSECONDS,
    )


PhaseValues = tuple[tuple[str, float], ...]
"""Names of phases, a to c, and their values; a phase that is not measured is not there."""


@dataclass(frozen=True, slots=True)
class MeterDevice:
    """A meter. A solar meter counts production as ``imported``, the other way round from the sums.

    ``enabled`` and ``inverted`` are those of current transformers 1 to 4. ``exported`` and ``imported`` of a phase are
    in J. ``distinct_id`` is the id where other meters of the category have the same type and serial, as the current
    transformers of one Neurio do, and "" where type and serial suffice.
    """

    type: str
    serial: str
    location: str | None
    short_id: str | None
    id: str | None
    distinct_id: str
    connected: bool | None
    measured: Measurements
    voltages: PhaseValues
    powers: PhaseValues
    reactive_powers: PhaseValues
    currents: PhaseValues
    exported: PhaseValues
    imported: PhaseValues
    enabled: tuple[bool | None, ...]
    inverted: tuple[bool | None, ...]
    power_scale: float | None


@dataclass(frozen=True, slots=True)
class MeterDevices:
    """The meters of one category."""

    devices: tuple[MeterDevice, ...]


def parse_meter_devices(payload: Payload, read_at: float) -> MeterDevices:
    """A category without meters of its own is ``null``."""
    devices = [_device(entry) for entry in payload.elements() if entry.is_object]
    alike = Counter((device.type, device.serial) for device in devices)
    return MeterDevices(
        tuple(
            replace(device, distinct_id=device.id or "") if alike[device.type, device.serial] > 1 else device
            for device in devices
        )
    )


def _device(payload: Payload) -> MeterDevice:
    connection = payload.child("connection")
    readings = payload.child("Cached_readings")
    number = payload.number("id")
    meter_type = payload.text("type") or ""
    enabled = payload.flags("cts")[:4]
    voltages = _phases(readings, _VOLTAGES, _VOLTAGE_TIME)
    silent = _silent_phases(readings, voltages, enabled)
    powers = _phases(readings, _POWERS, _POWER_TIME, silent)
    reactive_powers = _phases(readings, _REACTIVE_POWERS, _POWER_TIME, silent)
    connected = frozenset(phase for phase, _ in powers + voltages)
    return MeterDevice(
        type=meter_type,
        serial=connection.text("device_serial") or "",
        location=payload.text("location"),
        short_id=connection.text("short_id"),
        id=None if number is None else f"{number:.15g}",
        distinct_id="",
        connected=connection.flag("neurio_connected"),
        measured=_measurements(readings),
        voltages=voltages,
        powers=powers,
        reactive_powers=reactive_powers,
        currents=_currents(readings, meter_type, connected, dict(powers), dict(reactive_powers)),
        exported=_phases(readings, _EXPORTED, _ENERGY_TIME, scale=_WATT_HOUR),
        imported=_phases(readings, _IMPORTED, _ENERGY_TIME, scale=_WATT_HOUR),
        enabled=enabled,
        inverted=payload.flags("inverted")[:4],
        power_scale=payload.number("real_power_scale_factor"),
    )


def _silent_phases(
    readings: Payload, voltages: PhaseValues, enabled: tuple[bool | None, ...]
) -> frozenset[str]:
    """The phases whose power is 0 where the gateway leaves it out, as 21.x and later do with exactly 0.

    Powers by phase were measured once, the phase has a voltage, and a current transformer of its own: the one of its
    number, or any where there are as many as voltages (a solar meter may use number 4 for phase a).
    """
    if readings.instant(_POWER_TIME) is None:
        return frozenset()
    enough = enabled.count(True) >= len(voltages)
    own = {phase for phase, flag in zip(PHASES, enabled, strict=False) if flag}
    return frozenset(phase for phase, _ in voltages if enough or phase in own)


def _phases(
    readings: Payload, keys: Keys, time: str, silent: frozenset[str] = frozenset(), scale: float = 1.0
) -> PhaseValues:
    """The values by phase under ``keys``; 0 for a ``silent`` one that has no value.

    None at all where ``time``, that of their measurement, is in the year 1: never. Firmware of 2018 does not report
    that time.
    """
    if readings.never(time):
        return ()
    values = []
    for phase, key in keys:
        value = readings.number(key, scale)
        if value is None and phase in silent and not readings.has(key):
            value = 0.0
        if value is not None:
            values.append((phase, value))
    return tuple(values)


def _currents(
    readings: Payload,
    meter_type: str,
    connected: frozenset[str],
    powers: dict[str, float],
    reactive_powers: dict[str, float],
) -> PhaseValues:
    """Currents of the ``connected`` phases: the gateway also reports 0 for others, and a Neurio measures none."""
    if readings.never(_POWER_TIME):
        return ()
    currents = []
    for phase, key in _CURRENTS:
        if phase not in connected:
            continue
        current = measured_current(readings, key, powers.get(phase), reactive_powers.get(phase))
        if current is not None:
            currents.append((phase, current))
    if meter_type.startswith("neurio") and not any(current for _, current in currents):
        return ()
    return tuple(currents)


@dataclass(frozen=True, slots=True)
class MetersStatus:
    """The state of the meters by the gateway: ``state`` is "ok" or the complaint."""

    state: str | None
    errors: float | None


def parse_meters_status(payload: Payload, read_at: float) -> MetersStatus:
    """An empty status is a good one."""
    status = payload.word("status", METERS_STATES)
    return MetersStatus(state="ok" if status == "" else status, errors=payload.length("errors"))
