"""What `increase()` says of counters that a gateway spoils: courses, probed, exposed, and backfilled into Prometheus.

Each course of `counter_courses` is probed on a clock that the test turns. The truth is what the meters measured.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import program
from tests.counter_courses import COURSES, DIRECTIONS, METERS, Counter, Course, recorded
from tests.counter_player import Played, play
from tests.prometheus_server import Prometheus, prometheus

JOULES = 3.6e6
LOAD = ("load", "imported")
SAMPLE = re.compile(r'powerwall_(imported|exported)_joules_total\{category="(\w+)"\} (\S+)')
DAY = 86400.0


def openmetrics(courses: Mapping[str, Played], end: float) -> str:
    """The samples in the format that promtool backfills; ``instance`` is the course, and all end at ``end``."""
    lines: dict[str, list[str]] = {way: [] for way in DIRECTIONS}
    for name, played in courses.items():
        for moment, (category, way), value in played.samples:
            series = f'powerwall_{way}_joules_total{{category="{category}",instance="{name}"}}'
            lines[way].append(f"{series} {value!r} {end - played.seconds + moment:.3f}")
    parts = [line for way in DIRECTIONS for line in (f"# TYPE powerwall_{way}_joules counter", *lines[way])]
    return "\n".join([*parts, "# EOF", ""])


@dataclass(frozen=True, slots=True)
class Told:
    """What Prometheus says of the courses that were played."""

    played: Mapping[str, Played]
    server: Prometheus
    end: float

    def ask(self, function: str, course: str, counter: Counter) -> float | None:
        """A function over the whole course; None where there are no samples."""
        seconds = round(self.played[course].seconds)
        found = self.server.values(f"{function}({self._series(course, counter)}[{seconds}s])", at=self.end)
        return found.get(course)

    def most(self, function: str, course: str, counter: Counter, hours: int) -> float:
        """The most that a function says in any window of so many hours."""
        seconds = round(self.played[course].seconds)
        inner = f"{function}({self._series(course, counter)}[{hours}h])"
        found = self.server.values(f"max_over_time(({inner})[{seconds}s:30m])", at=self.end)
        return found.get(course, 0.0)

    def _series(self, course: str, counter: Counter) -> str:
        category, way = counter
        return f'powerwall_{way}_joules_total{{instance="{course}",category="{category}"}}'


@contextmanager
def told(courses: Mapping[str, Course], folder: Path) -> Iterator[Told]:
    promtool = program("promtool")
    program("prometheus")
    end = round(time.time()) - 60.0
    played = {name: play(course, folder / name) for name, course in courses.items()}
    (folder / "readings.txt").write_text(openmetrics(played, end))
    subprocess.run(
        [
            *(promtool, "tsdb", "create-blocks-from", "--max-block-duration=300h", "openmetrics"),
            *(folder / "readings.txt", folder / "data"),
        ],
        check=True,
        capture_output=True,
    )
    with prometheus("scrape_configs: []", folder) as server:
        yield Told(played, server, end)


def check(prometheus: Told, name: str) -> None:
    """Every counter of a course: how much it rose, how often it began anew, in all and in windows of a day."""
    played = prometheus.played[name]
    course, house = played.course, played.house
    for counter in ((category, way) for category in METERS for way in DIRECTIONS):
        increase = prometheus.ask("increase", name, counter)
        if counter in course.hidden:
            assert not played.of(counter), (name, counter)
            continue
        true = house.flowed[counter] + course.extra.get(counter, 0.0)
        assert increase is not None, (name, counter)
        if counter in course.resets and not course.keeps_state:
            assert increase / JOULES > 1000.0, (name, counter)
        else:
            assert true * 0.99 - course.lost - 0.02 <= increase / JOULES <= true * 1.01 + 0.02, (
                name,
                counter,
            )
        assert prometheus.ask("resets", name, counter) == float(counter in course.resets), (name, counter)
    more = course.extra.get(LOAD, 0.0)
    least, most = course.load or (house.load_net + more, house.load_gross + more)
    assert prometheus.ask("resets", name, LOAD) == float(LOAD in course.resets), name
    if LOAD not in course.resets:
        increase = prometheus.ask("increase", name, LOAD)
        assert increase is not None, name
        assert least * 0.99 - course.lost - 0.02 <= increase / JOULES <= most * 1.01 + 0.02, name
    for hours in (
        1,
        6,
        24,
    ):  # where a window is not the course, increase() adds up to an interval at each end: 3.5 %
        assert prometheus.most("resets", name, LOAD, hours) == 0.0, (name, hours)
        assert prometheus.most("increase", name, LOAD, hours) / JOULES <= most * 1.04 + 0.02, (name, hours)


def test_increase_is_true(tmp_path: Path) -> None:
    quick = {name: course for name, course in COURSES.items() if not course.slow}
    with told(quick, tmp_path) as prometheus:
        for name in quick:
            check(prometheus, name)


@pytest.mark.slow
def test_increase_is_true_over_many_hours(tmp_path: Path) -> None:
    slow = {name: course for name, course in COURSES.items() if course.slow}
    with told(slow, tmp_path) as prometheus:
        for name in slow:
            check(prometheus, name)


def test_courses_of_other_people(tmp_path: Path) -> None:
    """Courses that are not ours to keep: no counter begins anew, and the load rises by what a house can use at most."""
    folder = os.environ.get("COUNTER_COURSES")
    if not folder:
        pytest.skip("COUNTER_COURSES names no folder of courses (*/*.jsonl)")
    courses = {
        f"{file.parent.name}/{file.stem}": Course(recorded(file)) for file in Path(folder).glob("*/*.jsonl")
    }
    assert courses, "COUNTER_COURSES holds no course"
    with told(courses, tmp_path) as prometheus:
        for name, played in prometheus.played.items():
            totals = [moment.told for moment in played.course.play(played.house) if moment.told is not None]
            for counter in totals[0]:
                course = [told[counter] for told in totals]
                steps = [after - before for before, after in pairwise(course)]
                possible = sum(step for step in steps if 0.0 < step < 200.0 / 60.0)
                increase, resets = (prometheus.ask(one, name, counter) for one in ("increase", "resets"))
                print(f"{name} {counter}: {possible:.3f} kWh, Prometheus: {increase}, {resets}")
                if min(course) < 0.0:
                    assert not played.of(counter)
                else:
                    assert resets == 0.0, (name, counter)
                if counter == LOAD:
                    assert increase is not None
                    assert increase / JOULES <= possible * 1.01 + 0.02, name
