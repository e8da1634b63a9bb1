"""A run: one gateway is read for all clients that wait for it, until the last of them leaves.

A run belongs to the gateway, not to a client. Clients come while it is under way and leave when their time is over,
each with what has been read so far; what is under way then is read on and kept. Clients that wait at the same time
share a round: within it each endpoint is asked once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import Module
from probe_exporter.errors import (
    AuthError,
    BusyError,
    ConnectError,
    DeadlineError,
    DecodeError,
    ForbiddenError,
    GatewayError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.client import Fetched, Gateway, Limits
from probe_exporter.gateway.endpoints import BY_NAME, LAST_RESORT, SITE_MASTER, Endpoint
from probe_exporter.metrics import COUNTERS
from probe_exporter.metrics.guard import counters
from probe_exporter.probe.memory import Kept
from probe_exporter.probe.site import Site
from probe_exporter.probe.waiting import Round, Waiter
from probe_exporter.readings import ATTRIBUTES, Readings, read

log = logging.getLogger(__name__)

LOGIN_PATIENCE: Final = 0.75
"""The part of a client's time after which it no longer waits for a login alone."""

ASKED_AGAIN: Final = 10.0
"""Seconds after which an endpoint is asked again for a client that comes to a round late."""

_MOST_STEPS: Final = 500
"""Steps of a round that are logged: thousands of clients with short time limits may join one."""

_COUNTERS: Final = {
    endpoint: families
    for endpoint, attribute in ATTRIBUTES.items()
    if (families := tuple(family for family in COUNTERS if attribute in family.reads))
}
"""The families whose counters an endpoint has. Those of ``meters/site`` are in ``meters/solar`` as well."""


