"""The components of a Powerwall 3 by TEDAPI: inverter with strings of panels, packs, alerts. Base units.

Packs and inverter are read by their own identity, never by their place in a list alone: a slot without a serial may
carry a plausible capacity and a wrong charge, and alerts that mean nothing (leader with follower, 2026).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.payload import Payload
from probe_exporter.readings.tedapi_signals import KILOWATT_HOUR, Signals, active_alerts, serial_of

PACK_STATES: Final = ("HVP_ACTIVE",)
HYBRID_STATES: Final = ("Pch_Active",)
HYBRID_MODES: Final = ("AcMode_GridFollowing",)
STRING_STATES: Final = ("Pv_Active", "Pv_Active_Parallel", "Pv_Standby")

_STRINGS: Final = "ABCDEF"
_FANS: Final = "AB"
_SENSORS: Final = {"max": "HVP_PackTempMax", "min": "HVP_PackTempMin", "shunt": "HVP_ShuntTemperature"}
_STRAY: Final = 20.0
"""Volts that an input without panels may show: 0 by day, up to 16 by night (26.10.3, inputs E and F)."""

_FLOWING: Final = 0.05
"""Amperes that distinguish a current from noise: an idle string reports −3.6e-16."""


@dataclass(frozen=True, slots=True)
class HybridString:
    """A string of panels; ``name`` is its letter. V, A, W; no signal has the power."""

    name: str
    state: str | None
    voltage: float
    current: float | None

    @property
    def power(self) -> float | None:
        """W; on 26.10.3 the sum of the strings came within 0.2 % of what the inverter reports."""
        return None if self.current is None else self.voltage * self.current


@dataclass(frozen=True, slots=True)
class Fan:
    """A fan; ``name`` is its letter. ``speed`` in revolutions per minute, ``duty`` a ratio."""

    name: str
    speed: float | None
    duty: float | None


@dataclass(frozen=True, slots=True)
class HybridInverter:
    """The inverter of a Powerwall 3, which carries sun and battery at once.

    ``solar_power`` and ``battery_power`` (+ is discharge) are DC, ``power`` is AC, + is output. W, V, Hz, °C.
    """

    state: str | None
    mode: str | None
    solar_power: float | None
    battery_power: float | None
    power: float | None
    voltage: float | None
    frequency: float | None
    ambient_temperature: float | None
    strings: tuple[HybridString, ...]
    fans: tuple[Fan, ...]


@dataclass(frozen=True, slots=True)
class PackEnergy:
    """The energies of one pack, in J; ``discharged`` over its life, on the DC side."""

    remaining: float | None
    full: float
    discharged: float | None


@dataclass(frozen=True, slots=True)
class HighVoltagePack:
    """A battery pack, by the serial of its own board. Temperatures in °C, by sensor."""

    serial: str
    part_number: str
    version: str
    state: str | None
    energy: PackEnergy | None
    temperatures: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class DeviceAlert:
    """An alert that is active: what kind of device gives it, the serial of that device, and its name."""

    source: str
    device: str
    name: str


@dataclass(frozen=True, slots=True)
class Components:
    """A Powerwall 3, by the ``serial`` in the DIN that was asked. Counts are of its own packs.

    ``unnamed`` is the one pack of a unit whose boards report no serial.
    """

    serial: str
    inverter: HybridInverter | None
    packs: tuple[HighVoltagePack, ...]
    unnamed: HighVoltagePack | None
    connected: float | None
    present: float | None
    expected: float | None
    alerts: tuple[DeviceAlert, ...]


def parse_components(payload: Payload, read_at: float) -> Components:
    """An answer without the DIN that was asked is refused: its inverter would have no name."""
    serial = serial_of(payload.text("din"))
    parts = payload.child("components") if serial else Payload(None)
    slots = list(_slots(parts))
    filled = [slot for slot in slots if slot.energy is not None]
    aggregator = Signals(_only(parts.child("baggr")))
    return Components(
        serial=serial if parts.is_object else "",
        inverter=_inverter(Signals(_only(parts.child("pch")))),
        packs=tuple(pack for pack in slots if pack.serial),
        unnamed=filled[0] if len(filled) == 1 and not any(pack.serial for pack in slots) else None,
        connected=aggregator.number("BAGGR_NumBatteriesConnected"),
        present=aggregator.number("BAGGR_NumBatteriesPresent"),
        expected=aggregator.number("BAGGR_NumBatteriesExpected"),
        alerts=tuple(_alerts(parts, serial)),
    )


def _only(components: Payload) -> Payload:
    """The one component of its kind; an empty one where there are several, because none names its unit."""
    found = list(components.elements())
    return found[0] if len(found) == 1 else Payload(None)


def _inverter(signals: Signals) -> HybridInverter | None:
    inverter = HybridInverter(
        state=signals.text("PCH_State"),
        mode=signals.text("PCH_AcMode"),
        solar_power=signals.number("PCH_SlowPvPowerSum"),
        battery_power=signals.number("PCH_BatteryPower"),
        power=_either(signals.number("PCH_AcRealPowerSum"), signals.number("PCH_AcRealPowerAB")),
        voltage=signals.number("PCH_AcVoltageAB"),
        frequency=signals.number("PCH_AcFrequency") or None,
        ambient_temperature=signals.number("PCH_AmbientTemp"),
        strings=tuple(_strings(signals)),
        fans=tuple(_fans(signals)),
    )
    return None if inverter == _NO_INVERTER else inverter


_NO_INVERTER: Final = HybridInverter(None, None, None, None, None, None, None, None, (), ())


def _either(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _strings(signals: Signals) -> Iterator[HybridString]:
    """Inputs with panels. Their state does not show it: unused inputs report ``Pv_Active`` too (three sites)."""
    for name in _STRINGS:
        voltage = signals.number(f"PCH_PvVoltage{name}")
        current = signals.number(f"PCH_PvCurrent{name}")
        if voltage is None or (voltage < _STRAY and (current or 0.0) < _FLOWING):
            continue
        clamped = None if current is None else max(current, 0.0)
        yield HybridString(name, signals.text(f"PCH_PvState_{name}"), voltage, clamped)


def _fans(signals: Signals) -> Iterator[Fan]:
    for name in _FANS:
        speed = signals.number(f"PCH_FanSpeed_{name}")
        duty = signals.number(f"PCH_FanDuty_{name}")
        if speed is not None or duty is not None:
            yield Fan(name, speed, None if duty is None else duty / 100.0)


def _slots(parts: Payload) -> Iterator[HighVoltagePack]:
    """The slots for packs; a serial that two of them show is not used.

    Energies are in a parallel list, believed only where both lists have the same length.
    """
    boards = list(parts.child("hvp").elements())
    managers = list(parts.child("bms").elements())
    serials = [board.text("serialNumber") or "" for board in boards]
    paired = len(managers) == len(boards)
    for place, board in enumerate(boards):
        signals = Signals(board)
        yield HighVoltagePack(
            serial=serials[place] if serials.count(serials[place]) == 1 else "",
            part_number=board.text("partNumber") or "",
            version=signals.text("HVP_appGitHash") or "",
            state=signals.text("HVP_State"),
            energy=pack_energy(Signals(managers[place])) if paired else None,
            temperatures=tuple(
                (sensor, degrees)
                for sensor, name in _SENSORS.items()
                if (degrees := signals.number(name)) is not None
            ),
        )


def pack_energy(signals: Signals) -> PackEnergy | None:
    """The energies that a battery manager reports; None where it has none."""
    full = signals.number("BMS_nominalFullPackEnergy", KILOWATT_HOUR)
    if not full:
        return None
    remaining = signals.number("BMS_nominalEnergyRemaining", KILOWATT_HOUR)
    return PackEnergy(remaining, full, signals.number("BMS_kwhDischargeTotal", KILOWATT_HOUR))


def _alerts(parts: Payload, serial: str) -> Iterator[DeviceAlert]:
    """Alerts of the unit's single boards, and of packs that name themselves."""
    for source in ("pch", "pws", "baggr"):
        for name in active_alerts(_only(parts.child(source))):
            yield DeviceAlert(source, serial, name)
    for board in parts.child("hvp").elements():
        own = board.text("serialNumber")
        if own:
            for name in active_alerts(board):
                yield DeviceAlert("hvp", own, name)
