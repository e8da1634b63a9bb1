"""The counter guard: a false step back of a lifetime counter reads as the whole lifetime again.

A gateway's counters read 0 for minutes after a boot, jitter by fractions where they are derived (the load's), and
really start anew when a meter is swapped. The guard only ever holds a reading back; it never changes a value and
never adds up. What it remembers is per gateway, and is lost on a restart without harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SMALL_STEP: Final = 3.6e6
"""Joules (1 kWh): a smaller drop is jitter, held back until the counter passes its old value."""

PATIENCE: Final = 600.0
"""Seconds of fresh, non-decreasing readings after which a large drop is believed."""

MAX_SERIES: Final = 2000

Key = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class _Memory:
    """``value`` was published last, None where nothing was; ``lower`` is the last one held back, since ``since``."""

    value: float | None = None
    lower: float | None = None
    since: float = 0.0
    read_at: float = 0.0
    believed: bool = True


class CounterGuard:
    """Remembers the counters of one gateway. Times are in Unix seconds, those of the readings themselves."""

    def __init__(self) -> None:
        self._series: dict[Key, _Memory] = {}

    def admits(self, key: Key, value: float, read_at: float, uptime: float | None) -> bool:
        """Whether this reading may be published. ``uptime`` of the gateway in seconds, None where unknown."""
        memory = self._series.pop(key, None) or _Memory()
        self._series[key] = memory  # the most recently seen stand last
        if len(self._series) > MAX_SERIES:
            del self._series[next(iter(self._series))]
        if read_at == memory.read_at:
            return memory.believed
        memory.read_at = read_at
        memory.believed = _admits(memory, value, read_at, uptime)
        if memory.believed:
            memory.value, memory.lower = value, None
        return memory.believed


def _admits(memory: _Memory, value: float, read_at: float, uptime: float | None) -> bool:
    if value < 0.0:
        return False
    if memory.value is None:
        return value > 0.0 or _believable_zero(memory, read_at, uptime)
    if value >= memory.value:
        return True
    if value == 0.0 or memory.value - value < SMALL_STEP:
        memory.lower = None
        return False
    if memory.lower is None or value < memory.lower:
        memory.since = read_at
    memory.lower = value
    return read_at - memory.since >= PATIENCE


def _believable_zero(memory: _Memory, read_at: float, uptime: float | None) -> bool:
    """A first reading of 0: waits while the gateway may still be booting, for ten minutes at most."""
    if memory.lower is None:
        memory.lower, memory.since = 0.0, read_at
    return (uptime is not None and uptime >= PATIENCE) or read_at - memory.since >= PATIENCE
