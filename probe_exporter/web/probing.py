"""Probes for the event loop: each run in a thread of a bounded pool, each client waiting on the loop without one.

An answer leaves when all that is due was read, or at its client's deadline with what is there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from probe_exporter.config import Module
from probe_exporter.fleet import ProbeResult, Site
from probe_exporter.probe import Prober

LEAST_WORKERS: Final = 16
MOST_WORKERS: Final = 1024
"""Runs at a time: one place for each gateway, up to this many gateways; above it places are shared."""


class OverloadedError(Exception):
    """No thread is free for another run, or the server is on its way out."""


def _places(gateways: int) -> int:
    return min(MOST_WORKERS, max(LEAST_WORKERS, gateways))


class ProbeRunner:
    """Owns the pool in which gateways are read. Its lock guards what is counted in the threads of runs, too."""

    def __init__(self, prober: Prober, gateways: int) -> None:
        self._prober = prober
        self._workers = _places(gateways)
        self._pool = ThreadPoolExecutor(self._workers, "probe")
        self._lock = threading.Lock()
        self._running: Counter[int] = Counter()
        self._clients: set[asyncio.Future[None]] = set()
        self._drain_until: float | None = None

    @property
    def draining(self) -> bool:
        """Return True if the server is on its way out: no new probes."""
        return self._drain_until is not None

    @property
    def busy(self) -> bool:
        """Return True while a client waits or a gateway is read."""
        return bool(self._clients) or bool(self._running)

    def resize(self, gateways: int) -> None:
        """Make room for the gateways of another configuration; runs under way end on the old threads."""
        workers = _places(gateways)
        if workers > self._workers:
            old, self._workers = self._pool, workers
            self._pool = ThreadPoolExecutor(workers, "probe")
            old.shutdown(wait=False)

    def drain(self, seconds: float) -> None:
        """Take no new probes; those who wait get what is there within ``seconds``, or at their own deadline."""
        self._drain_until = time.monotonic() + seconds
        for client in self._clients:
            client.get_loop().call_later(seconds, _wake, client)

    def close(self) -> None:
        """Let the threads go; one that is stuck is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

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

        def notify() -> None:
            loop.call_soon_threadsafe(_wake, client)

        waiter = self._prober.join(site, module, deadline, notify, partial(self._start, id(site.memory)))
        timer = loop.call_later(max(0.0, waiter.deadline - time.monotonic()), _wake, client)
        self._clients.add(client)
        try:
            await client
        finally:
            timer.cancel()
            self._clients.discard(client)
            result = self._prober.leave(site, waiter)
        return result

    def _start(self, place: int, work: Callable[[], None]) -> None:
        """Begin a run in the place of its gateway, which the run before it may be about to leave."""
        with self._lock:
            if len(self._running) >= self._workers and place not in self._running:
                raise OverloadedError
            self._running[place] += 1
        try:
            run = self._pool.submit(work)
        except RuntimeError as error:  # the system allows no further thread
            self._ended(place)
            raise OverloadedError from error
        # It is called in the thread of the run: the loop need not be woken for it.
        run.add_done_callback(lambda _: self._ended(place))

    def _ended(self, place: int) -> None:
        with self._lock:
            self._running[place] -= 1
            if not self._running[place]:
                del self._running[place]


def _wake(client: asyncio.Future[None]) -> None:
    if not client.done():
        client.set_result(None)
