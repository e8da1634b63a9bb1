"""The memory of one gateway between probes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from probe_exporter.config import Module
from probe_exporter.gateway.endpoints import SHOWN, Endpoint
from probe_exporter.gateway.schedule import Schedule
from probe_exporter.metrics.groups import KeptTexts
from probe_exporter.metrics.guard import CounterGuard, Key
from probe_exporter.probe.result import PastProbe, ProbeResult
from probe_exporter.probe.today import Today
from probe_exporter.readings import Reading

if TYPE_CHECKING:
    from probe_exporter.probe.run import Run
    from probe_exporter.probe.tedapi import TedapiSide

HISTORY: Final = 20
"""Past probes that are remembered of each gateway."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and when it was taken, in monotonic seconds of the clock in use and in Unix seconds.

    ``held`` are the counters in it that the guard keeps back.
    """

    endpoint: Endpoint
    reading: Reading
    at: float
    read_at: float
    held: frozenset[Key] = frozenset()

    def shown(self, now: float) -> bool:
        """Return True if it is young enough to be shown at ``now``."""
        return now - self.at <= SHOWN[self.endpoint.tier]


@dataclass(slots=True)
class Memory:
    """The memory of one gateway between probes.

    ``lock`` is held for moments only. In a server the end of a TEDAPI run comes from another thread. In a command the
    run has a thread of its own.
    ``run`` is the run under way, None where nobody waits and nothing is read.
    ``failing_since`` is when the first of the failed probes since the last good one began, in Unix seconds.
    ``read_on`` are the endpoints whose last answer came when nobody waited any more, ``unseen`` those of them for which
    nobody has come since. ``texts`` is the text of what is kept and seldom read.
    """

    schedule: Schedule
    lock: threading.Lock = field(default_factory=threading.Lock)
    run: Run | None = None
    guard: CounterGuard = field(default_factory=CounterGuard)
    kept: dict[str, Kept] = field(default_factory=dict)
    texts: KeptTexts = field(default_factory=KeptTexts)
    read_on: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    history: deque[PastProbe] = field(default_factory=lambda: deque(maxlen=HISTORY))
    last: ProbeResult | None = None
    last_good: ProbeResult | None = None
    failing_since: float | None = None
    today: Today | None = None
    cached: dict[Module, tuple[float, ProbeResult]] = field(default_factory=dict)
    words: set[tuple[str, str]] = field(default_factory=set)
    tedapi: TedapiSide | None = None
    certificate: bytes | None = None
    certificate_end: float | None = None
