"""The answer of one probe: a snapshot of what is remembered of a gateway, with its verdict.

The same code serves a client that has everything and one that must leave earlier. The caller holds no lock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import Module
from probe_exporter.config.tedapi_section import COLLECTOR
from probe_exporter.errors import DeadlineError, DecodeError, GatewayError
from probe_exporter.gateway.certificate import read_certificate
from probe_exporter.gateway.endpoints import BY_NAME, ENDPOINTS, SITE_MASTER
from probe_exporter.gateway.schedule import Entry
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.assembly import Assembled, assemble_groups
from probe_exporter.metrics.catalogue import TEDAPI_READINGS
from probe_exporter.metrics.groups import FamilyGroup, groups_of
from probe_exporter.metrics.probe import EndpointOutcome, Verdict, probe_metrics
from probe_exporter.probe.memory import Kept, Memory
from probe_exporter.probe.result import ProbeResult, Word
from probe_exporter.probe.site import Site
from probe_exporter.probe.tedapi import TedapiSide, elapsed
from probe_exporter.probe.waiting import Round, Waiter
from probe_exporter.readings import ATTRIBUTES, Readings, without_names

_LOGIN_OPEN: Final = "the gateway has not answered the login yet"

_SELDOM_READ: Final = {ATTRIBUTES[endpoint.name] for endpoint in ENDPOINTS if endpoint.tier != "fast"} | set(
    TEDAPI_READINGS
)
"""The attributes of `Readings` that are read once a minute or less."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The memory of a gateway at one moment. ``now`` is in monotonic seconds of the clock in use."""

    now: float
    fresh: frozenset[str]
    kept: dict[str, Kept]
    outcomes: tuple[EndpointOutcome, ...]
    failing: GatewayError | None
    failing_endpoint: str
    asked: bool
    cause: GatewayError | None
    steps: tuple[str, ...]


def make_answer(site: Site, waiter: Waiter, clock: Clock) -> ProbeResult:
    """Return the answer for a client that leaves now."""
    snapshot = _snapshot(site, waiter.round, clock)
    module = waiter.module
    fresh = {name: kept for name, kept in snapshot.kept.items() if name in snapshot.fresh}
    tedapi = site.memory.tedapi if COLLECTOR in module.collectors else None
    readings = _readings(snapshot.kept, module, tedapi)
    assembled = _assemble(readings, snapshot.kept, module, site.memory)
    told = snapshot.cause is None and _told(fresh, assembled, site)
    refused = site.gateway.session.missing and site.gateway.session.cooldown() > 0.0
    success = told or (tedapi is not None and not refused and tedapi.counts(told))
    shown = snapshot.kept if success else fresh
    if not success:
        readings = _readings(shown, module, tedapi, elapsed(waiter.arrived))
        assembled = _assemble(readings, shown, module, site.memory)
    reason, error = (None, None) if success else _failure(site, snapshot)
    verdict = Verdict(
        success=success,
        reason=reason,
        duration=time.monotonic() - waiter.arrived,
        endpoints=tuple(
            outcome if outcome.name in shown else replace(outcome, age=None, unknown=0)
            for outcome in snapshot.outcomes
            if BY_NAME[outcome.name].collector in module.collectors
        )
        + (tuple(tedapi.outcomes(success)) if tedapi is not None else ()),
        endpoint_metrics=module.endpoint_metrics,
        dropped=assembled.dropped,
        held_back=assembled.held_back,
        cooldown=max(site.gateway.session.cooldown(), 0.0 if tedapi is None else tedapi.cooldown),
        pinned=site.gateway.pinned and (tedapi is None or tedapi.run.pinned),
        certificate_end=_first_end(
            _certificate_end(site), None if tedapi is None else tedapi.certificate_end
        ),
        interfaces=_interfaces(site, fresh, tedapi),
    )
    return ProbeResult(
        site.name,
        module.name,
        waiter.started,
        verdict,
        _word(site, fresh, success),
        None if error is None else f"{site.name}: {error}",
        (*probe_metrics(verdict), *assembled.metrics),
        readings,
        snapshot.steps,
        bool(waiter.wants) or isinstance(snapshot.cause, DeadlineError),
    )


def answer_without_run(site: Site, module: Module, started: float, error: GatewayError) -> ProbeResult:
    """Return the answer where no run could be begun. ``started`` in Unix seconds."""
    verdict = Verdict(False, error.reason, 0.0, pinned=site.gateway.pinned)
    text = f"{site.name}: {error}"
    metrics = tuple(probe_metrics(verdict))
    return ProbeResult(
        site.name, module.name, started, verdict, "failing", text, metrics, log=(text,), cut_short=True
    )


def _snapshot(site: Site, current: Round, clock: Clock) -> _Snapshot:
    memory = site.memory
    with memory.lock:
        now = clock.monotonic()
        entries = memory.schedule.entries
        if memory.tedapi is not None:
            memory.tedapi.decide(entries, now)
        failing = [name for name, entry in entries.items() if entry.endpoint.core and entry.error is not None]
        kept = {name: one for name, one in memory.kept.items() if one.shown(now)}
        return _Snapshot(
            now,
            frozenset(current.fresh),
            kept,
            tuple(_outcome(entry, kept.get(name), site, now) for name, entry in entries.items()),
            entries[failing[0]].error if failing else None,
            failing[0] if failing else "",
            bool(current.asked),
            current.cause,
            tuple(current.steps),
        )


