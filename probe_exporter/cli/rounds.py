"""Probes without Prometheus: a simulation asks its own gateways, so that its pages have something to show."""

from __future__ import annotations

import threading
import time
from typing import Final

from probe_exporter.fleet import Fleet
from probe_exporter.probe import Prober

PERIOD: Final = 15.0
"""Seconds from one round to the next."""

AT_ONCE: Final = 8
"""Gateways that are probed at a time."""


class Rounds:
    """Probes every gateway of a fleet again and again, in threads of its own, until `end`."""

    def __init__(self, fleet: Fleet, prober: Prober) -> None:
        self._fleet = fleet
        self._prober = prober
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin the first round now."""
        for lane in range(AT_ONCE):
            threading.Thread(target=self._go, args=(lane,), name="round", daemon=True).start()

    def end(self) -> None:
        """Begin no further probe; one that is under way is not waited for."""
        self._ended.set()

    def _go(self, lane: int) -> None:
        while not self._ended.is_set():
            for site in list(self._fleet.sites.values())[lane::AT_ONCE]:
                if self._ended.is_set():
                    return
                module = site.module()
                self._prober.probe(site, module, time.monotonic() + module.timeout)
            self._ended.wait(PERIOD)
