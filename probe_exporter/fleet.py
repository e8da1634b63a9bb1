"""The gateways that are configured now, each with its long-lived client and what is remembered of it.

A fleet is looked up, never dialled: a target that is not in it costs no name lookup and no connection.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import Config, GatewayConfig, Module
from probe_exporter.errors import UnknownTargetError
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.login import Login
from probe_exporter.gateway.schedule import Schedule
from probe_exporter.gateway.state import LoginStore
from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.metrics.guard import CounterGuard, HoldStore, Key
from probe_exporter.metrics.probe import EndpointOutcome, Verdict
from probe_exporter.readings import Reading, Readings
from probe_exporter.telemetry import Telemetry

HISTORY = 20
"""Past probes that are remembered of each gateway."""


@dataclass(frozen=True, slots=True)
class PastProbe:
    """One line of a gateway's history. ``started`` in Unix seconds, ``duration`` in seconds."""

    started: float
    duration: float
    success: bool
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe brought.

    ``started`` is in Unix seconds; ``error`` is one sentence on what is wrong and what to do, None on success;
    ``log`` tells the probe step by step, without secrets. ``metrics`` is empty in the results a site remembers.
    ``cut_short`` says that something ran out of time: whoever has more of it may get more.
    """

    target: str
    module: str
    started: float
    verdict: Verdict
    error: str | None = None
    metrics: tuple[FilledMetric, ...] = ()
    readings: Readings = field(default_factory=Readings)
    log: tuple[str, ...] = ()
    cut_short: bool = False

    @property
    def success(self) -> bool:
        """The value of ``probe_success``."""
        return self.verdict.success

    @property
    def reason(self) -> str | None:
        """Why it failed, None where it did not."""
        return self.verdict.reason

    @property
    def duration(self) -> float:
        """Seconds that the probe took."""
        return self.verdict.duration

    @property
    def endpoints(self) -> tuple[EndpointOutcome, ...]:
        """How each endpoint of the module's collectors fares."""
        return self.verdict.endpoints


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and when it was taken, in monotonic seconds of the clock in use and in Unix seconds.

    ``held`` are its counters that must not be shown.
    """

    reading: Reading
    at: float
    read_at: float
    held: frozenset[Key] = frozenset()


@dataclass(slots=True)
class Memory:
    """What is remembered of one gateway between probes.

    ``lock`` is held while the gateway is asked; results are put in place after that, each whole.
    """

    schedule: Schedule
    lock: threading.Lock = field(default_factory=threading.Lock)
    guard: CounterGuard = field(default_factory=CounterGuard)
    kept: dict[str, Kept] = field(default_factory=dict)
    history: deque[PastProbe] = field(default_factory=lambda: deque(maxlen=HISTORY))
    last: ProbeResult | None = None
    last_good: ProbeResult | None = None
    cached: dict[Module, tuple[float, ProbeResult]] = field(default_factory=dict)
    words: set[tuple[str, str]] = field(default_factory=set)
    certificate: bytes | None = None
    certificate_end: float | None = None


class Site:
    """One configured gateway: its configuration, its client, its memory."""

    def __init__(
        self,
        config: GatewayConfig,
        modules: Callable[[GatewayConfig, str | None], Module],
        gateway: Gateway,
        memory: Memory,
    ) -> None:
        self.config = config
        self.gateway = gateway
        self.memory = memory
        self._modules = modules

    @property
    def name(self) -> str:
        """The name that ``?target=`` takes."""
        return self.config.name

    @property
    def history(self) -> deque[PastProbe]:
        """The last probes, the oldest first."""
        return self.memory.history

    @property
    def last(self) -> ProbeResult | None:
        """The last probe, None before the first."""
        return self.memory.last

    @property
    def last_good(self) -> ProbeResult | None:
        """The last probe that succeeded, None before one did."""
        return self.memory.last_good

    def module(self, name: str | None = None) -> Module:
        """The module to probe with: the gateway's own, or the one named. Raises UnknownModuleError."""
        return self._modules(self.config, name)


class Fleet:
    """The sites by name and address. Swapped whole on reload: a reader sees the old fleet or the new one.

    ``one_off`` is for a program that probes each gateway once, and ends.
    """

    def __init__(
        self, config: Config, telemetry: Telemetry, clock: Clock | None = None, *, one_off: bool = False
    ) -> None:
        self.telemetry = telemetry
        self._one_off = one_off
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._config = config
        self._sites: Mapping[str, Site] = {}
        self._by_address: Mapping[str, Site] = {}
        self.reload(config)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def sites(self) -> Mapping[str, Site]:
        """The sites by name, in the order of the configuration."""
        return self._sites

    def find(self, target: str) -> Site:
        """The site of a name or of an address as it was configured. Raises UnknownTargetError."""
        site = self._sites.get(target) or self._by_address.get(target)
        if site is None:
            raise UnknownTargetError("the target is not a configured gateway")
        return site

    def reload(self, config: Config) -> None:
        """Take over another configuration. Gateways that did not change keep their sessions and connections."""
        with self._lock:
            store = LoginStore(config.state_directory, self._clock) if config.state_directory else None
            old = self._sites
            sites = {
                name: self._site(config, gateway, old.get(name), store)
                for name, gateway in config.gateways.items()
            }
            self._config = config
            self._sites = sites
            self._by_address = {
                address.text: site for site in sites.values() for address in site.config.addresses
            }
            kept = {id(site.gateway) for site in sites.values()}
            self.telemetry.gateways.set(len(sites))
            self.telemetry.config_last_reload_successful.set(1)
            self.telemetry.config_last_reload_success_timestamp.set(self._clock.time())
        for site in old.values():
            if id(site.gateway) not in kept:
                site.gateway.close()

    def close(self) -> None:
        """Close the idle connections of every gateway, and save what its counters' guard holds back."""
        for site in self._sites.values():
            site.gateway.close()
            site.memory.guard.close()

    def _site(
        self, config: Config, gateway: GatewayConfig, old: Site | None, store: LoginStore | None
    ) -> Site:
        if old is not None and _identity(old.config) == _identity(gateway):
            return Site(gateway, config.module_for, old.gateway, old.memory)
        login = Login(gateway, self._clock, store)
        if old is not None:
            login.follow(old.gateway.login)
        client = Gateway(gateway, self.telemetry, self._clock, login)
        guard = self._guard(config, gateway, old)
        return Site(gateway, config.module_for, client, Memory(Schedule(gateway.name), guard=guard))

    def _guard(self, config: Config, gateway: GatewayConfig, old: Site | None) -> CounterGuard:
        """What is known of its counters belongs to a gateway's name and address, not to credentials."""
        if old is not None and old.config.addresses == gateway.addresses:
            return old.memory.guard
        store = None
        if config.state_directory is not None and not self._one_off:
            addresses = tuple(address.text for address in gateway.addresses)
            store = HoldStore(config.state_directory, self._clock, gateway.name, addresses)
        return CounterGuard(gateway.name, store, one_off=self._one_off)


def _identity(config: GatewayConfig) -> tuple[object, ...]:
    """What makes a gateway another one: whom we talk to, and as whom."""
    return (
        config.addresses, config.login_email, config.login_password,
        config.pin, config.tls_cert_file, config.pin_missing,
    )  # fmt: skip
