"""Probes for the event loop: runs and the clients that wait for them, all on the loop, without a thread.

An answer leaves when all that is due was read, or at its client's deadline with what is there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final

from probe_exporter.config import Module
from probe_exporter.errors import NoThreadError
from probe_exporter.fleet import ProbeResult, Site
from probe_exporter.probe import Prober
from probe_exporter.probe.run import Run
from probe_exporter.web.messages import OverloadedError
from probe_exporter.web.reading import LoopDriver

MOST_RUNS: Final = 1024
"""Runs at a time. A client whose gateway would need one more gets 503."""


class ProbeRunner:
    """Owns the drivers of the runs on the event loop, and the clients that wait for them."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._running: set[LoopDriver] = set()
        self._clients: set[asyncio.Future[None]] = set()
        self.draining = False
        """True if the server is shutting down: no new probes."""

    def drain(self, seconds: float) -> None:
        """Take no new probes; those who wait get what is there within ``seconds``, or at their own deadline."""
        self.draining = True
        for client in self._clients:
            client.get_loop().call_later(seconds, _wake, client)

    def close(self) -> None:
        """End the runs where they are: nobody waits for them."""
        for driver in list(self._running):
            driver.close()

    async def probe(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        """Probe, or wait for the run that is under way. ``deadline`` in seconds of `time.monotonic`.

        Raises OverloadedError.
        """
        if self.draining:
            raise OverloadedError
        cached = self._prober.cached(site, module)
        if cached is not None:
            return cached
        loop = asyncio.get_running_loop()
        client = loop.create_future()
        here = threading.get_ident()

        def notify() -> None:
            if threading.get_ident() == here:
                _wake(client)
            else:
                loop.call_soon_threadsafe(_wake, client)

        waiter = self._prober.join(site, module, deadline, notify, self._start)
        timer = loop.call_later(max(0.0, waiter.deadline - time.monotonic()), _wake, client)
        self._clients.add(client)
        try:
            await client
        finally:
            timer.cancel()
            self._clients.discard(client)
            result = self._prober.leave(site, waiter)
        return result

    def _start(self, run: Run) -> None:
        if len(self._running) >= MOST_RUNS:
            raise OverloadedError
        driver = LoopDriver(asyncio.get_running_loop(), run, self._running.discard)
        self._running.add(driver)
        try:
            driver.start()
        except NoThreadError as error:
            raise OverloadedError from error


def _wake(client: asyncio.Future[None]) -> None:
    if not client.done():
        client.set_result(None)
