"""Probes for clients: each joins the run of its gateway, waits as long as it can, and gets its answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import Module
from probe_exporter.errors import DecodeError, NoThreadError
from probe_exporter.metrics.probe import probe_metrics
from probe_exporter.metrics.site import told_timezone
from probe_exporter.metrics.tariff import zone_of
from probe_exporter.probe.answer import answer_without_run, make_answer
from probe_exporter.probe.patience import LONGEST_PROBE
from probe_exporter.probe.result import PastProbe, ProbeResult
from probe_exporter.probe.run import Run, place_of
from probe_exporter.probe.site import Site
from probe_exporter.probe.today import today
from probe_exporter.probe.waiting import Waiter
from probe_exporter.telemetry import Telemetry

log = logging.getLogger(__name__)

Start = Callable[[Run], None]
"""Begins to drive a run: in another thread, or on an event loop. Raises what it raises where it cannot."""


class Prober:
    """Lets clients join and leave the runs of gateways."""

    def __init__(self, telemetry: Telemetry, clock: Clock | None = None) -> None:
        self._telemetry = telemetry
        self._clock = clock or SystemClock()

    def probe(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        """Probe until ``deadline`` (seconds of `time.monotonic`) at most. Never raises."""
        cached = self.cached(site, module)
        if cached is not None:
            return cached
        ready = threading.Event()
        try:
            waiter = self.join(site, module, deadline, ready.set, _in_a_thread)
        except RuntimeError as error:
            failure = NoThreadError(f"no gateway can be read: {error}")
            return answer_without_run(site, module, self._clock.time(), failure)
        ready.wait(max(0.0, waiter.deadline - time.monotonic()))
        return self.leave(site, waiter)

    def cached(self, site: Site, module: Module) -> ProbeResult | None:
        """Return a cached answer younger than the module's ``min_interval``, with its present ages, or None."""
        if module.min_interval <= 0.0:
            return None
        at, result = site.memory.cached.get(module, (0.0, None))
        if result is None:
            return None
        elapsed = self._clock.monotonic() - at
        return _aged(result, elapsed) if elapsed < module.min_interval else None

    def join(
        self, site: Site, module: Module, deadline: float, notify: Callable[[], None], start: Start
    ) -> Waiter:
        """Wait for the run of a gateway, which ``start`` begins where none is under way. `leave` must follow.

        ``notify`` is called when all that is due was read, perhaps in another thread. Raises what ``start`` raises.
        """
        deadline = min(deadline, time.monotonic() + LONGEST_PROBE)
        memory = site.memory
        with memory.lock:
            run = memory.run or Run(site, self._clock)
            waiter = run.join(module, deadline, notify)
            begins, memory.run = memory.run is None, run
        if begins:
            try:
                start(run)
            except BaseException:
                with memory.lock:
                    memory.run = None
                    run.leave(waiter)
                raise
        else:
            site.gateway.wake()
        if waiter.leader:
            self._telemetry.probes.inc()
            self._telemetry.probes_in_flight.inc()
        else:
            self._telemetry.shared_probes.inc()
        return waiter

    def leave(self, site: Site, waiter: Waiter) -> ProbeResult:
        """Return the answer for a client that leaves now, with everything or with what is there."""
        result = self._answer(site, waiter)
        with site.memory.lock:
            last = waiter.run.leave(waiter)
        if waiter.module.min_interval > 0.0 and not result.cut_short:
            self._cache(site, waiter.module, result)
        if last:
            self._end_round(site, result)
        return result

    def _answer(self, site: Site, waiter: Waiter) -> ProbeResult:
        try:
            return make_answer(site, waiter, self._clock)
        except Exception as error:  # noqa: BLE001
            # A defect of ours must cost one answer only: the client leaves its run in any case.
            place = place_of(error)
            log.error("%s: a defect of the exporter spoilt an answer: %s; please report it", site.name, place)
            defect = DecodeError(f"internal error: {place}")
            return answer_without_run(site, waiter.module, waiter.started, defect)

    def _cache(self, site: Site, module: Module, result: ProbeResult) -> None:
        memory, now = site.memory, self._clock.monotonic()
        # A new dict each time: the probe of another module may be reading the old one.
        young = {one: (at, kept) for one, (at, kept) in memory.cached.items() if now - at < one.min_interval}
        memory.cached = {**young, module: (now, result)}

    def _end_round(self, site: Site, result: ProbeResult) -> None:
        """Remember the answer of the client that left last: it is the most complete one of this round."""
        telemetry, memory = self._telemetry, site.memory
        telemetry.probes_in_flight.dec()
        telemetry.probe_duration.observe(result.duration)
        if result.reason is not None:
            telemetry.count_probe_failure(result.reason)
        _log_change(site, memory.last, result)
        memory.history.append(
            PastProbe(result.started, result.duration, result.success, result.reason, result.error)
        )
        lean = replace(result, metrics=())
        memory.last = lean
        if result.success:
            memory.last_good, memory.failing_since = lean, None
            zone = zone_of(site.config, told_timezone(result.readings))
            memory.today = today(memory.today, result.readings, result.started, zone)
        elif memory.failing_since is None:
            memory.failing_since = result.started


def _in_a_thread(run: Run) -> None:
    threading.Thread(target=run.drive, name="probe", daemon=True).start()


def _aged(result: ProbeResult, seconds: float) -> ProbeResult:
    """The same result, given again ``seconds`` later."""
    endpoints = tuple(
        outcome if outcome.age is None else replace(outcome, age=outcome.age + seconds)
        for outcome in result.endpoints
    )
    verdict = replace(result.verdict, endpoints=endpoints)
    own = {metric.name for metric in probe_metrics(verdict)}
    rest = tuple(metric for metric in result.metrics if metric.name not in own)
    return replace(result, verdict=verdict, metrics=(*probe_metrics(verdict), *rest))


def _log_change(site: Site, before: ProbeResult | None, now: ProbeResult) -> None:
    """Log a line when a gateway starts to fail, fails for another reason, or recovers; the rest is for debug."""
    previous = before.reason if before is not None else None
    if now.reason is not None and now.reason != previous:
        log.warning("probe failed (%s): %s", now.reason, now.error)
    elif now.reason is None and previous is not None:
        log.info("%s: the probe succeeds again", site.name)
    if log.isEnabledFor(logging.DEBUG):
        for line in now.log:
            log.debug("%s: %s", site.name, line)
