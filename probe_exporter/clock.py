"""The clock, which tests can replace.

Tiers, cool-downs and caches read the clock they were given; only waiting for a socket uses the real one.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings in seconds: `monotonic` for intervals, `time` since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never step back."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
