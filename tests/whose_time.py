"""Gateways behind a served exporter, probed in rounds on a clock that stands between them, and what each client got."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from probe_exporter.fleet import Fleet
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock
from tests.test_web import Exporter, served

INTERVAL = 15.0
"""Seconds by which the clock is turned between two rounds."""

STAGGER = 0.03
"""Seconds between the clients of two gateways: Prometheus spreads its targets over the interval, too."""

READ = {endpoint.name for endpoint in ENDPOINTS} - {"system_status/grid_faults"}
"""What is asked of a gateway whose system_status carries the list of grid faults."""

SITE_POWER = 'powerwall_instant_power_watts{category="site"}'

Order = Literal["alone", "patient first", "impatient first"]
ORDERS: tuple[Order, ...] = ("alone", "patient first", "impatient first")


@dataclass(frozen=True, slots=True)
class Got:
    """What one client got, and after how many seconds. ``lines`` are the samples as they were sent."""

    patience: float
    took: float
    lines: dict[str, float]

    @property
    def success(self) -> bool:
        return self.lines["probe_success"] == 1.0

    @property
    def reason(self) -> str:
        """The reason that is 1, "" where none is."""
        reasons = [name for name, value in self.lines.items() if "probe_failure_reason" in name and value]
        return reasons[0].partition('"')[2].partition('"')[0] if reasons else ""

    def by_endpoint(self, family: str) -> dict[str, float]:
        """The samples of a family whose only label is the endpoint."""
        found = {}
        for name, value in self.lines.items():
            matched = re.fullmatch(rf'{family}\{{endpoint="([^"]+)"\}}', name)
            if matched:
                found[matched[1]] = value
        return found

    @property
    def ages(self) -> dict[str, float]:
        return self.by_endpoint("powerwall_endpoint_age_seconds")

    @property
    def up(self) -> set[str]:
        return {name for name, value in self.by_endpoint("powerwall_endpoint_up").items() if value}


def get(exporter: Exporter, patience: float, target: str = "home", query: str = "") -> Got:
    """Probe once, as Prometheus would with such a scrape timeout."""
    began = time.monotonic()
    reply = exporter.ask(f"/probe?target={target}{query}", X_Prometheus_Scrape_Timeout_Seconds=str(patience))
    took = time.monotonic() - began
    assert reply.status == 200, reply.text
    lines = {}
    for line in reply.text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            lines[name] = float(value)
    return Got(patience, took, lines)


@dataclass(slots=True)
class Case:
    """One gateway, how it misbehaves, and who asks it. ``got`` are the answers of the patient client, in order."""

    name: str
    patience: float
    order: Order = "alone"
    impatience: float = 1.0
    latency: float = 0.0
    fault: tuple[str, str, Any] | None = None
    gateway: SimulatedGateway = field(init=False)
    got: list[Got] = field(default_factory=list)
    hasty: list[Got] = field(default_factory=list)

    def ask(self, exporter: Exporter) -> None:
        """One round: the patient client, and the impatient one a moment before or after it."""
        if self.order == "alone":
            self.got.append(get(exporter, self.patience, self.name))
            return
        with ThreadPoolExecutor(2) as pool:
            waits = [self.patience, self.impatience]
            if self.order == "impatient first":
                waits.reverse()
            first = pool.submit(get, exporter, waits[0], self.name)
            time.sleep(0.1)
            answers = [first, pool.submit(get, exporter, waits[1], self.name)]
            for wait, answer in zip(waits, answers, strict=True):
                (self.got if wait == self.patience else self.hasty).append(answer.result())


@contextmanager
def exporter_before(cases: Iterable[Case], clock: TurnedClock, **module: Any) -> Iterator[Exporter]:
    """A served exporter before the gateways of these cases."""
    telemetry, certificate = Telemetry(), make_certificate()
    with ExitStack() as stack:
        for number, case in enumerate(cases):
            case.gateway = SimulatedGateway(
                LivingSite(seed=number),
                password=configs.PASSWORD,
                certificate=certificate,
                latency=case.latency,
            )
            stack.enter_context(case.gateway)
            if case.fault is not None:
                kind, endpoint, phase = case.fault
                case.gateway.faults.add(kind, endpoint=endpoint, phase=phase)
        gateways = [configs.gateway(case.gateway.address, name=case.name) for case in cases]
        config = configs.config(*gateways, modules=(configs.module(**module),))
        yield stack.enter_context(served(Fleet(config, telemetry, clock), telemetry, clock))


def play(cases: list[Case], rounds: int, least: float, **module: Any) -> None:
    """Let the clients of all cases ask once in each round of at least ``least`` seconds; then the clock is turned."""
    clock = TurnedClock()
    with exporter_before(cases, clock, **module) as exporter, ThreadPoolExecutor(len(cases)) as pool:
        for _ in range(rounds):
            began = time.monotonic()
            asked = []
            for case in cases:
                asked.append(pool.submit(case.ask, exporter))
                time.sleep(STAGGER)
            for done in asked:
                done.result()
            time.sleep(max(0.0, began + least - time.monotonic()))
            clock.turn(INTERVAL)
