"""Currents that were measured: many meters report 0 A where they have no current transformer of their own."""

from __future__ import annotations

import math
from typing import Final

from probe_exporter.readings.payload import Payload

BELIEVED: Final = 100.0
"""Apparent power in VA beside which 0 A cannot be true."""


def measured_current(payload: Payload, key: str, *powers: float | None) -> float | None:
    """The current in A under ``key``; None for 0 A beside more than 100 VA.

    ``powers`` are the real and the reactive power, in W and var, or the apparent power alone. A Neurio, and a Powerwall
    3 for its battery (26.10), report 0 A at any power.
    """
    current = payload.number(key)
    if current != 0.0:
        return current
    apparent_power = math.hypot(*(power or 0.0 for power in powers))
    return None if apparent_power > BELIEVED else current
