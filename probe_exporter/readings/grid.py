"""The public grid as the gateway sees it: its state, and the faults that an inverter noticed. Times in Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.payload import Payload

GRID_CONNECTED = "SystemGridConnected"
GRID_STATES = (
    GRID_CONNECTED,
    "SystemIslandedActive",
    "SystemIslandedReady",
    "SystemTransitionToGrid",
    "SystemTransitionToIsland",
    "SystemMicroGridFaulted",
    "SystemWaitForUser",
)
_PLAIN: Final = {
    GRID_CONNECTED: "connected",
    "SystemIslandedActive": "islanded",
    "SystemIslandedReady": "islanding",
    "SystemTransitionToGrid": "reconnecting",
    "SystemTransitionToIsland": "islanding",
    "SystemMicroGridFaulted": "faulted",
    "SystemWaitForUser": "waiting for user",
}
UNITS = ("Hz", "Vrms")
"""The units of what a grid fault measured."""


@dataclass(frozen=True, slots=True)
class GridStatus:
    """``services_active`` while a utility controls the battery; None in firmware 1.x."""

    state: str | None
    services_active: bool | None

    @property
    def connected(self) -> bool | None:
        """Return True if the house is connected to the grid; a transition does not count."""
        return self.state == GRID_CONNECTED if self.state else None

    @property
    def word(self) -> str | None:
        """The state in plain words for people; an unknown word is returned unchanged."""
        return None if self.state is None else _PLAIN.get(self.state, self.state)


def parse_grid_status(payload: Payload, read_at: float) -> GridStatus:
    """The state of the grid now."""
    return GridStatus(payload.word("grid_status", GRID_STATES), payload.flag("grid_services_active"))


@dataclass(frozen=True, slots=True)
class GridFault:
    """An entry of the list of grid faults, which stays there for weeks. ``happened`` in Unix seconds.

    ``frequency`` in Hz and ``voltage`` in V are what was measured where the alert is about one of them.
    """

    alert: str
    ecu_type: str
    part_number: str
    serial: str
    is_fault: bool | None
    happened: float | None
    frequency: float | None
    voltage: float | None


@dataclass(frozen=True, slots=True)
class GridFaults:
    """The faults, the newest first as the gateway lists them; ``listed`` is False where there is no list at all."""

    faults: tuple[GridFault, ...]
    listed: bool = True


def parse_grid_faults(payload: Payload, read_at: float) -> GridFaults:
    """A document that is the list itself."""
    return GridFaults(tuple(_fault(element) for element in payload.elements()), payload.is_list)


def grid_faults_of(payload: Payload) -> GridFaults | None:
    """The list inside the system status; None where firmware does not carry it there."""
    faults = payload.child("grid_faults")
    return parse_grid_faults(faults, 0.0) if faults.is_list else None


def _fault(payload: Payload) -> GridFault:
    """``decoded_alert`` is a string that holds JSON: names and values, words as well as numbers with their unit."""
    measured = {
        unit: value
        for element in payload.nested("decoded_alert").elements()
        if (value := element.number("value")) is not None and (unit := element.word("units", UNITS))
    }
    return GridFault(
        alert=payload.text("alert_name") or "",
        ecu_type=payload.text("ecu_type") or "",
        part_number=payload.text("ecu_package_part_number") or "",
        serial=payload.text("ecu_package_serial_number") or "",
        is_fault=payload.flag("alert_is_fault"),
        happened=payload.moment("timestamp"),
        frequency=measured.get("Hz"),
        voltage=measured.get("Vrms"),
    )
