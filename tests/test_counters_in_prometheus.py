"""What `increase()` says of counters that a gateway spoils: readings, probed, then backfilled into Prometheus.

Each course is an hour of probes at 15 s, on a clock that the test turns. The truth is what the meter measured.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.probe import Prober
from probe_exporter.simulator import SimulatedAnswer, SimulatedGateway, make_certificate
from probe_exporter.simulator.system import NOT_FOUND, document
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock
from tests.conftest import program
from tests.prometheus_server import prometheus

INTERVAL = 15.0
PROBES = 240
MWH = 3.6e9
KWH = 3.6e6
STEP = 1000.0 * INTERVAL
"""Joules between two probes: 1 kW."""

Reading = tuple[float, float | None]
"""The counter in joules, and the gateway's uptime in seconds (None: no status)."""


def steady(number: int) -> Reading:
    return MWH + STEP * number, 9e5 + INTERVAL * number


def reboot(number: int) -> Reading:
    """Ten probes of zero counters in the middle, as after a boot."""
    joules, uptime = steady(number)
    if number < 120:
        return joules, uptime
    return (0.0 if number < 130 else joules), INTERVAL * (number - 119)


def meter_swap(number: int) -> Reading:
    """A new meter in the middle, which begins at 2 kWh."""
    joules, uptime = steady(number)
    return (joules if number < 100 else 2 * KWH + STEP * (number - 100)), uptime


def jitter(number: int) -> Reading:
    """A derived counter that steps back by 0.05 kWh at every third probe."""
    joules, uptime = steady(number)
    return joules - (0.05 * KWH if number % 3 == 0 else 0.0), uptime


def flapping_zero(number: int) -> Reading:
    """A meter that loses touch at every fifth probe, and says 0."""
    joules, uptime = steady(number)
    return (0.0 if number % 5 == 4 else joules), uptime


def boot_at_first_sight(number: int) -> Reading:
    """The exporter starts while the gateway boots: zero, then the lifetime's counter."""
    joules, _ = steady(number)
    return (0.0 if number < 20 else joules), INTERVAL * number


@dataclass(frozen=True, slots=True)
class Course:
    """A course of readings: what the meter truly measured within the hour, and how far `increase()` may be off."""

    reading: Callable[[int], Reading]
    truth: float
    tolerance: float


WHOLE = STEP * (PROBES - 1)
COURSES = {
    "steady": Course(steady, WHOLE, STEP),
    "reboot": Course(reboot, WHOLE, STEP),
    "jitter": Course(jitter, WHOLE, 4 * STEP),
    "flapping_zero": Course(flapping_zero, WHOLE, 2 * STEP),
    # Forty probes are held back, and Prometheus counts what the new meter brought along.
    "meter_swap": Course(meter_swap, WHOLE + 2 * KWH, 3 * STEP),
    "boot_at_first_sight": Course(boot_at_first_sight, STEP * (PROBES - 1 - 20), 21 * STEP),
}


class ScriptedMeter:
    """A gateway with a site meter and a status, nothing else."""

    public = None

    def __init__(self) -> None:
        self.joules = 0.0
        self.uptime: float | None = None

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """What the script says at this moment."""
        if endpoint == "meters/aggregates":
            return document({"site": {"instant_power": 1000.0, "energy_imported": self.joules / 3600.0}})
        if endpoint == "status" and self.uptime is not None:
            return document({"up_time_seconds": f"{self.uptime:f}s"})
        return NOT_FOUND


def openmetrics(courses: dict[str, Course]) -> str:
    """Every course as probed, in the format that promtool backfills; the series' ``instance`` is the course."""
    began = time.time() - INTERVAL * PROBES - 60.0
    certificate = make_certificate()
    series: list[str] = []
    for name, course in courses.items():
        meter, clock, telemetry = ScriptedMeter(), TurnedClock(), Telemetry()
        with SimulatedGateway(meter, password=configs.PASSWORD, certificate=certificate) as gateway:
            fleet = Fleet(configs.config(configs.gateway(gateway.address)), telemetry, clock)
            prober = Prober(telemetry, clock)
            site = fleet.find("home")
            for number in range(PROBES):
                meter.joules, meter.uptime = course.reading(number)
                result = prober.probe(site, site.module(), time.monotonic() + 5.0)
                assert result.success
                moment = began + INTERVAL * number
                series += [
                    f'powerwall_imported_joules_total{{instance="{name}"}} {sample.value!r} {moment:.3f}'
                    for metric in result.metrics
                    for sample in metric.samples
                    if sample.name == "powerwall_imported_joules_total"
                ]
                clock.turn(INTERVAL)
            fleet.close()
    return "\n".join(["# TYPE powerwall_imported_joules counter", *series, "# EOF", ""])


def test_increase_is_true(tmp_path: Path) -> None:
    promtool = program("promtool")
    program("prometheus")
    (tmp_path / "readings.txt").write_text(openmetrics(COURSES))
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", tmp_path / "readings.txt", tmp_path / "data"],
        check=True,
        capture_output=True,
    )
    with prometheus("scrape_configs: []", tmp_path) as server:
        increases = server.values("increase(powerwall_imported_joules_total[61m])")
        resets = server.values("resets(powerwall_imported_joules_total[61m])")
    for name, course in COURSES.items():
        assert increases[name] == pytest.approx(course.truth, abs=course.tolerance), name
    assert resets == {name: float(name == "meter_swap") for name in COURSES}
