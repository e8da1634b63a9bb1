"""A run of TEDAPI against a simulated Powerwall 3 over real TLS: both ways, rests, faults, what is kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from probe_exporter.config.schema import GatewayConfig, Pin
from probe_exporter.config.tedapi_section import TedapiConfig, TedapiKeys
from probe_exporter.config.values import address
from probe_exporter.errors import (
    AuthError,
    BusyError,
    ClockError,
    ConnectError,
    DeadlineError,
    DecodeError,
    GatewayError,
    KeyPendingError,
    PinError,
    RateLimitError,
    RecipientError,
    UnknownKeyError,
)
from probe_exporter.readings.tedapi_components import Components
from probe_exporter.secrets import Secret
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.tedapi.questions import Din
from probe_exporter.telemetry import Telemetry
from tests.clocks import TurnedClock
from tests.tedapi_fault_table import TEDAPI_OUTCOMES, TedapiOutcome
from tests.tedapi_parts import key, needs_extra, pem, queries

if TYPE_CHECKING:
    from probe_exporter.gateway.tedapi_run import TedapiRun
    from probe_exporter.simulator.tedapi import Tedapi

pytestmark = needs_extra

FOUR = {"tedapi/config", "tedapi/system", "tedapi/controller", "tedapi/components"}


@dataclass
class House:
    """A simulated Powerwall 3 with two expansions and a follower, and what asks it."""

    site: LivingSite
    gateway: SimulatedGateway
    tedapi: Tedapi
    clock: TurnedClock
    runs: list[TedapiRun] = field(default_factory=list)

    @property
    def din(self) -> str:
        return self.tedapi.source.dins[0]

    def run(self, way: str = "v1", *, pin: bool = True, owner: bytes = b"", **keys: Any) -> TedapiRun:
        from probe_exporter.gateway.tedapi_run import TedapiRun

        found = Pin(bytes.fromhex(self.gateway.certificate.sha256), "test") if pin else None
        config = GatewayConfig(name="home", addresses=(address(self.gateway.address),), pin=found)
        keys.setdefault("request_timeout", 4.0)
        if way == "v1r":
            keys.setdefault("din", Din(self.din))
        section = TedapiConfig(
            keys=TedapiKeys(**keys),
            rsa_key=Secret(pem(key()).decode()) if way == "v1r" else None,
            password=Secret(self.tedapi.password) if way == "v1" else None,
            queries=queries(),
            pin=None,
            tls_cert_file=None,
            pin_missing=False,
        )
        self.runs.append(TedapiRun(config, section, self.clock, lambda: owner, Telemetry()))
        return self.runs[-1]


@contextmanager
def house(batteries: int = 4) -> Iterator[House]:
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi

    site = LivingSite(seed=3, batteries=batteries, profile="pw3")
    with SimulatedGateway(site) as gateway:
        tedapi = Tedapi(LivingSource(site))
        tedapi.register(key().public_key())
        gateway.tedapi = tedapi
        clock = TurnedClock()
        tedapi.now = clock.time
        found = House(site, gateway, tedapi, clock)
        yield found
        for run in found.runs:
            run.close()


@pytest.fixture
def home() -> Iterator[House]:
    with house() as found:
        yield found


def ran(run: TedapiRun) -> dict[str, Any]:
    """Run once to its end."""
    run.start()
    run.wait(time.monotonic() + 20.0)
    assert run.up is not None
    return run.answers()


def failed(run: TedapiRun, error: type[GatewayError]) -> str:
    ran(run)
    assert isinstance(run.error, error), run.error
    assert run.up is False
    return str(run.error)


class TestBothWays:
    """Every answer arrives, whole."""

    @pytest.mark.parametrize("way", ["v1", "v1r"])
    def test_four_answers(self, home: House, way: str) -> None:
        run = home.run(way)
        answers = ran(run)
        assert run.error is None
        assert set(answers) >= FOUR
        assert all(asked.reading.value is not None for asked in answers.values())
        assert answers["tedapi/config"].reading.value.packs == 4
        controller = answers["tedapi/controller"].reading.value
        assert controller.remaining_energy == pytest.approx(home.site.household.remaining * 3600, rel=0.02)
        components: Components = answers["tedapi/components"].reading.value
        assert [pack.serial for pack in components.packs] == [
            pack.serial for pack in home.site.household.packs[:3]
        ]

    def test_a_follower_is_reached_in_the_wifi_alone(self, home: House) -> None:
        follower = home.tedapi.source.dins[1]
        name = f"tedapi/components/{follower}"
        assert name in ran(home.run("v1"))
        assert name not in ran(home.run("v1r"))

    def test_one_connection_and_one_question_at_a_time(self, home: House) -> None:
        ran(home.run("v1"))
        assert home.gateway.counts.connections == 1
        assert home.gateway.counts.max_concurrent_requests == 1

    def test_the_din_is_asked_with_the_owners_session(self, home: House) -> None:
        home.gateway.sessions._tokens.add("token")
        run = home.run("v1r", din=None, owner=b"Cookie: AuthCookie=token\r\n")
        assert set(ran(run)) == FOUR
        assert run.error is None

    def test_no_session_yet_is_tried_again(self, home: House) -> None:
        run = home.run("v1r", din=None)
        assert "owner's session" in failed(run, DeadlineError)
        assert home.tedapi.asked == []

    def test_the_pin_is_checked_before_a_byte(self, home: House) -> None:
        home.gateway.swap_certificate()
        run = home.run("v1")
        home.gateway.swap_certificate()
        assert "pins" in failed(run, PinError)
        assert home.gateway.counts.requests == {}

    def test_compressed_answers(self, home: House) -> None:
        home.tedapi.compressed = True
        assert set(ran(home.run("v1r"))) == FOUR

    def test_a_gateway_that_takes_its_time(self, home: House) -> None:
        home.tedapi.delay = 0.4
        run = home.run("v1r")
        run.start()
        begun = time.monotonic()
        run.wait(begun + 0.1)
        assert run.up is None
        run.wait(begun + 20.0)
        assert set(run.answers()) == FOUR


def test_without_a_thread_the_next_probe_tries_again(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run = home.run("v1r")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert run.start() is False
    assert set(ran(run)) == FOUR


class TestSchedule:
    """Controller and components once a minute, configuration and system once in ten."""

    def test_tiers(self, home: House) -> None:
        run = home.run("v1r")
        ran(run)
        assert sorted(home.tedapi.asked) == ["components", "config", "controller", "system"]
        home.tedapi.asked.clear()
        ran(run)
        assert home.tedapi.asked == []
        home.clock.turn(61.0)
        ran(run)
        assert sorted(home.tedapi.asked) == ["components", "controller"]
        home.tedapi.asked.clear()
        home.clock.turn(601.0)
        ran(run)
        assert len(home.tedapi.asked) == 4

    def test_old_readings_are_not_shown(self, home: House) -> None:
        run = home.run("v1r")
        ran(run)
        home.clock.turn(151.0)
        answers = run.answers()
        assert answers["tedapi/controller"].reading is None
        assert answers["tedapi/config"].reading is not None
        home.clock.turn(1700.0)
        assert run.answers()["tedapi/config"].reading is None

    def test_a_run_that_was_closed_starts_no_more(self, home: House) -> None:
        run = home.run("v1r")
        run.close()
        run.start()
        run.wait(time.monotonic() + 1.0)
        assert run.answers() == {}


def strike(house: House, run: TedapiRun, kind: str) -> None:
    """Put one of the faults of the table in force."""
    if kind.startswith("tedapi_"):
        house.tedapi.play(kind)
    elif kind == "clock":
        house.tedapi.clock_offset = 120.0
    elif kind == "password":
        house.tedapi.password = "ANOTHERPASSWORD"
    elif kind == "certificate":
        house.gateway.swap_certificate()
    elif kind == "slow":
        house.tedapi.delay = 0.3
    elif kind == "query":
        known = run._talk._channel._queries
        run._talk._channel._queries = {one: replace(query, signature=b"0") for one, query in known.items()}
    elif kind != "din":
        house.gateway.faults.add(kind, endpoint="/tedapi/*")


@pytest.mark.parametrize("outcome", TEDAPI_OUTCOMES.values(), ids=TEDAPI_OUTCOMES)
def test_every_fault_of_the_table(home: House, outcome: TedapiOutcome) -> None:
    keys: dict[str, Any] = {"din": Din("1707000-21-K--TG0000000000ZZ")} if outcome.kind == "din" else {}
    if outcome.kind == "hang":
        keys["request_timeout"] = 0.3
    run = home.run(outcome.way, **keys)
    strike(home, run, outcome.kind)
    ran(run)
    if outcome.reason is None:
        assert run.up, run.error
        assert set(run.answers()) >= FOUR
        return
    assert not run.up
    assert run.error is not None
    assert run.error.reason == outcome.reason
    assert outcome.says in str(run.error)
    assert run.cooldown == pytest.approx(outcome.rest, abs=1.0)


class TestRefusals:
    """Each has its error, its cure, and its rest; nothing is asked meanwhile."""

    @pytest.mark.parametrize(
        ("state", "error", "rests"),
        [("pending", KeyPendingError, 60.0), (None, UnknownKeyError, 300.0)],
    )
    def test_keys(self, home: House, state: Any, error: type[GatewayError], rests: float) -> None:
        home.tedapi.keys.clear()
        if state is not None:
            home.tedapi.register(key().public_key(), state)
        run = home.run("v1r")
        failed(run, error)
        assert run.cooldown == pytest.approx(rests)
        before = dict(home.gateway.counts.requests)
        run.start()
        run.wait(time.monotonic() + 1.0)
        assert home.gateway.counts.requests == before

    def test_a_key_that_is_confirmed_at_last(self, home: House) -> None:
        home.tedapi.register(key().public_key(), "pending")
        run = home.run("v1r")
        failed(run, KeyPendingError)
        home.tedapi.register(key().public_key())
        home.clock.turn(61.0)
        assert set(ran(run)) == FOUR
        assert run.up

    def test_later_a_pending_key_is_asked_every_five_minutes(self, home: House) -> None:
        home.tedapi.register(key().public_key(), "pending")
        run = home.run("v1r")
        home.clock.turn(901.0)
        failed(run, KeyPendingError)
        assert run.cooldown == pytest.approx(300.0)

    def test_a_refused_password_rests_longer_each_time(self, home: House) -> None:
        run = home.run("v1")
        home.tedapi.password = "ANOTHERPASSWORD"
        for minutes in (5, 10, 20, 40, 60, 60):
            assert "whole password" in failed(run, AuthError)
            assert run.cooldown == pytest.approx(minutes * 60.0)
            home.clock.turn(minutes * 60.0 + 1.0)

    def test_another_gateways_din(self, home: House) -> None:
        assert "label" in failed(home.run("v1r", din=Din("1707000-21-K--TG0000000000ZZ")), RecipientError)

    def test_a_gateway_that_was_replaced_is_asked_for_its_din_once(self, home: House) -> None:
        home.gateway.sessions._tokens.add("token")
        run = home.run("v1r", din=None, owner=b"Cookie: AuthCookie=token\r\n")
        ran(run)
        other = LivingSite(seed=8, batteries=1, profile="pw3")
        from probe_exporter.simulator.tedapi import LivingSource

        home.tedapi.source = LivingSource(other)
        home.clock.turn(61.0)
        ran(run)
        assert run.error is None
        assert run.answers()["tedapi/components"].reading.value.serial == other.moment().serial

    @pytest.mark.parametrize("offset", [-120.0, 120.0])
    def test_a_wrong_clock(self, home: House, offset: float) -> None:
        home.tedapi.clock_offset = offset
        failed(home.run("v1r"), ClockError)

    def test_busy(self, home: House) -> None:
        run = home.run("v1r")
        home.tedapi.busy = True
        failed(run, BusyError)
        assert run.cooldown == pytest.approx(300.0)

    @pytest.mark.parametrize(
        ("fault", "error", "rests"),
        [("429", RateLimitError, 300.0), ("reset", ConnectError, 60.0), ("html_200", DecodeError, 0.0)],
    )
    def test_faults_of_the_wire(
        self, home: House, fault: str, error: type[GatewayError], rests: float
    ) -> None:
        home.gateway.faults.add(fault, endpoint="/tedapi/*")
        run = home.run("v1r")
        failed(run, error)
        assert run.cooldown == pytest.approx(rests)

    def test_silence(self, home: House) -> None:
        home.gateway.faults.add("hang", endpoint="/tedapi/*")
        run = home.run("v1r", request_timeout=0.3)
        failed(run, DeadlineError)
        assert home.gateway.counts.data_requests <= 2

    def test_a_query_that_is_refused_costs_itself(self, home: House) -> None:
        run = home.run("v1r")
        section = run._talk._section
        wrong = {
            question: replace(query, signature=b"\x30\x00") for question, query in section.queries.items()
        }
        run._talk._channel._queries = wrong
        answers = ran(run)
        assert "refuses the query" in str(run.error)
        assert answers["tedapi/config"].reading is not None
        assert answers["tedapi/controller"].reading is None


def test_beginning_and_end_of_a_failure_are_one_line_each(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    run = home.run("v1r")
    home.tedapi.busy = True
    with caplog.at_level(logging.INFO):
        ran(run)
        home.clock.turn(301.0)
        ran(run)
        home.tedapi.busy = False
        home.clock.turn(301.0)
        ran(run)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("home: TEDAPI (busy): ")
    assert lines[1] == "home: TEDAPI answers again"


def test_a_change_of_firmware_is_one_line(home: House, caplog: pytest.LogCaptureFixture) -> None:
    run = home.run("v1r")
    ran(run)
    home.site.profile = home.site.household.profile = replace(home.site.profile, version="26.26.4 12345678")
    with caplog.at_level(logging.INFO):
        home.clock.turn(601.0)
        ran(run)
    assert [record.getMessage() for record in caplog.records] == [
        "home: the firmware changed from 26.18.3 9c0f2b71 to 26.26.4 12345678"
    ]


def test_no_error_shows_a_secret(home: House, tmp_path: Path) -> None:
    home.tedapi.password = "ANOTHERPASSWORD"
    run = home.run("v1")
    run_password = "ANOTHERPASSWORD"
    home.tedapi.password = "CHANGEDSINCE"
    assert run_password not in failed(run, AuthError)
