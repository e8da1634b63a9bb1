"""A gateway that says what a course of `counter_courses` says, and the exporter before it, on a turned clock."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from probe_exporter.fleet import Fleet
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.probe import Prober
from probe_exporter.simulator import SimulatedAnswer, SimulatedGateway, make_certificate
from probe_exporter.simulator.system import NOT_FOUND, document
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import MachineClock
from tests.counter_courses import DIRECTIONS, Counter, Course, House, Moment

SAMPLE = re.compile(r'powerwall_(imported|exported)_joules_total\{category="(\w+)"\} (\S+)')


class ScriptedMeters:
    """A gateway that says what a course says of its meters and its uptime, and nothing else."""

    public = None

    def __init__(self) -> None:
        self.moment = Moment(None)

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """What the script says at this moment."""
        told, uptime = self.moment.told, self.moment.uptime
        if endpoint == "meters/aggregates" and told is not None:
            categories = dict.fromkeys(category for category, _ in told)
            return document(
                {
                    category: {
                        "instant_power": 500.0,
                        **{f"energy_{way}": told[category, way] * 1000.0 for way in DIRECTIONS},
                    }
                    for category in categories
                }
            )
        if endpoint == "status" and told is not None and uptime is not None:
            return document({"up_time_seconds": f"{uptime:f}s"})
        return NOT_FOUND


@dataclass(slots=True)
class Played:
    """A course as it was probed: its samples in the order of time, and the house it was played in."""

    course: Course
    house: House
    seconds: float = 0.0
    samples: list[tuple[float, Counter, float]] = field(default_factory=list)

    def of(self, counter: Counter) -> list[tuple[float, float]]:
        """Moments and joules of one counter."""
        return [(moment, value) for moment, one, value in self.samples if one == counter]


class Exporter:
    """The exporter before one gateway, on a machine that can be started anew."""

    def __init__(self, address: str, folder: Path | None) -> None:
        self.clock = MachineClock()
        self._config = configs.config(configs.gateway(address), state_directory=folder)
        self._start()

    def _start(self) -> None:
        telemetry = Telemetry()
        self._fleet = Fleet(self._config, telemetry, self.clock)
        self._prober = Prober(telemetry, self.clock)

    def reload(self, *addresses: str, **changes: Any) -> None:
        """Another configuration of the gateway."""
        gateway = configs.gateway(*addresses, **changes)
        self._config = replace(self._config, gateways={gateway.name: gateway})
        self._fleet.reload(self._config)

    def restart(self, wrong: float) -> None:
        """As after a loss of power: nothing is saved in the end."""
        self._fleet.find("home").gateway.close()
        self.clock.restart(wrong)
        self._start()

    def probe(self) -> str:
        """The text of one probe."""
        site = self._fleet.find("home")
        result = self._prober.probe(site, site.module(), time.monotonic() + 5.0)
        return render(result.metrics, Format.TEXT).decode()

    def close(self) -> None:
        self._fleet.close()


def play(course: Course, folder: Path) -> Played:
    """Probe a course from its beginning to its end."""
    meters, played = ScriptedMeters(), Played(course, House(course.minutes))
    with SimulatedGateway(meters, password=configs.PASSWORD, certificate=make_certificate()) as gateway:
        exporter = Exporter(gateway.address, folder if course.keeps_state else None)
        for moment in course.play(played.house):
            meters.moment = moment
            if moment.restart is not None:
                exporter.restart(moment.restart)
            if moment.wrong is not None:
                exporter.clock.wrong = moment.wrong
            if moment.told is not None:
                for way, category, value in SAMPLE.findall(exporter.probe()):
                    played.samples.append((played.seconds, (category, way), float(value)))
            exporter.clock.turn(60.0 * course.minutes)
            played.seconds += 60.0 * course.minutes
        exporter.close()
    return played
