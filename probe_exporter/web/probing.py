"""Probes for the event loop: each in a thread of a bounded pool, shared where two ask for the same at once.

An answer leaves at its deadline, even when the thread that should bring it is stuck.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from probe_exporter.config import Module
from probe_exporter.fleet import ProbeResult, Site
from probe_exporter.probe import Prober, unanswered
from probe_exporter.telemetry import Telemetry

LEAST_WORKERS: Final = 16
MOST_WORKERS: Final = 1024

WORTH_A_RUN: Final = 0.5
"""Seconds more than another's run had that make one of our own worth it, where that one was cut short."""


class OverloadedError(Exception):
    """No thread is free for another probe, or the server is on its way out."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A probe under way, with the deadline of whoever asked for it first, in seconds of `time.monotonic`."""

    result: asyncio.Future[ProbeResult]
    deadline: float


class ProbeRunner:
    """Owns the pool, and knows which probes are under way."""

    def __init__(self, prober: Prober, telemetry: Telemetry, gateways: int) -> None:
        self._prober = prober
        self._telemetry = telemetry
        self._workers = min(MOST_WORKERS, max(LEAST_WORKERS, 2 * gateways))
        self._pool = ThreadPoolExecutor(self._workers, "probe")
        self._running: dict[tuple[int, Module], _Run] = {}
        self._drain_until: float | None = None
        self._draining: asyncio.Future[None] | None = None

    @property
    def draining(self) -> bool:
        """Whether the server is on its way out: no new probes."""
        return self._drain_until is not None

    @property
    def busy(self) -> bool:
        """Whether a probe is under way."""
        return bool(self._running)

    def resize(self, gateways: int) -> None:
        """Room for the gateways of another configuration; running probes end on the old threads."""
        workers = min(MOST_WORKERS, max(LEAST_WORKERS, 2 * gateways))
        if workers > self._workers:
            old, self._workers = self._pool, workers
            self._pool = ThreadPoolExecutor(workers, "probe")
            old.shutdown(wait=False)

    def drain(self, seconds: float) -> None:
        """Take no new probes; running ones answer within ``seconds``, or at their own deadline."""
        self._drain_until = time.monotonic() + seconds
        if self._draining is not None and not self._draining.done():
            self._draining.set_result(None)

    def close(self) -> None:
        """Let the threads go; one that is stuck is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def probe(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        """Probe, or wait for the same probe that is under way. ``deadline`` in seconds of `time.monotonic`.

        A probe that ran out of time because another client has less of it is run again. Raises OverloadedError.
        """
        key = (id(site.gateway), module)
        while True:
            run = self._running.get(key)
            if run is None:
                run = self._start(key, site, module, deadline)
            else:
                self._telemetry.shared_probes.inc()
            result = await self._wait(run.result, site, module, deadline)
            left = deadline - max(run.deadline, time.monotonic())
            if not result.cut_short or left < WORTH_A_RUN or self.draining:
                return result

    def _start(self, key: tuple[int, Module], site: Site, module: Module, deadline: float) -> _Run:
        if self.draining or len(self._running) >= self._workers:
            raise OverloadedError
        loop = asyncio.get_running_loop()
        result = loop.run_in_executor(self._pool, self._prober.probe, site, module, deadline)
        self._running[key] = run = _Run(result, deadline)
        result.add_done_callback(lambda _: self._running.pop(key, None))
        return run

    async def _wait(
        self, running: asyncio.Future[ProbeResult], site: Site, module: Module, deadline: float
    ) -> ProbeResult:
        begun, started = time.monotonic(), time.time()
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_future()
        while not running.done():
            until = deadline if self._drain_until is None else min(deadline, self._drain_until)
            left = until - time.monotonic()
            if left <= 0.0:
                return unanswered(site, module, started, time.monotonic() - begun)
            awaited: set[asyncio.Future[ProbeResult] | asyncio.Future[None]] = {running}
            if self._drain_until is None:
                awaited.add(self._draining)
            await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return running.result()
