"""A site that lives: asked for a document, it first catches up with the clock."""

from __future__ import annotations

import math
import threading
from typing import Final

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.simulator.documents import DOCUMENTS, LEGACY
from probe_exporter.simulator.household import Household
from probe_exporter.simulator.moment import Moment
from probe_exporter.simulator.profiles import PROFILES, ProfileName
from probe_exporter.simulator.strategies import Load, Strategy
from probe_exporter.simulator.system import NOT_FOUND, PUBLIC, SimulatedAnswer, document

_STEP: Final = 60.0
"""Seconds of a step; longer where the clock has jumped further than `_MAX_STEPS` of them."""

_MAX_STEPS: Final = 3_000
_HISTORY_STEP: Final = 900.0
"""Seconds of a step of what went before the start: a thousand sites are to be made in seconds."""


class LivingSite:
    """A system whose sun, house, batteries and grid move with ``clock``.

    The same seed gives the same site and weather. ``history`` seconds are simulated at the start, so that the batteries
    have the charge that the day has left.
    """

    def __init__(
        self,
        seed: int = 1,
        batteries: int = 1,
        profile: ProfileName = "pw2",
        clock: Clock | None = None,
        history: float = 86_400.0,
        strategy: Strategy | None = None,
        appliance: Load | None = None,
    ) -> None:
        if batteries < 1:
            raise ValueError("a site has at least one battery")
        self.profile = PROFILES[profile]
        self.seed = seed
        self.name = f"Simulated Home {seed}"
        self.household = Household.settled(self.profile, seed, batteries)
        self.household.strategy = strategy
        self.household.appliance = appliance
        self.public: frozenset[str] | None = None if profile == "legacy" else PUBLIC
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._now = self._clock.time() - history
        self._started = self._clock.time() - 86_400.0 * (2.0 + seed % 37) - 4_321.5
        self._transition = False
        self._documents = LEGACY if profile == "legacy" else DOCUMENTS
        self._catch_up(_HISTORY_STEP)

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """A document as of now, or 404."""
        write = self._documents.get(endpoint)
        if write is None or endpoint not in self.profile.endpoints:
            return NOT_FOUND
        return document(write(self.moment()))

    def moment(self) -> Moment:
        """Catch up with the clock, and take all facts of this moment."""
        with self._lock:
            self._catch_up()
            return Moment(
                site=self.household,
                name=self.name,
                time=self._now,
                started=self._started,
                transition=self._transition,
            )

    def outage(self, out: bool = True, returning: bool = False) -> None:
        """Begin an outage, or end it; ``returning`` is the state in between, still without it."""
        with self._lock:
            self._catch_up()
            self.household.islanded = out or returning
            self._transition = returning
            self.household.step(self._now, 1e-6)

    @property
    def off_grid(self) -> bool:
        """Return True during an outage."""
        return self.household.islanded

    def reboot(self) -> None:
        """Start the uptime anew."""
        with self._lock:
            self._started = self._clock.time()

    def _catch_up(self, step: float = _STEP) -> None:
        now = self._clock.time()
        gap = now - self._now
        if gap <= 0.0:
            return
        steps = min(_MAX_STEPS, math.ceil(gap / step))
        length = gap / steps
        start = self._now
        for index in range(steps):
            self.household.step(start + (index + 0.5) * length, length)
        self._now = now
