"""A clock that tests turn."""

from __future__ import annotations


class TurnedClock:
    """Stands still until `turn` is called. Starts at 2025-06-15 12:00:00 UTC."""

    def __init__(self) -> None:
        self._elapsed = 1000.0

    def turn(self, seconds: float) -> None:
        self._elapsed += seconds

    def monotonic(self) -> float:
        return self._elapsed

    def time(self) -> float:
        return 1_749_988_800.0 + self._elapsed
