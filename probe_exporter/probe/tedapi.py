"""TEDAPI beside the owner interface: what it adds to an answer, and which endpoints it replaces.

Which of the two delivers an endpoint of the owner interface is decided once, when that endpoint answers or proves
absent, and holds for as long as the configuration does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig, Module
from probe_exporter.config.tedapi_section import COLLECTOR
from probe_exporter.errors import AbsentError, AuthError
from probe_exporter.gateway.certificate import read_certificate
from probe_exporter.gateway.endpoints import BY_NAME, SITE_MASTER
from probe_exporter.gateway.schedule import Entry
from probe_exporter.metrics import COUNTERS, TWINNED
from probe_exporter.metrics.guard import CounterGuard, Key, counters
from probe_exporter.metrics.probe import EndpointOutcome
from probe_exporter.readings import ATTRIBUTES, Readings
from probe_exporter.readings.tedapi_components import Components
from probe_exporter.telemetry import Telemetry

if TYPE_CHECKING:
    from probe_exporter.gateway.tedapi_run import Asked, TedapiRun

CONTROLLER: Final = "tedapi/controller"
"""The answer that has the gateway's energy."""

_ITS_OWN: Final = frozenset({"solar_powerwall"})
"""Strings and inverters of a gateway with TEDAPI come from there alone."""


class TedapiSide:
    """TEDAPI of one gateway, as far as probes see it."""

    def __init__(self, run: TedapiRun, config: GatewayConfig, guard: CounterGuard, clock: Clock) -> None:
        self._run = run
        self._guard = guard
        self._clock = clock
        self._logs_in = config.login_password is not None
        section = config.tedapi
        self.in_own_wifi = (
            section is not None and section.password is not None and section.keys.gateway_address is None
        )
        """True where both interfaces are asked at the gateway's own access point, which accepts few connections."""
        self._spoken_for = _ITS_OWN
        self._open = set(TWINNED - _ITS_OWN)
        self._certificate: bytes | None = None
        self._certificate_end: float | None = None
        self._judged_at = 0.0
        self._held: frozenset[Key] = frozenset()

    @property
    def run(self) -> TedapiRun:
        """The run behind it."""
        return self._run

    @property
    def spoken_for(self) -> frozenset[str]:
        """The endpoints of the owner interface whose place it takes."""
        return self._spoken_for

    @property
    def error(self) -> str | None:
        """The reason why TEDAPI does not answer, None if it answers or was not asked yet."""
        return None if self._run.error is None else str(self._run.error)

    @property
    def certificate_end(self) -> float | None:
        """When the certificate at the address of TEDAPI expires, in Unix seconds; None before one is seen."""
        shown = self._run.certificate
        if shown is not None and shown != self._certificate:
            facts = read_certificate(shown)
            self._certificate_end = None if facts is None else facts.not_after.timestamp()
            self._certificate = shown
        return self._certificate_end

    @property
    def cooldown(self) -> float:
        """Seconds for which a refused key or password rests."""
        return self._run.cooldown if isinstance(self._run.error, AuthError) else 0.0

    def start(self, module: Module, patience: float, ended: Callable[[], None]) -> bool:
        """Start a run if something is due. Return True if its end is worth waiting for: then ``ended`` is called.

        ``patience`` is how many seconds the client has.
        """
        return COLLECTOR in module.collectors and self._run.start(ended, patience)

    def decide(self, entries: Mapping[str, Entry], now: float) -> None:
        """Decide for the endpoints that have answered, or are known to be absent, and were not decided for."""
        for name in list(self._open):
            entry = entries[name]
            if not self._logs_in and not BY_NAME[name].public:
                self._spoken_for |= {name}
            elif entry.asked is not None and entry.error is None:
                pass  # the owner interface has it
            elif name in SITE_MASTER or entry.supported(now):
                continue
            else:
                self._spoken_for |= {name}
            self._open.discard(name)

    def fill(self, readings: Readings, age_limit: float | None = None) -> None:
        """Put what is known into the readings; with ``age_limit``, in seconds, only what is newer."""
        now = self._clock.monotonic()
        followers: list[Components] = []
        for name, asked in self._run.answers().items():
            if asked.reading is None or (age_limit is not None and now - asked.at > age_limit):
                continue
            attribute = ATTRIBUTES.get(name)
            if attribute is not None:
                setattr(readings, attribute, asked.reading.value)
            elif isinstance(asked.reading.value, Components):
                followers.append(asked.reading.value)
        readings.tedapi_followers = tuple(followers)
        readings.by_tedapi = self._spoken_for
        for name in _ITS_OWN:
            setattr(readings, ATTRIBUTES[name], None)

    def held(self) -> frozenset[Key]:
        """The counters that the guard keeps back, each reading judged once at its own time."""
        controller = self._run.answers().get(CONTROLLER)
        if controller is not None and controller.reading is not None and controller.at != self._judged_at:
            self._judged_at = controller.at
            readings = Readings()
            self.fill(readings)
            self._held = self._guard.judge(counters(COUNTERS, readings), controller.at)
        return self._held

    def outcomes(self, shown: bool) -> Iterator[EndpointOutcome]:
        """The state of each question."""
        now = self._clock.monotonic()
        for name, asked in self._run.answers().items():
            yield _outcome(name, asked, now, shown)

    def tells_of_energy(self) -> bool:
        """Return True if the controller's answer is young enough to count for a probe."""
        controller = self._run.answers().get(CONTROLLER)
        value = None if controller is None or controller.reading is None else controller.reading.value
        return getattr(value, "full_energy", None) is not None

    def counts(self, told_by_owner: bool) -> bool:
        """Return True if its energy makes a probe a success.

        That is where no password is configured, or the owner interface does not report it.
        """
        return (not self._logs_in or not told_by_owner) and self.tells_of_energy()

    def close(self) -> None:
        """End what is under way."""
        self._run.close()


def _outcome(name: str, asked: Asked, now: float, shown: bool) -> EndpointOutcome:
    error, reading = asked.error, asked.reading
    return EndpointOutcome(
        name,
        not isinstance(error, AbsentError),
        error is None and reading is not None,
        asked.duration,
        max(0.0, now - asked.at) if shown and reading is not None else None,
        None if error is None else error.reason,
        len(reading.unknown) if shown and reading is not None else 0,
    )


def tedapi_side(
    config: GatewayConfig,
    guard: CounterGuard,
    clock: Clock,
    owner_headers: Callable[[], bytes],
    telemetry: Telemetry,
) -> TedapiSide | None:
    """TEDAPI of a gateway that has the section, None for the others, for which its modules are not imported."""
    if config.tedapi is None:
        return None
    from probe_exporter.gateway.tedapi_run import TedapiRun

    run = TedapiRun(config, config.tedapi, clock, owner_headers, telemetry)
    return TedapiSide(run, config, guard, clock)


def elapsed(since: float) -> float:
    """Seconds since a moment of `time.monotonic`."""
    return time.monotonic() - since
