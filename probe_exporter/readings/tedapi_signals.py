"""Signals of a component in an answer of TEDAPI: found by name, each with a number, a text or a boolean."""

from __future__ import annotations

from probe_exporter.readings.payload import Payload

KILOWATT = 1000.0
KILOWATT_HOUR = 3.6e6
WATT_HOUR = 3600.0


class Signals:
    """The signals of one component. Of a name that repeats (``PCH_AcFrequency`` does) the first counts."""

    __slots__ = ("_by_name",)

    def __init__(self, component: Payload) -> None:
        self._by_name: dict[str, Payload] = {}
        for signal in component.child("signals").elements():
            name = signal.text("name")
            if name:
                self._by_name.setdefault(name, signal)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def number(self, name: str, scale: float = 1.0) -> float | None:
        """The number of a signal times ``scale``; None where it has none."""
        signal = self._by_name.get(name)
        return None if signal is None else signal.number("value", scale)

    def text(self, name: str) -> str | None:
        """The text of a signal; None where it has none."""
        signal = self._by_name.get(name)
        return None if signal is None else signal.text("textValue") or None


def serial_of(din: str | None) -> str:
    """The serial in a DIN, which is part number, two dashes and serial; "" for None."""
    return (din or "").partition("--")[2]


def active_alerts(component: Payload) -> tuple[str, ...]:
    """The names of the alerts that a component has active."""
    names = (alert.text("name") for alert in component.child("activeAlerts").elements())
    return tuple(dict.fromkeys(name for name in names if name))