class Run:
    """Reads one gateway for those who wait. It is the demand of a fetch, and lives as long as that one.

    What clients see is guarded by the lock of the gateway's memory, except the steps that are logged.
    """

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._memory = site.memory
        self._schedule = site.memory.schedule
        self._todo: list[Endpoint] = []
        self._under_way: set[str] = set()
        self._limited: list[Waiter] = []
        self._limits: Limits | None = None
        self.round: Round | None = None

    @property
    def gateway(self) -> Gateway:
        """The gateway that is read."""
        return self._site.gateway

    def drive(self) -> None:
        """Read in this thread until nobody waits and nothing is under way. Never raises."""
        try:
            self.gateway.fetch(self)
        except Exception as error:  # noqa: BLE001
            self.end_by(error)

    def end_by(self, error: Exception) -> None:
        """End it for an exception that a turn of its fetch raised.

        A defect of ours must cost one answer, not the process. The traceback stays out of the log because its lines
        may quote what a gateway sent.
        """
        with self._memory.lock:
            self._memory.run = None  # the next client begins another run
        if isinstance(error, GatewayError):
            self.fail(error.as_value())
            return
        place = place_of(error)
        log.error(
            "%s: a defect of the exporter ended the probe: %s; please report it", self._site.name, place
        )
        self.fail(DecodeError(f"internal error: {place}"))

    # Clients. The caller holds the lock.

    def join(self, module: Module, deadline: float, notify: Callable[[], None]) -> Waiter:
        """Let a client wait. What is due for it and was not asked in this round is asked."""
        now = time.monotonic()
        leader = self.round is None or not (self._todo or self._under_way)
        if self.round is None or leader:
            self.round = Round(now, fresh=self._told(), unseen=self._memory.unseen)
            self._memory.unseen = set()
        waiter = Waiter(module, now, self._clock.time(), deadline, notify, self, self.round, leader)
        self.round.waiters.append(waiter)
        self.trace(f"probing {self._site.name} with module {module.name}")
        tedapi = self._memory.tedapi
        waiter.tedapi = tedapi is not None and tedapi.start(
            module, deadline - now, lambda: self._tedapi_ended(waiter)
        )
        self._want(waiter)
        self._finish(waiter)
        return waiter

    def _told(self) -> set[str]:
        """Return the endpoints that were read already, though not in the round that begins.

        The first client does not use up what was read on: another client with as little time may follow it.
        """
        before = self.round.fresh if self.round is not None else ()
        now, kept = self._clock.monotonic(), self._memory.kept
        young = {name for name in before if name in kept and now - kept[name].at < ASKED_AGAIN}
        return young | self._memory.read_on

    def _tedapi_ended(self, waiter: Waiter) -> None:
        with self._memory.lock:
            waiter.tedapi = False
            self._finish(waiter)

    @staticmethod
    def _finish(waiter: Waiter) -> None:
        """Notify a client, once, that all it waits for is there."""
        if not waiter.wants and not waiter.tedapi and not waiter.done:
            waiter.done = True
            waiter.notify()

    def leave(self, waiter: Waiter) -> bool:
        """Let a client go. Return True if it was the last one of its round."""
        waiter.done = True  # TEDAPI may still notify it
        waiters = waiter.round.waiters
        waiters.remove(waiter)
        if waiters or self.round is not waiter.round:
            return not waiters
        self.round = None
        self._todo = []
        return True

    def _want(self, waiter: Waiter) -> None:
        session, now = self._site.gateway.session, self._clock.monotonic()
        without = () if self._memory.tedapi is None else self._memory.tedapi.spoken_for
        due = [
            endpoint
            for endpoint in self._schedule.due(now, waiter.module.collectors, without)
            if waiter.arrived - waiter.round.asked.get(endpoint.name, -math.inf) >= ASKED_AGAIN
            and (endpoint.core or not session.forbids(endpoint))
        ]
        known = {endpoint.name for endpoint in self._todo} | self._under_way
        waiter.wants = {endpoint.name for endpoint in due}
        waiter.wants |= {
            name for name in waiter.round.asked.keys() & self._under_way if self._concerns(name, waiter)
        }
        self._todo = self._schedule.ordered(
            [*self._todo, *(endpoint for endpoint in due if endpoint.name not in known)], now
        )
        self._resort(waiter.round)

    @staticmethod
    def _concerns(name: str, waiter: Waiter) -> bool:
        return BY_NAME[name].collector in waiter.module.collectors

    # The demand of the fetch

    def limits(self) -> Limits | None:
        """Return the limits for the clients that wait now, None if there are none."""
        with self._memory.lock:
            waiting = self._waiting()
        if not waiting:
            return None
        if waiting != self._limited:
            self._limited, self._limits = waiting, self._limits_of(waiting)
        return self._limits

    def _limits_of(self, waiting: list[Waiter]) -> Limits:
        modules = [waiter.module for waiter in waiting]
        return Limits(
            deadline=max(waiter.deadline for waiter in waiting),
            public_from=min(
                waiter.arrived + LOGIN_PATIENCE * (waiter.deadline - waiter.arrived) for waiter in waiting
            ),
            retry_until=max(
                min(waiter.deadline, waiter.arrived + waiter.module.retry_timeout) for waiter in waiting
            ),
            request_timeout=max(module.request_timeout for module in modules),
            connect_timeout=max(module.connect_timeout for module in modules),
            retry_interval=min(module.retry_interval for module in modules),
            max_connections=self._most_connections(modules),
        )

    def _most_connections(self, modules: list[Module]) -> int:
        tedapi = self._memory.tedapi
        if tedapi is not None and tedapi.in_own_wifi:
            return 1
        return min(module.max_connections for module in modules)

    def _waiting(self) -> list[Waiter]:
        now = time.monotonic()
        waiters = self.round.waiters if self.round is not None else ()
        return [waiter for waiter in waiters if waiter.wants and waiter.deadline > now]

    def next(self, public_only: bool, hung_under_way: bool) -> Endpoint | None:
        """Return the endpoint to ask now.

        One that probably takes longer than the time that is left, judged by recent answers, is asked only if no other
        one is left. Among these come first those that were not read on since the last answer, so that all have their
        turn.
        """
        with self._memory.lock:
            if not self._todo:
                return None
            self._drop_superfluous()
            choice = [
                endpoint
                for endpoint in self._todo
                if endpoint.name not in self._under_way
                and (endpoint.public or not public_only)
                and not (hung_under_way and self.hung(endpoint))
            ]
            if not choice:
                return None
            left = max((waiter.deadline for waiter in self._waiting()), default=0.0) - time.monotonic()
            fitting = (endpoint for endpoint in choice if self._schedule.expected(endpoint) <= left)
            unseen = self.round.unseen if self.round is not None else ()
            missing = (endpoint for endpoint in choice if endpoint.name not in unseen)
            return next(fitting, next(missing, choice[0]))

    def asked(self, endpoint: Endpoint) -> None:
        """Count an endpoint as asked in this round."""
        with self._memory.lock:
            if endpoint in self._todo:  # otherwise the last client has left meanwhile
                self._todo.remove(endpoint)
            self._under_way.add(endpoint.name)
            if self.round is not None:
                self.round.asked[endpoint.name] = time.monotonic()

    def hung(self, endpoint: Endpoint) -> bool:
        """Return True if the last request of this endpoint was not answered."""
        return isinstance(self._schedule.entries[endpoint.name].error, DeadlineError)

    def _drop_superfluous(self) -> None:
        """The list of grid faults is asked for only where system_status does not carry it."""
        kept = self._memory.kept.get("system_status")
        faults = BY_NAME["system_status/grid_faults"]
        if faults in self._todo and getattr(kept and kept.reading.value, "grid_faults", None) is not None:
            self._todo.remove(faults)
            self._schedule.forget(faults)
            self._memory.kept.pop(faults.name, None)
            self._satisfy({faults.name})

    def take(self, fetched: Fetched) -> None:
        """Keep what arrived. A failure that says something about the endpoint itself ends what was kept of it."""
        endpoint, error = fetched.endpoint, fetched.error
        now = self._clock.monotonic()
        kept = None
        if error is None:
            reading = read(endpoint.name, fetched.document, fetched.read_at)
            if reading.value is None and endpoint.core and endpoint.tier != "slow":
                error = DecodeError(f"the answer of {endpoint.name} holds nothing usable")
            else:
                kept = self._judged(Kept(endpoint, reading, now, fetched.read_at))
                self._tell_firmware(kept)
                self._tell_words(endpoint.name, reading.unknown)
        with self._memory.lock:
            self._under_way.discard(endpoint.name)
            self._schedule.note(endpoint, error, fetched.duration, now)
            self._memory.read_on.discard(endpoint.name)
            if kept is not None:
                self._memory.kept[endpoint.name] = kept
                if endpoint.name == "status":
                    self._judge_again()
                if self.round is not None:
                    self.round.fresh.add(endpoint.name)
                if not self._waiting():
                    self._memory.read_on.add(endpoint.name)
                    self._memory.unseen.add(endpoint.name)
            elif error is not None and not _passes(error):
                self._memory.kept.pop(endpoint.name, None)
            self._resort(self.round)
            self._satisfy({endpoint.name})

    def _judged(self, kept: Kept) -> Kept:
        """The reading with the counters in it that the guard holds back. Each is judged once, when it arrives."""
        families = _COUNTERS.get(kept.endpoint.name)
        if families is None:
            return kept
        readings = Readings()
        setattr(readings, ATTRIBUTES[kept.endpoint.name], kept.reading.value)
        status = self._memory.kept.get("status")
        uptime = None if status is None else getattr(status.reading.value, "uptime", None)
        held = self._memory.guard.judge(counters(families, readings), kept.at, uptime)
        return Kept(kept.endpoint, kept.reading, kept.at, kept.read_at, held)

    def _judge_again(self) -> None:
        """Zeros that came before the gateway reported its uptime may be true ones."""
        for name, kept in self._memory.kept.items():
            if kept.held:
                self._memory.kept[name] = self._judged(kept)

    def _tell_firmware(self, kept: Kept) -> None:
        """Log a line for a change of firmware."""
        before = self._memory.kept.get("status")
        if kept.endpoint.name != "status" or before is None:
            return
        old, new = (getattr(one.reading.value, "version", None) for one in (before, kept))
        if old and new and old != new:
            log.info("%s: the firmware changed from %s to %s", self._site.name, old, new)

    def _tell_words(self, name: str, words: tuple[str, ...]) -> None:
        """Log each word that no known firmware uses, once; a hostile gateway has a hundred at most."""
        for word in words:
            if (name, word) not in self._memory.words and len(self._memory.words) < 100:
                self._memory.words.add((name, word))
                log.info(
                    "%s: %s has the word %r, which this release does not know", self._site.name, name, word
                )

    def _resort(self, current: Round | None) -> None:
        """If the site master answers nothing, request the endpoints that a stopped one answers, whatever their tier."""
        if current is None or current.fresh.intersection(SITE_MASTER):
            return
        todo = {endpoint.name for endpoint in self._todo}
        if (todo | self._under_way).intersection(SITE_MASTER):
            return
        now = self._clock.monotonic()
        for name in LAST_RESORT:
            if name in current.asked.keys() | todo or self._schedule.entries[name].resting(now):
                continue
            if name not in self._under_way:
                self._todo.append(BY_NAME[name])
            for waiter in current.waiters:
                waiter.wants.add(name)

    def _satisfy(self, names: set[str]) -> None:
        waiters = self.round.waiters if self.round is not None else ()
        for waiter in waiters:
            waiter.wants -= names
            self._finish(waiter)

    def fail(self, error: GatewayError) -> None:
        """End the wait of all clients: there will be no reading."""
        with self._memory.lock:
            todo, self._todo, current = self._todo, [], self.round
            self._under_way.clear()
            if current is None:
                return
            current.cause = error
            for endpoint in todo:
                self._schedule.note(endpoint, error, None, self._clock.monotonic())
            for waiter in current.waiters:
                waiter.wants.clear()
            self._satisfy(set())

    def end_if_idle(self) -> bool:
        """End if no client waits; the next client begins another run. Return True if it ended."""
        with self._memory.lock:
            if self._waiting():
                return False
            self._memory.run = None
            return True

    def trace(self, step: str) -> None:
        """Note a step for the log of the probe."""
        current = self.round
        if current is not None and len(current.steps) < _MOST_STEPS:
            current.steps.append(f"{time.monotonic() - current.begun:7.3f} {step}")


def _passes(error: GatewayError) -> bool:
    """Return True if the failure says nothing about the value that was read before: it is shown up to its age."""
    if isinstance(error, StatusError):
        return error.status == 502
    if isinstance(error, AuthError):
        return not isinstance(error, ForbiddenError)
    return isinstance(error, (ConnectError, DeadlineError, BusyError, RateLimitError))


def place_of(error: BaseException) -> str:
    """Return the type of an unexpected error and where it was raised, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + where
