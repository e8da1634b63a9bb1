"""The reading of TEDAPI's device controller: energy, flows, contactor, meters, single boards, alerts. Base units.

Empty slots of a bus have ``isMIA``, zeros or an empty serial; they are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.app_scale import app_ratio
from probe_exporter.readings.payload import Payload
from probe_exporter.readings.tedapi_components import DeviceAlert, PackEnergy, pack_energy
from probe_exporter.readings.tedapi_signals import (
    WATT_HOUR,
    Signals,
    active_alerts,
    serial_of,
)

CONTACTOR_GRID_STATES: Final = ("Grid_Compliant", "Grid_Qualifying", "Grid_Uncompliant")
ISLAND_MODES: Final = ("BACKUP",)

_GRID_PREFIX: Final = "ISLAND_GridState_"
_PHASES: Final = "abc"
_PRESENT: Final = 10.0
"""Volts below which a line is not there: idle lines show 0.5 to 7.5 V, and a frequency (26.10.3)."""

_FLOWS: Final = {"BATTERY": "battery", "SITE": "site", "LOAD": "load", "SOLAR": "solar"}
_STRINGS: Final = "ABCD"
_DEVICE_ALERT: Final = "_a"


@dataclass(frozen=True, slots=True)
class ContactorLine:
    """A phase at the contactor, a to c: V and Hz on the side of the grid and of the home."""

    phase: str
    grid_voltage: float | None
    grid_frequency: float | None
    home_voltage: float | None
    home_frequency: float | None


@dataclass(frozen=True, slots=True)
class PhaseReading:
    """A phase of a meter, a to c. W, var, A without a sign, V; the voltage is None where the line is not there."""

    phase: str
    power: float | None
    reactive_power: float | None
    current: float | None
    voltage: float | None


@dataclass(frozen=True, slots=True)
class DcString:
    """A string of a Powerwall+, by its letter. V and A."""

    name: str
    connected: bool | None
    voltage: float
    current: float | None


@dataclass(frozen=True, slots=True)
class DcInverter:
    """The solar inverter of a Powerwall+, by its serial. W, V, Hz."""

    serial: str
    state: str | None
    power: float | None
    voltage: float | None
    frequency: float | None
    strings: tuple[DcString, ...]


@dataclass(frozen=True, slots=True)
class DisabledBlock:
    """A battery block or solar inverter by its serial, and why it is disabled; no reasons where it is not."""

    serial: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Controller:
    """The device controller. Energies in J, powers in W, times in s.

    ``packs`` are by the serial of the pack's own board, and so are temperatures, fans and uptimes of single boards.
    ``clock_offset`` is the gateway's time minus ours.
    """

    remaining_energy: float | None
    full_energy: float | None
    flows: tuple[tuple[str, float], ...]
    contactor_closed: bool | None
    contactor_grid_state: str | None
    island_mode: str | None
    grid_ok: bool | None
    microgrid_ok: bool | None
    lines: tuple[ContactorLine, ...]
    meters: tuple[tuple[str, tuple[PhaseReading, ...]], ...]
    blocks: tuple[DisabledBlock, ...]
    alerts: tuple[DeviceAlert, ...] | None
    shut_down: bool | None
    shut_down_reasons: tuple[str, ...]
    running: bool | None
    clock_offset: float | None
    packs: tuple[tuple[str, PackEnergy], ...]
    temperatures: tuple[tuple[str, str, float], ...]
    fans: tuple[tuple[str, float], ...]
    uptimes: tuple[tuple[str, float], ...]
    inverters: tuple[DcInverter, ...]

    @property
    def charge(self) -> float | None:
        """State of charge as a ratio of the whole pack; on 26.10.3 exactly the value of the owner interface."""
        if self.remaining_energy is None or not self.full_energy:
            return None
        return self.remaining_energy / self.full_energy

    @property
    def app_charge(self) -> float | None:
        """As `charge`, on the scale of Tesla's app."""
        return None if self.charge is None else app_ratio(100.0 * self.charge)


