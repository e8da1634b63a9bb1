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


class MachineClock(TurnedClock):
    """The clock of a machine: the monotonic one begins anew with each start, and the wall clock may be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self._started = 0.0
        self.wrong = 0.0

    def restart(self, wrong: float = 0.0) -> None:
        """Start anew; the wall clock is ``wrong`` by so many seconds from then on."""
        self._started, self.wrong = super().monotonic() - 3.0, wrong

    def monotonic(self) -> float:
        return super().monotonic() - self._started

    def time(self) -> float:
        return super().time() + self.wrong