def _outcome(entry: Entry, kept: Kept | None, site: Site, now: float) -> EndpointOutcome:
    """The state of an endpoint. It is up while its last request was answered and the answer is young enough to show."""
    endpoint = entry.endpoint
    forbidden = not endpoint.core and site.gateway.session.forbids(endpoint)
    asked = entry.asked is not None or entry.error is not None
    return EndpointOutcome(
        endpoint.name,
        entry.supported(now) and not forbidden,
        (entry.error is None and kept is not None) if asked else None,
        entry.duration,
        None if kept is None else max(0.0, now - kept.at),
        None if entry.error is None else entry.error.reason,
        0 if kept is None else len(kept.reading.unknown),
    )


def _interfaces(
    site: Site, fresh: dict[str, Kept], tedapi: TedapiSide | None
) -> tuple[tuple[str, bool], ...]:
    """Return which configured interfaces answer. Public endpoints do not count: they prove no session."""
    found: list[tuple[str, bool]] = []
    session = site.gateway.session
    if session.has_password or tedapi is None:
        answered = any(not one.endpoint.public for one in fresh.values())
        found.append(("owner", answered and not session.missing))
    if tedapi is not None and tedapi.run.up is not None:
        found.append(("tedapi", tedapi.run.up))
    return tuple(found)


def _readings(
    kept: dict[str, Kept], module: Module, tedapi: TedapiSide | None, age_limit: float | None = None
) -> Readings:
    readings = Readings()
    for name, one in kept.items():
        if one.endpoint.collector in module.collectors:
            setattr(readings, ATTRIBUTES[name], one.reading.value)
    if readings.networks is not None and not module.network_names:
        readings.networks = without_names(readings.networks)
    if tedapi is not None:
        tedapi.fill(readings, age_limit)
    return readings


@cache
def _groups(by_tedapi: frozenset[str]) -> tuple[FamilyGroup, ...]:
    """The groups of the catalogue, the same for all gateways whose families come from the same interfaces."""
    return groups_of(CATALOGUE, by_tedapi, _SELDOM_READ)


def _assemble(readings: Readings, kept: dict[str, Kept], module: Module, memory: Memory) -> Assembled:
    held = frozenset().union(*(one.held for one in kept.values()))
    if memory.tedapi is not None and COLLECTOR in module.collectors:
        held |= memory.tedapi.held()
    return assemble_groups(
        _groups(readings.by_tedapi),
        readings,
        module.collectors,
        lambda name, labels, _: (name, labels) not in held,
        memory.texts,
    )


# The verdict


def _told(fresh: dict[str, Kept], assembled: Assembled, site: Site) -> bool:
    """Return True if the gateway reported its energy, or that it is stopped."""
    if assembled.usable.intersection(SITE_MASTER).intersection(fresh):
        return True
    system = fresh.get("system_status")
    if system is not None and any(
        getattr(system.reading.value, name, None) is not None for name in ("full_energy", "remaining_energy")
    ):
        return True
    sitemaster = fresh.get("sitemaster")
    return sitemaster is not None and _is_stopped(sitemaster) and not site.gateway.session.missing


def _is_stopped(kept: Kept) -> bool:
    value = kept.reading.value
    return getattr(value, "state", None) == "StatusDown" or getattr(value, "running", None) is False


def _failure(site: Site, snapshot: _Snapshot) -> tuple[str, str]:
    """Why the probe failed, as reason and sentence: what ended it, the login, or the first failing core endpoint."""
    gateway = site.gateway
    error = snapshot.cause or (None if snapshot.asked else gateway.unfinished)
    if error is None and gateway.session.missing:
        error = DeadlineError(_LOGIN_OPEN) if gateway.logging_in else gateway.session.refusal()
    if error is not None:
        return error.reason, str(error)
    if snapshot.failing is not None:
        return snapshot.failing.reason, f"{snapshot.failing_endpoint}: {snapshot.failing}"
    if snapshot.fresh.intersection(SITE_MASTER):
        return DecodeError.reason, "no core endpoint gave a usable answer"
    return DeadlineError.reason, "no core endpoint answered before the client's time was over"


def _word(site: Site, fresh: dict[str, Kept], success: bool) -> Word:
    if success:
        sitemaster = fresh.get("sitemaster")
        stopped = sitemaster is not None and _is_stopped(sitemaster) and not fresh.keys() & set(SITE_MASTER)
        return "stopped" if stopped else "ok"
    session = site.gateway.session
    return "waiting to log in" if session.missing and session.cooldown() > 0.0 else "failing"


def _first_end(*ends: float | None) -> float | None:
    return min((end for end in ends if end is not None), default=None)


def _certificate_end(site: Site) -> float | None:
    """The expiry of the gateway's certificate in Unix seconds; parsed once, None before the first connection."""
    memory, certificate = site.memory, site.gateway.certificate
    if certificate is not None and certificate != memory.certificate:
        facts = read_certificate(certificate)
        memory.certificate_end = None if facts is None else facts.not_after.timestamp()
        memory.certificate = certificate
    return memory.certificate_end