def parse_controller(payload: Payload, read_at: float) -> Controller:
    """``read_at`` is the middle of the request that brought the gateway's time, which has whole seconds."""
    control = payload.child("control")
    energy = control.child("systemStatus")
    islanding = control.child("islanding")
    bus = payload.child("esCan").child("bus")
    islander = bus.child("ISLANDER").child("ISLAND_AcMeasurements")
    boards = [
        board for board in payload.child("components").child("msa").elements() if board.text("serialNumber")
    ]
    time = payload.child("system").instant("time")
    shutdown = control.child("siteShutdown")
    return Controller(
        remaining_energy=energy.number("nominalEnergyRemainingWh", WATT_HOUR),
        full_energy=energy.number("nominalFullPackEnergyWh", WATT_HOUR),
        flows=tuple(_flows(control)),
        contactor_closed=islanding.flag("contactorClosed"),
        contactor_grid_state=_grid_state(islander),
        island_mode=islanding.word("customerIslandMode", ISLAND_MODES),
        grid_ok=islanding.flag("gridOK"),
        microgrid_ok=islanding.flag("microGridOK"),
        lines=tuple(_lines(islander)),
        meters=tuple(_meters(bus.child("SYNC"))),
        blocks=tuple(_blocks(control)),
        alerts=_alerts(control, boards),
        shut_down=shutdown.flag("isShutDown"),
        shut_down_reasons=shutdown.texts("reasons"),
        running=payload.child("system").child("sitemanagerStatus").flag("isRunning"),
        clock_offset=None if time is None or not read_at else time - read_at,
        packs=tuple(_packs(boards)),
        temperatures=tuple(_temperatures(boards)),
        fans=tuple(_numbers(boards, "PVAC_Fan_Speed_Actual_RPM")),
        uptimes=tuple(_numbers(boards, "SYNC_Uptime", 0.001)),
        inverters=tuple(_inverters(bus)),
    )


def _flows(control: Payload) -> Iterator[tuple[str, float]]:
    """The flows that the owner interface has; others (GENERATOR, CONDUCTOR) are mostly 0."""
    for element in control.child("meterAggregates").elements():
        category = _FLOWS.get(element.text("location") or "")
        watts = element.number("realPowerW")
        if category and watts is not None:
            yield category, watts


def _grid_state(islander: Payload) -> str | None:
    word = None if islander.flag("isMIA") else islander.text("ISLAND_GridState")
    return word.removeprefix(_GRID_PREFIX) if word else None


def _lines(islander: Payload) -> Iterator[ContactorLine]:
    """Lines with a voltage on one side at least; in an outage that of the grid is a true 0, and has no frequency."""
    if islander.flag("isMIA"):
        return
    for number, phase in enumerate(_PHASES, 1):
        grid, home = (islander.number(f"ISLAND_VL{number}N_{side}") for side in ("Main", "Load"))
        if max(grid or 0.0, home or 0.0) < _PRESENT:
            continue
        grid_hertz, home_hertz = (
            islander.number(f"ISLAND_FreqL{number}_{side}") if (volts or 0.0) >= _PRESENT else None
            for side, volts in (("Main", grid), ("Load", home))
        )
        yield ContactorLine(phase, grid, grid_hertz or None, home, home_hertz or None)


def _meters(sync: Payload) -> Iterator[tuple[str, tuple[PhaseReading, ...]]]:
    """Meters X and Y of the gateway's own board, under the type that ``config.json`` gives them."""
    for letter in "XY":
        measured = sync.child(f"METER_{letter}_AcMeasurements")
        if not measured.is_object or measured.flag("isMIA"):
            continue
        yield f"synchrometer{letter}", tuple(_meter_phases(measured, f"METER_{letter}"))


