"""Tiers and rests: which endpoints a probe asks, on a clock that the test turns."""

from __future__ import annotations

import pytest

from probe_exporter.errors import (
    AbsentError,
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
from probe_exporter.gateway.endpoints import BY_NAME, ENDPOINTS
from probe_exporter.gateway.schedule import Schedule

ALL = {"core", "meters", "grid", "site", "network", "solar"}


def probe(schedule: Schedule, now: float, errors: dict[str, GatewayError] | None = None) -> list[str]:
    """What one probe asks at ``now``; every endpoint answers but those in ``errors``."""
    names = [endpoint.name for endpoint in schedule.due(now, ALL)]
    for name in names:
        schedule.note(BY_NAME[name], (errors or {}).get(name), 0.05, now)
    return names


def test_a_first_probe_asks_everything() -> None:
    assert probe(Schedule("home"), 0.0) == [endpoint.name for endpoint in ENDPOINTS]


def test_only_the_chosen_collectors_are_asked() -> None:
    names = {endpoint.collector for endpoint in Schedule("home").due(0.0, {"core", "grid"})}
    assert names == {"core", "grid"}


@pytest.mark.parametrize(("interval", "most"), [(15.0, 8.0), (60.0, 12.0)])
def test_requests_a_probe_on_average(interval: float, most: float) -> None:
    schedule = Schedule("home")
    probe(schedule, 0.0)
    counts = [len(probe(schedule, interval * number)) for number in range(1, 1 + int(3600 / interval))]
    assert sum(counts) / len(counts) <= most


def test_slow_endpoints_take_turns_two_a_probe() -> None:
    schedule = Schedule("home")
    probe(schedule, 0.0)
    slow = {endpoint.name for endpoint in ENDPOINTS if endpoint.tier == "slow"}
    turns = [slow.intersection(probe(schedule, 600.0 + 15.0 * number)) for number in range(6)]
    assert [len(turn) for turn in turns] == [2, 2, 2, 2, 2, 1]
    assert set().union(*turns) == slow


RESTS: dict[str, tuple[str, GatewayError, float, float]] = {
    "absent": ("solar_powerwall", AbsentError("", 404), 3599.0, 4321.0),
    "absent core": ("status", AbsentError("", 404), 3599.0, 4321.0),
    "forbidden": ("networks", ForbiddenError(""), 3599.0, 4321.0),
    "rate limited": ("meters/aggregates", RateLimitError(""), 299.0, 301.0),
    "timed out outside core": ("solar_powerwall", DeadlineError(""), 58.0, 60.0),
    "timed out slow": ("networks", DeadlineError(""), 598.0, 600.0),
    "nonsense outside core": ("networks", DecodeError(""), 598.0, 600.0),
    "server error outside core": ("networks", StatusError("", 500), 598.0, 600.0),
}


@pytest.mark.parametrize(("name", "error", "rests", "due"), RESTS.values(), ids=RESTS)
def test_rest(name: str, error: GatewayError, rests: float, due: float) -> None:
    schedule = Schedule("home")
    probe(schedule, 0.0, {name: error})
    entry = schedule.entries[name]
    assert not entry.due(rests)
    assert entry.due(due)


AGAIN: dict[str, tuple[str, GatewayError]] = {
    "core timed out": ("operation", DeadlineError("")),
    "core forbidden": ("operation", ForbiddenError("")),
    "busy": ("solar_powerwall", BusyError("")),
    "stopped": ("meters/status", StatusError("", 502)),
    "reset": ("networks", ConnectError("")),
    "no session": ("networks", AuthError("")),
}


@pytest.mark.parametrize(("name", "error"), AGAIN.values(), ids=AGAIN)
def test_asked_again_at_the_next_probe(name: str, error: GatewayError) -> None:
    schedule = Schedule("home")
    probe(schedule, 0.0, {name: error})
    assert schedule.entries[name].due(15.0)


def test_absent_shows_as_unsupported_until_it_is_looked_at_again() -> None:
    schedule = Schedule("home")
    probe(schedule, 0.0, {"status": AbsentError("", 404)})
    assert not schedule.entries["status"].supported(3599.0)
    assert schedule.entries["status"].supported(4400.0)


def test_absent_endpoints_do_not_come_back_all_at_once() -> None:
    schedule = Schedule("home")
    gone: dict[str, GatewayError] = {endpoint.name: AbsentError("", 404) for endpoint in ENDPOINTS}
    probe(schedule, 0.0, gone)
    rests = [entry.rest_until for entry in schedule.entries.values()]
    assert len({round(rest) for rest in rests}) > len(rests) / 2
