"""One probe of one gateway: under one deadline read what is due, keep what arrived, and never raise."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import Module
from probe_exporter.errors import DeadlineError, DecodeError, GatewayError
from probe_exporter.fleet import Kept, PastProbe, ProbeResult, Site
from probe_exporter.gateway.certificate import read_certificate
from probe_exporter.gateway.client import Fetched, Limits
from probe_exporter.gateway.endpoints import BY_NAME, DECISIVE, ENDPOINTS, Endpoint
from probe_exporter.gateway.schedule import Entry
from probe_exporter.metrics import CATALOGUE, COUNTERS
from probe_exporter.metrics.assembly import Assembled, assemble
from probe_exporter.metrics.guard import Key, counters
from probe_exporter.metrics.probe import EndpointOutcome, Verdict, probe_metrics
from probe_exporter.readings import ATTRIBUTES, Readings, read, without_names
from probe_exporter.telemetry import Telemetry

__all__ = ["EndpointOutcome", "ProbeResult", "Prober", "probe_deadline", "unanswered"]

log = logging.getLogger(__name__)

LONGEST_PROBE: Final = 3600.0
"""Seconds that a probe may take, whatever its client allows: clocks of the system overflow on absurd ones."""

_OF_SITE_MASTER = ("meters/aggregates", "system_status/soe", "system_status/grid_status")
"""What only a running site master answers."""

_LAST_RESORT = ("status", "sitemaster")


def probe_deadline(module: Module, header: str | None, now: float) -> float:
    """When a probe must be over, in the seconds of ``now``.

    ``header`` is X-Prometheus-Scrape-Timeout-Seconds; a malformed one counts as none. The module's offset is kept
    back from it, but never more than half.
    """
    try:
        patience = float(header) if header is not None else math.nan
    except ValueError:
        patience = math.nan
    if not (math.isfinite(patience) and patience > 0.0):
        return now + module.timeout
    return now + max(patience - module.timeout_offset, patience / 2.0)


class Prober:
    """Runs probes, each for whoever asked; sharing a run between requests is the work of the web's runner."""

    def __init__(self, telemetry: Telemetry, clock: Clock | None = None) -> None:
        self._telemetry = telemetry
        self._clock = clock or SystemClock()

    def probe(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        """Probe until ``deadline`` (seconds of `time.monotonic`) at most. Never raises."""
        deadline = min(deadline, time.monotonic() + LONGEST_PROBE)
        return self._cached(site, module) or self._observe(site, module, deadline)

    def _cached(self, site: Site, module: Module) -> ProbeResult | None:
        """A result younger than the module's min_interval, its ages grown since."""
        if module.min_interval <= 0.0:
            return None
        at, result = site.memory.cached.get(module, (0.0, None))
        if result is None:
            return None
        elapsed = self._clock.monotonic() - at
        return _aged(result, elapsed) if elapsed < module.min_interval else None

    def _observe(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        telemetry = self._telemetry
        telemetry.probes.inc()
        telemetry.probes_in_flight.inc()
        try:
            result = self._probe_alone(site, module, deadline)
        except Exception as error:  # noqa: BLE001
            # A defect of ours must cost one answer, not the process; the traceback stays out of the log because
            # its lines may quote what a gateway sent.
            log.error(
                "%s: a defect of the exporter ended the probe: %s; please report it", site.name, _place(error)
            )
            result = _failed(
                site, module, self._clock.time(), 0.0, "decode", f"internal error: {_place(error)}"
            )
        finally:
            telemetry.probes_in_flight.dec()
        telemetry.probe_duration.observe(result.duration)
        if result.reason is not None:
            telemetry.count_probe_failure(result.reason)
        _remember(site, module, result, self._clock.monotonic())
        return result

    def _probe_alone(self, site: Site, module: Module, deadline: float) -> ProbeResult:
        """One probe of a gateway at a time: another module's waits, and counts the wait into its own deadline."""
        started, begun = self._clock.time(), time.monotonic()
        if not site.memory.lock.acquire(timeout=max(0.0, deadline - begun)):
            return unanswered(site, module, started, time.monotonic() - begun)
        try:
            return _Probe(site, module, self._clock).run(deadline)
        finally:
            site.memory.lock.release()


def unanswered(site: Site, module: Module, started: float, duration: float = 0.0) -> ProbeResult:
    """What is answered when the deadline has come and the probe has not. Times in seconds."""
    error = f"{site.name}: the probe did not end before its deadline"
    return _failed(site, module, started, duration, "timeout", error)


def _failed(
    site: Site, module: Module, started: float, duration: float, reason: str, error: str
) -> ProbeResult:
    verdict = Verdict(False, reason, duration, pinned=site.config.pin is not None)
    return ProbeResult(
        site.name,
        module.name,
        started,
        verdict,
        error,
        tuple(probe_metrics(verdict)),
        log=(error,),
        cut_short=reason == DeadlineError.reason,
    )


def _place(error: BaseException) -> str:
    """The type of an unexpected error and where it was raised, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + where


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


def _remember(site: Site, module: Module, result: ProbeResult, now: float) -> None:
    memory = site.memory
    _log_change(site, memory.last, result)
    past = PastProbe(result.started, result.duration, result.success, result.reason, result.error)
    memory.history.append(past)
    if module.min_interval > 0.0 and not result.cut_short:
        # What ran out of a client's time must not be handed to the others.
        # A dict of its own each time: another module's probe may be reading the old one.
        young = {one: (at, kept) for one, (at, kept) in memory.cached.items() if now - at < one.min_interval}
        memory.cached = {**young, module: (now, result)}
    lean = replace(result, metrics=())
    memory.last = lean
    if result.success:
        memory.last_good = lean


def _log_change(site: Site, before: ProbeResult | None, now: ProbeResult) -> None:
    """One line when a gateway starts to fail, fails for another reason, or recovers; the rest is for debug."""
    previous = before.reason if before is not None else None
    if now.reason is not None and now.reason != previous:
        log.warning("probe failed (%s): %s", now.reason, now.error)
    elif now.reason is None and previous is not None:
        log.info("%s: the probe succeeds again", site.name)
    if log.isEnabledFor(logging.DEBUG):
        for line in now.log:
            log.debug("%s: %s", site.name, line)


class _Probe:
    """The state of one probe while it runs."""

    def __init__(self, site: Site, module: Module, clock: Clock) -> None:
        self._site = site
        self._module = module
        self._clock = clock
        self._memory = site.memory
        self._schedule = site.memory.schedule
        self._started = clock.time()
        self._begun = time.monotonic()
        self._fresh: set[str] = set()
        self._asked: set[str] = set()
        self._steps: list[str] = []
        self._cut_short = False

    def run(self, deadline: float) -> ProbeResult:
        self._trace(f"probing {self._site.name} with module {self._module.name}")
        cause = self._read(deadline)
        return self._result(cause)

    def _trace(self, step: str) -> None:
        self._steps.append(f"{time.monotonic() - self._begun:7.3f} {step}")

    # Reading

    def _read(self, deadline: float) -> GatewayError | None:
        """Ask for what is due; the error that ended the probe, None where none did."""
        limits = Limits.of(self._module, deadline)
        now = self._clock.monotonic()
        due = self._schedule.due(now, self._module.collectors, self._superfluous())
        try:
            self._fetch(due, limits)
            if not self._fresh.intersection(_OF_SITE_MASTER):
                self._fetch(self._last_resort(now), limits)
        except GatewayError as error:
            for endpoint in due:
                if endpoint.name not in self._asked:
                    self._schedule.note(endpoint, error, None, now)
                    self._memory.kept.pop(endpoint.name, None)
            self._trace(f"{error.reason}: {error}")
            self._cut_short |= isinstance(error, DeadlineError) or time.monotonic() >= deadline
            return error.as_value()
        return None

    def _superfluous(self) -> tuple[str, ...]:
        """The list of grid faults is asked for only where system_status does not carry it."""
        kept = self._memory.kept.get("system_status")
        carried = getattr(kept.reading.value, "grid_faults", None) if kept else None
        return ("system_status/grid_faults",) if carried is not None else ()

    def _last_resort(self, now: float) -> list[Endpoint]:
        """What a stopped site master still answers, whatever its tier."""
        return [
            BY_NAME[name]
            for name in _LAST_RESORT
            if name not in self._asked and not self._schedule.entries[name].resting(now)
        ]

    def _fetch(self, endpoints: Iterable[Endpoint], limits: Limits) -> None:
        for fetched in self._site.gateway.fetch(endpoints, limits, self._trace):
            self._take(fetched)

    def _take(self, fetched: Fetched) -> None:
        """Keep what arrived, or forget what was kept before: an endpoint that fails shows nothing."""
        name = fetched.endpoint.name
        now = self._clock.monotonic()
        self._asked.add(name)
        error = fetched.error
        if error is None:
            reading = read(name, fetched.document, fetched.read_at)
            if reading.value is None and fetched.endpoint.core and fetched.endpoint.tier != "slow":
                error = DecodeError(f"the answer of {name} holds nothing usable")
            else:
                self._fresh.add(name)
                self._memory.kept[name] = self._judged(name, Kept(reading, now, fetched.read_at))
                if name == "status":
                    self._judge_again()
                self._tell_words(name, reading.unknown)
        if error is not None:
            self._memory.kept.pop(name, None)
            self._cut_short |= isinstance(error, DeadlineError)
        self._schedule.note(fetched.endpoint, error, fetched.duration, now)

    def _judged(self, name: str, kept: Kept) -> Kept:
        """With what the counters' guard holds back of it."""
        one = Readings()
        setattr(one, ATTRIBUTES[name], kept.reading.value)
        found = counters(COUNTERS, one)
        if not found:
            return kept
        status = self._memory.kept.get("status")
        uptime = getattr(status.reading.value, "uptime", None) if status else None
        return replace(kept, held=self._memory.guard.judge(found, kept.at, uptime))

    def _judge_again(self) -> None:
        """Zeros that came before the gateway told its uptime may be true ones."""
        for name, kept in self._memory.kept.items():
            if kept.held:
                self._memory.kept[name] = self._judged(name, kept)

    def _tell_words(self, name: str, words: tuple[str, ...]) -> None:
        """Name each word that no firmware known to us says, once; a hostile gateway has a hundred at most."""
        for word in words:
            if (name, word) not in self._memory.words and len(self._memory.words) < 100:
                self._memory.words.add((name, word))
                log.info("%s: %s says %r, which this release does not know", self._site.name, name, word)

    # Result

    def _result(self, cause: GatewayError | None) -> ProbeResult:
        refused = self._site.gateway.login.resting_refused
        readings = self._readings(self._memory.kept)
        assembled = self._assemble(readings)
        decisive = self._fresh.intersection(DECISIVE)
        success = not refused and bool(decisive & assembled.usable)
        if not success:
            readings = self._readings(self._fresh)
            assembled = self._assemble(readings)
        reason, error = (None, None) if success else self._failure(cause)
        verdict = self._verdict(reason, assembled)
        return ProbeResult(
            self._site.name,
            self._module.name,
            self._started,
            verdict,
            error,
            (*probe_metrics(verdict), *assembled.metrics),
            readings,
            tuple(self._steps),
            self._cut_short,
        )

    def _readings(self, names: Iterable[str]) -> Readings:
        readings = Readings()
        for name in names:
            endpoint = BY_NAME[name]
            if endpoint.collector in self._module.collectors:
                setattr(readings, ATTRIBUTES[name], self._memory.kept[name].reading.value)
        if readings.networks is not None and not self._module.network_names:
            readings.networks = without_names(readings.networks)
        return readings

    def _assemble(self, readings: Readings) -> Assembled:
        held = frozenset[Key]().union(*(kept.held for kept in self._memory.kept.values()))

        def admits(name: str, labels: tuple[str, ...], value: float) -> bool:
            return (name, labels) not in held

        return assemble(CATALOGUE, readings, self._module.collectors, admits)

    def _failure(self, cause: GatewayError | None) -> tuple[str, str]:
        """Why the probe failed, as reason and sentence: what ended it, a refused login, or a core endpoint."""
        name = self._site.name
        if cause is not None:
            return cause.reason, f"{name}: {cause}"
        login = self._site.gateway.login
        if login.resting_refused:
            try:
                login.check_allowed()
            except GatewayError as error:
                return error.reason, f"{name}: {error}"
        for endpoint in ENDPOINTS:
            failure = self._schedule.entries[endpoint.name].error
            if endpoint.core and failure is not None:
                return failure.reason, f"{name}: {endpoint.name}: {failure}"
        return DecodeError.reason, f"{name}: no core endpoint gave anything usable"

    def _verdict(self, reason: str | None, assembled: Assembled) -> Verdict:
        now = self._clock.monotonic()
        success = reason is None
        return Verdict(
            success=success,
            reason=reason,
            duration=time.monotonic() - self._begun,
            endpoints=tuple(
                self._outcome(entry, now, success)
                for entry in self._schedule.entries.values()
                if entry.endpoint.collector in self._module.collectors
            ),
            dropped=assembled.dropped,
            held_back=assembled.held_back,
            cooldown=self._site.gateway.login.cooldown(),
            pinned=self._site.config.pin is not None,
            certificate_end=self._certificate_end(),
        )

    def _outcome(self, entry: Entry, now: float, success: bool) -> EndpointOutcome:
        name = entry.endpoint.name
        kept = self._memory.kept.get(name) if success or name in self._fresh else None
        return EndpointOutcome(
            name,
            entry.supported(now),
            None if entry.asked is None and entry.error is None else entry.error is None,
            entry.duration,
            None if kept is None else max(0.0, now - kept.at),
            None if entry.error is None else entry.error.reason,
            0 if kept is None else len(kept.reading.unknown),
        )

    def _certificate_end(self) -> float | None:
        """When the gateway's certificate expires, in Unix seconds; parsed once, None before the first connection."""
        memory, certificate = self._memory, self._site.gateway.certificate
        if certificate is not None and certificate != memory.certificate:
            memory.certificate = certificate
            facts = read_certificate(certificate)
            memory.certificate_end = None if facts is None else facts.not_after.timestamp()
        return memory.certificate_end