def _meter_phases(measured: Payload, prefix: str) -> Iterator[PhaseReading]:
    for number, phase in enumerate(_PHASES, 1):
        transformer = f"{prefix}_CT{phase.upper()}"
        volts = measured.number(f"{prefix}_VL{number}N")
        yield PhaseReading(
            phase,
            measured.number(f"{transformer}_InstRealPower"),
            measured.number(f"{transformer}_InstReactivePower"),
            measured.number(f"{transformer}_I"),
            volts if volts is not None and volts >= _PRESENT else None,
        )


def _blocks(control: Payload) -> Iterator[DisabledBlock]:
    """Blocks that say whether they are disabled: null means unknown (2024), an empty list means that they are not."""
    for element in control.child("batteryBlocks").elements():
        serial = serial_of(element.text("din"))
        if serial and element.child("disableReasons").is_list:
            yield DisabledBlock(serial, element.texts("disableReasons"))


def _alerts(control: Payload, boards: list[Payload]) -> tuple[DeviceAlert, ...] | None:
    """Alerts of the gateway and of boards. The gateway's board repeats the gateway's own, which are left out there."""
    active = control.child("alerts")
    found = [DeviceAlert("gateway", "", name) for name in dict.fromkeys(active.texts("active"))]
    for board in boards:
        for name in active_alerts(board):
            source, mark, _ = name.partition(_DEVICE_ALERT)
            if mark:
                found.append(DeviceAlert(source.lower(), board.text("serialNumber") or "", name))
    return tuple(found) if active.child("active").is_list or found else None


def _packs(boards: list[Payload]) -> Iterator[tuple[str, PackEnergy]]:
    for board in boards:
        energy = pack_energy(Signals(board))
        if energy is not None:
            yield board.text("serialNumber") or "", energy


def _temperatures(boards: list[Payload]) -> Iterator[tuple[str, str, float]]:
    for sensor, signal in (("ambient", "THC_AmbientTemp"), ("heatsink", "PINV_HeatsinkTemp")):
        for serial, degrees in _numbers(boards, signal):
            yield serial, sensor, degrees


def _numbers(boards: list[Payload], signal: str, scale: float = 1.0) -> Iterator[tuple[str, float]]:
    for board in boards:
        number = Signals(board).number(signal, scale)
        if number is not None:
            yield board.text("serialNumber") or "", number


def _inverters(bus: Payload) -> Iterator[DcInverter]:
    """Inverters that name themselves. Which string switch belongs to which is known only where there is one each."""
    present = [
        element
        for element in bus.child("PVAC").elements()
        if element.text("packageSerialNumber") and element.child("PVAC_Status").flag("isMIA") is False
    ]
    switches = [
        element.child("PVS_Status")
        for element in bus.child("PVS").elements()
        if element.child("PVS_Status").flag("isMIA") is False
    ]
    switch = switches[0] if len(switches) == len(present) == 1 else Payload(None)
    for element in present:
        status = element.child("PVAC_Status")
        yield DcInverter(
            element.text("packageSerialNumber") or "",
            status.text("PVAC_State"),
            status.number("PVAC_Pout"),
            status.number("PVAC_Vout"),
            status.number("PVAC_Fout"),
            tuple(_dc_strings(element.child("PVAC_Logging"), switch)),
        )


def _dc_strings(logged: Payload, switch: Payload) -> Iterator[DcString]:
    """Inputs with panels: one that is not connected, or shows no voltage and no current, has none."""
    if logged.flag("isMIA"):
        return
    for name in _STRINGS:
        connected = switch.flag(f"PVS_String{name}_Connected")
        voltage = logged.number(f"PVAC_PVMeasuredVoltage_{name}")
        current = logged.number(f"PVAC_PVCurrent_{name}")
        if voltage is not None and connected is not False and (voltage > 0.0 or (current or 0.0) > 0.0):
            yield DcString(name, connected, voltage, None if current is None else max(current, 0.0))
