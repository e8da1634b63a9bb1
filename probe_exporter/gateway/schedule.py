"""The schedule of a gateway's endpoints: tiers, order, rests, and the result of the last request.

Times are monotonic seconds of the clock in use.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    ConnectError,
    DeadlineError,
    ForbiddenError,
    GatewayError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.endpoints import ENDPOINTS, FIRST, PERIOD, SHOWN, SLOW_PER_PROBE, Endpoint

ABSENT_REST: Final = 3600.0
LIMITED_REST: Final = 300.0
HANG_RESTS: Final = (60.0, 120.0, 300.0, 600.0)
"""Seconds that an endpoint rests after its third, fourth, fifth and each later hang in a row."""
CORE_HANG_REST: Final = 60.0
BUSY_RESTS: Final = (300.0, 600.0, 1200.0, 2400.0, 3600.0)
"""Seconds that an endpoint rests after its third and each later 503 in a row, where others answer."""
IN_A_ROW: Final = 3

_SLACK: Final = 1.0
"""Seconds before its time that an endpoint is due: Prometheus' intervals jitter by a little."""

_USUAL_INTERVAL: Final = 15.0
"""Seconds by which the lateness of a fast endpoint is measured: the usual scrape interval."""

_OTHERS_ANSWER: Final = 60.0
"""Seconds for which an answer proves that the gateway as a whole answers."""


@dataclass(slots=True)
class Entry:
    """The history of one endpoint.

    ``asked`` is when its last request ended, ``error`` why it failed, None where it was answered.
    ``hangs`` and ``busy`` count the hangs and the 503 in a row, the latter since ``busy_since``.
    """

    endpoint: Endpoint
    asked: float | None = None
    rest_until: float = 0.0
    absent: bool = False
    error: GatewayError | None = None
    duration: float | None = None
    hangs: int = 0
    busy: int = 0
    busy_since: float = 0.0

    def resting(self, now: float) -> bool:
        """Return True if it must not be asked yet."""
        return now < self.rest_until

    def supported(self, now: float) -> bool:
        """Return False while it is known to be absent or forbidden, or has been busy for an hour alone."""
        busy = self.busy >= IN_A_ROW and now - self.busy_since >= ABSENT_REST
        return not ((self.absent or busy) and self.resting(now))

    def due(self, now: float) -> bool:
        """Return True if its tier asks for it now."""
        if self.resting(now):
            return False
        if self.asked is None:
            return True
        if now - self.asked >= PERIOD[self.endpoint.tier] - _SLACK:
            return True
        return self.error is not None and (self.endpoint.core or _passes_soon(self.error))

    def shown(self, now: float) -> bool:
        """Return True if its last answer is still young enough to be shown."""
        return self.asked is not None and now - self.asked <= SHOWN[self.endpoint.tier]

    def lateness(self, now: float) -> float:
        """Return the time since it was read, in periods of its tier; infinite where it was never read."""
        if self.asked is None:
            return math.inf
        return (now - self.asked) / (PERIOD[self.endpoint.tier] or _USUAL_INTERVAL)


def _passes_soon(error: GatewayError) -> bool:
    """Return True if the failure says nothing about the endpoint itself, so that the next probe asks again."""
    if isinstance(error, StatusError):
        return error.status == 502
    return isinstance(error, (ConnectError, BusyError, AuthError)) and not isinstance(error, ForbiddenError)


class Schedule:
    """The endpoints of one gateway and their turns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.entries = {endpoint.name: Entry(endpoint) for endpoint in ENDPOINTS}
        self._took: deque[float] = deque(maxlen=8)
        self._answered: float | None = None

    def due(self, now: float, collectors: Collection[str], without: Collection[str] = ()) -> list[Endpoint]:
        """Return what a probe that begins now should ask, in the order in which it should.

        ``without`` names endpoints whose data are there already. Endpoints that were never read, or so long ago that
        nothing of it is shown, are all due; of the other slow ones at most `SLOW_PER_PROBE`, the latest first.
        """
        entries = [
            entry
            for entry in self.entries.values()
            if entry.endpoint.collector in collectors
            and entry.endpoint.name not in without
            and entry.due(now)
        ]
        slow = [entry for entry in entries if entry.endpoint.tier == "slow" and entry.shown(now)]
        slow.sort(key=lambda entry: -entry.lateness(now))
        left_out = {entry.endpoint.name for entry in slow[SLOW_PER_PROBE:]}
        return self.ordered([entry.endpoint for entry in entries if entry.endpoint.name not in left_out], now)

    def ordered(self, endpoints: list[Endpoint], now: float) -> list[Endpoint]:
        """Return the endpoints in the order in which they are asked: `FIRST`, the rest by lateness, then what hung."""

        def rank(endpoint: Endpoint) -> tuple[int, float]:
            entry = self.entries[endpoint.name]
            if isinstance(entry.error, DeadlineError):
                return 2, entry.asked or 0.0
            if endpoint.name in FIRST:
                return 0, FIRST.index(endpoint.name)
            return 1, -entry.lateness(now)

        return sorted(endpoints, key=rank)

    def expected(self, endpoint: Endpoint) -> float:
        """Return the seconds that an answer of this endpoint will probably take, 0 where nothing is known."""
        entry = self.entries[endpoint.name]
        if entry.duration is not None and entry.error is None:
            return entry.duration
        return statistics.median(self._took) if self._took else 0.0

    def note(
        self, endpoint: Endpoint, error: GatewayError | None, duration: float | None, now: float
    ) -> None:
        """Remember the outcome of a request. ``duration`` in seconds; None where nothing was sent."""
        entry = self.entries[endpoint.name]
        entry.error = error
        if duration is None:
            return
        entry.asked = now
        entry.duration = duration
        if error is None:
            self._took.append(duration)
            if not endpoint.public:
                self._answered = now
        forbidden = isinstance(error, ForbiddenError) and not endpoint.core
        entry.absent = forbidden or isinstance(error, AbsentError)
        entry.rest_until = now + self._rest(entry, error, now)

    def forget(self, endpoint: Endpoint) -> None:
        """Forget the last outcome of an endpoint that is not needed any more."""
        self.entries[endpoint.name] = Entry(endpoint)

    def _rest(self, entry: Entry, error: GatewayError | None, now: float) -> float:
        """Return for how many seconds an endpoint rests after this error, 0 for not at all; count hangs and 503."""
        others = self._answered is not None and now - self._answered <= _OTHERS_ANSWER
        entry.hangs = entry.hangs + 1 if isinstance(error, DeadlineError) and others else 0
        if not isinstance(error, BusyError):
            entry.busy = 0
        elif others and not entry.endpoint.core:
            entry.busy_since = entry.busy_since if entry.busy else now
            entry.busy += 1
            entry.absent = now - entry.busy_since >= ABSENT_REST
        if entry.absent:
            return ABSENT_REST * self._spread(entry.endpoint)
        if isinstance(error, RateLimitError):
            return LIMITED_REST
        if entry.hangs >= IN_A_ROW:
            return min(_step(HANG_RESTS, entry.hangs), CORE_HANG_REST if entry.endpoint.core else math.inf)
        return _step(BUSY_RESTS, entry.busy) if entry.busy >= IN_A_ROW else 0.0

    def _spread(self, endpoint: Endpoint) -> float:
        """Return a factor of 1.0 to 1.2, so that what was found absent at once is not asked again at once."""
        return 1.0 + zlib.crc32(f"{self._name}/{endpoint.name}".encode()) % 1000 / 5000.0


def _step(rests: tuple[float, ...], times: int) -> float:
    return rests[min(times - IN_A_ROW, len(rests) - 1)]
