"""The verdict of a probe: what counts as success, which reason is named, and how the time is shared."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from probe_exporter.errors import REASONS, UnknownTargetError
from probe_exporter.fleet import Fleet
from probe_exporter.gateway.endpoints import ENDPOINTS, SITE_MASTER
from probe_exporter.probe import Prober, probe_deadline
from probe_exporter.simulator import SimulatedAnswer, SimulatedGateway
from probe_exporter.simulator.system import NOT_FOUND, document
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.scenes import scene, up, value

ALL = {endpoint.name for endpoint in ENDPOINTS} - {"system_status/grid_faults"}
"""What is asked of a gateway whose system_status carries the list of grid faults."""

GOOD: Mapping[str, object] = {
    "meters/aggregates": {"site": {"instant_power": 512.5}},
    "system_status/soe": {"percentage": 61.25},
    "system_status/grid_status": {"grid_status": "SystemGridConnected", "grid_services_active": False},
    "status": {"up_time_seconds": "17h3m2s", "version": "23.44.0"},
}


class Scripted:
    """A system that answers from a table; everything else is 404."""

    public = None

    def __init__(self, answers: Mapping[str, SimulatedAnswer]) -> None:
        self.answers = dict(answers)

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """The answer of the table."""
        return self.answers.get(endpoint, NOT_FOUND)


def good(*names: str) -> dict[str, SimulatedAnswer]:
    return {name: document(GOOD[name]) for name in names}


# Success


@pytest.mark.parametrize("name", SITE_MASTER)
def test_one_usable_answer_is_enough(name: str) -> None:
    with scene(Scripted(good(name))) as home:
        result = home.probe()
        assert result.success
        assert up(result) == {name}


@pytest.mark.parametrize("name", ["operation", "networks", "site_info", "solar_powerwall"])
def test_other_answers_alone_are_not(name: str) -> None:
    with scene(Scripted({name: document({"real_mode": "backup", "site_name": "x"})})) as home:
        assert not home.probe().success


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("meters/aggregates", {}),
        ("meters/aggregates", {"site": {"instant_power": None}}),
        ("system_status/soe", {"percentage": "much"}),
        ("system_status/grid_status", {"grid_status": 7}),
        ("status", []),
    ],
)
def test_an_answer_without_a_sample_is_not_usable(name: str, body: object) -> None:
    with scene(Scripted({name: document(body)})) as home:
        assert not home.probe().success


def test_status_and_sitemaster_are_asked_when_the_first_three_fail() -> None:
    with scene(Scripted(good("meters/aggregates", "status"))) as home:
        system = home.gateway.system
        assert isinstance(system, Scripted)
        home.probe()
        before = home.gateway.counts.requests["status"]
        home.later(15.0)
        assert home.gateway.counts.requests["status"] == before, "not due within its minute"
        system.answers["meters/aggregates"] = SimulatedAnswer(502, b"", None)
        result = home.later(15.0)
        assert home.gateway.counts.requests["status"] == before + 1
        assert (result.success, result.reason) == (False, "http"), "what anybody may read is not a success"


# Reasons


REASONED: dict[str, tuple[dict[str, SimulatedAnswer], str]] = {
    "the first failing core endpoint in table order": (
        {"meters/aggregates": SimulatedAnswer(503, b""), "system_status/soe": SimulatedAnswer(500, b"")},
        "busy",
    ),
    "an absent endpoint is a status": ({}, "http"),
    "a redirect is a status": ({"meters/aggregates": SimulatedAnswer(302, b"")}, "http"),
    "nonsense": ({"meters/aggregates": SimulatedAnswer(200, b"nonsense")}, "decode"),
    "too many requests": ({"meters/aggregates": SimulatedAnswer(429, b"")}, "rate_limited"),
    "what is not core has no say": (
        {**good("status"), "status": SimulatedAnswer(500, b""), "networks": SimulatedAnswer(503, b"")},
        "http",
    ),
}


@pytest.mark.parametrize(("answers", "reason"), REASONED.values(), ids=REASONED)
def test_reason(answers: dict[str, SimulatedAnswer], reason: str) -> None:
    with scene(Scripted(answers)) as home:
        result = home.probe()
        assert result.reason == reason
        shown = {word: value(result, "probe_failure_reason", reason=word) for word in REASONS}
        assert shown == {word: float(word == reason) for word in REASONS}
        assert value(result, "probe_success") == 0.0


def test_a_resting_endpoint_keeps_its_reason() -> None:
    with scene(Scripted({"meters/aggregates": SimulatedAnswer(429, b"")})) as home:
        assert home.probe().reason == "rate_limited"
        asked = home.gateway.counts.requests["meters/aggregates"]
        assert home.later(60.0).reason == "rate_limited"
        assert home.gateway.counts.requests["meters/aggregates"] == asked


def test_no_reason_when_it_succeeds() -> None:
    with scene(Scripted(good("system_status/soe"))) as home:
        result = home.probe()
        assert result.reason is None
        assert {value(result, "probe_failure_reason", reason=word) for word in REASONS} == {0.0}


# Time


DEADLINES: dict[str, tuple[str | None, float]] = {
    "none": (None, 9.5),
    "fifteen seconds": ("15", 14.25),
    "with a fraction": ("9.25", 8.75),
    "never less than half": ("0.6", 0.3),
    "exactly twice the offset": ("1", 0.5),
    "zero": ("0", 9.5),
    "negative": ("-3", 9.5),
    "no number": ("soon", 9.5),
    "empty": ("", 9.5),
    "not finite": ("inf", 9.5),
    "no number at all": ("nan", 9.5),
    "a twentieth": ("60", 57.0),
    "two at once": ("5,5", 9.5),
}


@pytest.mark.parametrize(("header", "seconds"), DEADLINES.values(), ids=DEADLINES)
def test_deadline(header: str | None, seconds: float) -> None:
    assert math.isclose(probe_deadline(configs.MODULE, header, 100.0), 100.0 + seconds)


@pytest.mark.parametrize("header", ["1e10", "1e308", "86400"])
def test_an_absurd_patience_is_no_defect(header: str) -> None:
    module = configs.module(timeout=1e9, request_timeout=1e9, connect_timeout=1e9)
    with scene() as home:
        deadline = probe_deadline(module, header, time.monotonic())
        assert home.prober.probe(home.site, module, deadline).success


def test_a_hang_costs_its_own_share_only() -> None:
    with scene() as home:
        home.gateway.faults.add("hang", endpoint="meters/aggregates")
        began = time.monotonic()
        result = home.probe(patience=1.5)
        assert time.monotonic() - began < 2.5
        assert result.success
        assert up(result) == ALL - {"meters/aggregates"}


def test_a_request_takes_no_longer_than_its_time_out() -> None:
    with scene() as home:
        home.gateway.faults.add("hang", endpoint="networks")
        began = time.monotonic()
        result = home.probe(configs.module(request_timeout=0.2), patience=20.0)
        assert time.monotonic() - began < 1.2
        assert result.success


def test_a_slow_gateway_gives_what_fits_into_the_time() -> None:
    with scene() as home:
        home.gateway.latency = 0.2
        began = time.monotonic()
        result = home.probe(patience=1.0)
        assert time.monotonic() - began < 2.0
        assert result.success
        assert "meters/aggregates" in up(result)
        assert len(up(result)) < len(ENDPOINTS)


def test_a_hang_ends_at_the_time_out_of_a_request_and_leaves_its_connection_to_the_others() -> None:
    with scene() as home:
        for name in SITE_MASTER:
            home.gateway.faults.add("hang", endpoint=name)
        result = home.probe(configs.module(max_connections=1, request_timeout=0.2), patience=5.0)
        assert result.success, "system_status tells of the energy"
        assert up(result) == ALL - set(SITE_MASTER)


# Connections


def test_two_connections_at_most() -> None:
    with scene() as home:
        home.gateway.latency = 0.01
        for _ in range(3):
            home.later(600.0)
        assert home.gateway.counts.max_open_connections == 2
        assert home.gateway.counts.max_concurrent_requests == 2
        assert home.gateway.counts.connections == 2, "kept alive between probes"


def test_one_connection_where_the_module_says_so() -> None:
    with scene() as home:
        assert home.probe(configs.module(max_connections=1)).success
        assert home.gateway.counts.max_open_connections == 1


def test_a_connection_that_died_at_rest_is_replaced_unnoticed() -> None:
    with scene() as home:
        home.probe()
        home.gateway.drop_connections()
        result = home.later(600.0)
        assert result.success
        assert up(result) == ALL
        assert home.logins == 1


def test_connection_failures_are_retried_for_a_while() -> None:
    with scene() as home:
        home.gateway.faults.add("refuse")
        healer = threading.Timer(0.3, home.gateway.faults.clear)
        healer.start()
        module = configs.module(retry_interval=0.05, retry_timeout=1.5)
        assert home.probe(module, patience=2.0).success
        healer.join()


def test_retries_end_with_the_deadline() -> None:
    with scene() as home:
        home.gateway.faults.add("refuse")
        began = time.monotonic()
        result = home.probe(configs.module(retry_interval=0.05, retry_timeout=60.0), patience=0.3)
        assert time.monotonic() - began < 1.3
        assert result.reason == "connect"


def test_an_address_that_worked_is_tried_first_the_next_time() -> None:
    with scene(None, "127.0.0.1:1") as home:
        home.probe()
        home.gateway.drop_connections()
        result = home.later(15.0)
        assert result.success
        assert not any("127.0.0.1:1 " in step for step in result.log)


# Several at once


def test_gateways_do_not_wait_for_each_other() -> None:
    telemetry = Telemetry()
    with SimulatedGateway(Scripted(good(*GOOD)), password=configs.PASSWORD) as quick:
        slow_one = SimulatedGateway(Scripted(good(*GOOD)), password=configs.PASSWORD)
        with slow_one as slow, ThreadPoolExecutor(1) as pool:
            slow.faults.add("hang")
            gateways = [
                configs.gateway(slow.address, name="slow"),
                configs.gateway(quick.address, name="quick"),
            ]
            fleet = Fleet(configs.config(*gateways), telemetry)
            prober = Prober(telemetry)
            late = fleet.find("slow")
            hanging = pool.submit(prober.probe, late, late.module(), time.monotonic() + 1.5)
            site = fleet.find("quick")
            began = time.monotonic()
            assert prober.probe(site, site.module(), began + 5.0).success
            assert not hanging.done()
            assert not hanging.result().success
            fleet.close()


def test_two_modules_of_one_gateway_take_turns() -> None:
    with scene() as home, ThreadPoolExecutor(2) as pool:
        home.gateway.latency = 0.01
        modules = (configs.module(name="one"), configs.module(name="two", collectors=("core",)))
        results = list(pool.map(home.probe, modules))
        assert all(result.success for result in results)
        assert home.gateway.counts.max_open_connections <= 2
        assert home.logins == 1


@pytest.mark.parametrize(
    "target", ["", "HOME ", "gateway.example", "127.0.0.1:2", "home\x00", "*", "169.254.169.254"]
)
def test_a_target_that_is_not_configured_is_never_looked_up(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    with scene() as home:
        monkeypatch.setattr("socket.getaddrinfo", refuse)
        with pytest.raises(UnknownTargetError):
            home.fleet.find(target)
