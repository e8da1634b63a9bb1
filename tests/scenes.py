"""One gateway, the exporter before it, and a clock that the test turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from probe_exporter.config import GatewayConfig, Module
from probe_exporter.fleet import Fleet, ProbeResult, Site
from probe_exporter.probe import Prober
from probe_exporter.simulator import LivingSite, SimulatedGateway, System
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock

PATIENCE = 2.0
"""Seconds that a probe has."""


@dataclass(slots=True)
class Scene:
    """A simulated gateway under the name ``home``."""

    gateway: SimulatedGateway
    fleet: Fleet
    prober: Prober
    clock: TurnedClock

    @property
    def site(self) -> Site:
        return self.fleet.find("home")

    def probe(self, module: Module | None = None, patience: float = PATIENCE) -> ProbeResult:
        return self.prober.probe(self.site, module or self.site.module(), time.monotonic() + patience)

    def later(self, seconds: float) -> ProbeResult:
        """Turn the clock, then probe."""
        self.clock.turn(seconds)
        return self.probe()

    def reload(self, gateway: GatewayConfig, **changes: Any) -> None:
        """Another configuration."""
        self.fleet.reload(configs.config(gateway, **changes))

    @property
    def logins(self) -> int:
        return self.gateway.counts.login_attempts

    @property
    def requests(self) -> int:
        return self.gateway.counts.data_requests


@contextmanager
def scene(system: System | None = None, *addresses: str, **changes: Any) -> Iterator[Scene]:
    """``addresses`` stand before the gateway's own; ``changes`` go to its configuration."""
    telemetry, clock = Telemetry(), TurnedClock()
    with SimulatedGateway(system or LivingSite(seed=1), password=configs.PASSWORD) as gateway:
        config = configs.gateway(*addresses, gateway.address, **changes)
        fleet = Fleet(configs.config(config), telemetry, clock)
        try:
            yield Scene(gateway, fleet, Prober(telemetry, clock), clock)
        finally:
            fleet.close()


def value(result: ProbeResult, name: str, **labels: str) -> float | None:
    """The value of a sample; None where there is none."""
    for metric in result.metrics:
        for sample in metric.samples:
            if sample.name == name and sample.labels.items() >= labels.items():
                return sample.value
    return None


def up(result: ProbeResult) -> set[str]:
    """The endpoints whose last request was answered well."""
    return {outcome.name for outcome in result.endpoints if outcome.up}
