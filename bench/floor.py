"""The floor: the same requests in a bare loop over urllib3, on one kept connection, their answers thrown away."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import urllib3

from bench.farm import There
from probe_exporter.gateway.endpoints import ENDPOINTS

FAST: Final = [one.name for one in ENDPOINTS if one.tier == "fast"]
"""What a warm probe asks."""

ALL: Final = [one.name for one in ENDPOINTS if one.name != "system_status/grid_faults"]
"""What a first probe asks of a gateway whose system_status carries the grid's faults."""

TWELVE: Final = [*FAST, "status", "sitemaster", "operation", "networks", "site_info", "powerwalls"]
"""Twelve requests, as many as the Go exporter makes a scrape."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock and seconds of CPU."""

    wall: float
    cpu: float

    def per(self, count: int) -> Cost:
        """The cost of one of so many."""
        return Cost(self.wall / count, self.cpu / count)


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each."""
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def cost_of(work: Callable[[], object], rounds: int = 1, pause: float = 0.0) -> Cost:
    """What ``work`` costs this process, the mean of so many times, with a pause of so many seconds before each."""
    wall, cpu = time.perf_counter() + rounds * pause, time.process_time()
    for _ in range(rounds):
        if pause:
            time.sleep(pause)
        work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu).per(rounds)


class Floor:
    """A urllib3 pool of one connection to one gateway."""

    def __init__(self, gateway: There) -> None:
        self._password = gateway.password
        self._pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            gateway.port,
            maxsize=1,
            cert_reqs="CERT_NONE",
            assert_hostname=False,
            server_hostname="powerwall",
            assert_fingerprint=gateway.fingerprint.removeprefix("sha256:"),
        )
        self._headers: dict[str, str] = {}

    def log_in(self) -> None:
        """Get a session."""
        body = {"username": "customer", "email": "owner@example.org", "password": self._password}
        answer = self._pool.request("POST", "/api/login/Basic", json=body)
        self._headers = {"Authorization": "Bearer " + json.loads(answer.data)["token"]}

    def ask(self, endpoints: Sequence[str]) -> None:
        """Ask one after another."""
        for endpoint in endpoints:
            answer = self._pool.request("GET", f"/api/{endpoint}", headers=self._headers)
            if answer.status != 200:
                raise RuntimeError(f"the simulated gateway answered {answer.status} to {endpoint}")

    def close(self) -> None:
        """Let the connection go."""
        self._pool.close()


def warm_floor(
    gateway: There, endpoints: Sequence[str], rounds: int, batches: int, pause: float = 0.0
) -> Cost:
    """What asking ``endpoints`` costs on a connection that stands; the median of some batches.

    With a ``pause`` before each round the processor's caches are as cold as those of an exporter between scrapes.
    """
    floor = Floor(gateway)
    floor.log_in()
    floor.ask(endpoints)
    cost = median([cost_of(lambda: floor.ask(endpoints), rounds, pause) for _ in range(batches)])
    floor.close()
    return cost


def cold_floor(gateways: Sequence[There]) -> Cost:
    """What connecting, logging in and asking everything once costs; the mean over some gateways."""

    def first() -> None:
        for gateway in gateways:
            floor = Floor(gateway)
            floor.log_in()
            floor.ask(ALL)
            floor.close()

    return cost_of(first).per(len(gateways))
