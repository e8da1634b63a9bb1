"""When each endpoint of one gateway is asked: tiers, rests and what is remembered of the last request.

Times are monotonic seconds of the clock in use.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    ConnectError,
    ForbiddenError,
    GatewayError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.endpoints import ENDPOINTS, PERIOD, SLOW_PER_PROBE, Endpoint

ABSENT_REST: Final = 3600.0
LIMITED_REST: Final = 300.0
_SLACK: Final = 1.0
"""Seconds before its time that an endpoint is due: Prometheus' intervals jitter by a little."""


@dataclass(slots=True)
class Entry:
    """What is remembered of one endpoint. ``error`` is that of its last request, None where it answered."""

    endpoint: Endpoint
    asked: float | None = None
    rest_until: float = 0.0
    absent: bool = False
    error: GatewayError | None = None
    duration: float | None = None

    def resting(self, now: float) -> bool:
        """Whether it must not be asked yet."""
        return now < self.rest_until

    def supported(self, now: float) -> bool:
        """False while it is known to be absent or forbidden."""
        return not (self.absent and self.resting(now))

    def due(self, now: float) -> bool:
        """Whether its tier asks for it now."""
        if self.resting(now):
            return False
        if self.asked is None:
            return True
        if now - self.asked >= PERIOD[self.endpoint.tier] - _SLACK:
            return True
        return self.error is not None and (self.endpoint.core or _passes_soon(self.error))


def _passes_soon(error: GatewayError) -> bool:
    """Whether the failure says nothing about the endpoint itself, so that the next probe asks again."""
    if isinstance(error, StatusError):
        return error.status == 502
    return isinstance(error, (ConnectError, BusyError, AuthError))


class Schedule:
    """The endpoints of one gateway and their turns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.entries = {endpoint.name: Entry(endpoint) for endpoint in ENDPOINTS}
        self._fresh = True

    def due(self, now: float, collectors: Collection[str], without: Collection[str] = ()) -> list[Endpoint]:
        """What this probe should ask, in table order. ``without`` names endpoints whose data are there already.

        A first probe asks everything; later ones at most `SLOW_PER_PROBE` slow endpoints, the longest due first.
        """
        entries = [
            entry
            for entry in self.entries.values()
            if entry.endpoint.collector in collectors
            and entry.endpoint.name not in without
            and entry.due(now)
        ]
        if self._fresh:
            return [entry.endpoint for entry in entries]
        slow = [entry for entry in entries if entry.endpoint.tier == "slow"]
        slow.sort(key=lambda entry: -1.0 if entry.asked is None else entry.asked)
        chosen = {entry.endpoint.name for entry in slow[:SLOW_PER_PROBE]}
        return [
            entry.endpoint
            for entry in entries
            if entry.endpoint.tier != "slow" or entry.endpoint.name in chosen
        ]

    def note(
        self, endpoint: Endpoint, error: GatewayError | None, duration: float | None, now: float
    ) -> None:
        """Remember what became of a request. ``duration`` in seconds; None where nothing was sent."""
        entry = self.entries[endpoint.name]
        self._fresh = False
        entry.error = error
        if duration is None:
            return
        entry.asked = now
        entry.duration = duration
        forbidden = isinstance(error, ForbiddenError) and not endpoint.core
        entry.absent = forbidden or isinstance(error, AbsentError)
        entry.rest_until = 0.0
        if entry.absent:
            entry.rest_until = now + ABSENT_REST * self._spread(endpoint)
        elif isinstance(error, RateLimitError):
            entry.rest_until = now + LIMITED_REST

    def _spread(self, endpoint: Endpoint) -> float:
        """A factor of 1.0 to 1.2, so that what was found absent at once is not asked again at once."""
        return 1.0 + zlib.crc32(f"{self._name}/{endpoint.name}".encode()) % 1000 / 5000.0
