"""Nobody spends what belongs to all: sessions, verdicts, runs, places and connections, through the real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probe_exporter.config import Address, GatewayConfig, Pin
from probe_exporter.files import Done, Saver, write_now
from probe_exporter.fleet import Fleet
from probe_exporter.secrets import Secret
from probe_exporter.simulator import LivingSite, RecordedSystem, SimulatedGateway, System, make_certificate
from probe_exporter.simulator.messages import ClientRequest, Ending, Steps
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock
from tests.program_runs import run_program
from tests.readings_of import PAYLOADS
from tests.test_web import Exporter, served
from tests.whose_time import READ, get


@contextmanager
def simulated(system: System | None = None) -> Iterator[SimulatedGateway]:
    with SimulatedGateway(system or LivingSite(seed=1), password=configs.PASSWORD) as gateway:
        yield gateway


@contextmanager
def exporter_of(
    *gateways: GatewayConfig, clock: TurnedClock | None = None, state: Path | None = None, **module: Any
) -> Iterator[Exporter]:
    telemetry = Telemetry()
    config = configs.config(*gateways, modules=(configs.module(**module),), state_directory=state)
    with served(Fleet(config, telemetry, clock), telemetry, clock) as exporter:
        yield exporter


# Under one client's deadline


def test_a_login_is_not_cut_by_the_client_that_happened_to_start_it() -> None:
    with simulated() as gateway, exporter_of(configs.gateway(gateway.address)) as exporter:
        gateway.faults.add("drip", phase="login", seconds=0.0025)  # some 0.8 s in all
        assert not get(exporter, 1.0).success
        time.sleep(1.0)
        gateway.faults.clear()
        second = get(exporter, 1.0)
        assert second.success
        assert second.up == READ
        assert gateway.counts.login_attempts == 1


def test_running_out_of_a_clients_time_is_no_verdict() -> None:
    with simulated() as gateway, exporter_of(configs.gateway(gateway.address)) as exporter:
        gateway.latency = 0.1
        hasty = get(exporter, 0.02)
        assert (hasty.success, hasty.reason) in {(False, "timeout"), (False, "connect"), (False, "tls")}
        patient = get(exporter, 8.0)
        assert patient.success
        assert patient.up == READ
        for _ in range(3):
            get(exporter, 0.02)
        assert get(exporter, 8.0).up == READ


class SlowDisk(Saver):
    """A disk that tells of nothing that it is safe until `spin`."""

    def __init__(self) -> None:
        super().__init__()
        self._spins = threading.Event()

    def write(self, path: Path, data: bytes, done: Done) -> None:
        """Write when the disk spins."""

        def later() -> None:
            self._spins.wait(20.0)
            write_now(path, data, done)

        threading.Thread(target=later, daemon=True).start()

    def spin(self) -> None:
        """Write everything, now and from now on."""
        self._spins.set()


def test_a_slow_disk_holds_up_a_login_and_nothing_else(tmp_path: Path) -> None:
    """A login is sent when its record is safe: after a crash no second one may follow within the minute."""
    disk, telemetry = SlowDisk(), Telemetry()
    with simulated() as gateway, simulated() as other:
        gateways = (
            configs.gateway(gateway.address),
            configs.gateway(other.address, name="cabin", login_password=None),
        )
        fleet = Fleet(configs.config(*gateways, state_directory=tmp_path), telemetry, saver=disk)
        with served(fleet, telemetry) as exporter:
            first = get(exporter, 2.0)
            assert (first.success, first.up) == (False, {"status", "customer/registration"})
            assert gateway.counts.login_attempts == 0
            began = time.monotonic()
            assert 'powerwall_endpoint_up{endpoint="status"} 1.0' in exporter.ask("/probe?target=cabin").text
            assert exporter.ask("/-/healthy").status == 200
            assert time.monotonic() - began < 2.0
            disk.spin()
            assert get(exporter, 8.0).success
            assert gateway.counts.login_attempts == 1
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["login"]


@pytest.mark.slow
def test_who_comes_first_does_not_use_up_what_was_read_on() -> None:
    clock = TurnedClock()
    home = configs.gateway
    with (
        simulated() as gateway,
        exporter_of(home(gateway.address), clock=clock, request_timeout=1.0) as exporter,
    ):
        gateway.latency = 0.5  # longer than either client waits
        for number in range(6):
            get(exporter, 0.05)
            got = get(exporter, 0.6)
            assert got.success or number < 2, "a login, what is read on, what arrived"
            time.sleep(0.6)
            clock.turn(15.0)
        gateway.faults.add("hang")
        get(exporter, 4.0)
        clock.turn(15.0)
        assert not get(exporter, 4.0).success, "what was read on counts until the next request fails"


def test_fifty_clients_without_patience_starve_nobody() -> None:
    stop = threading.Event()

    with simulated() as gateway, exporter_of(configs.gateway(gateway.address)) as exporter:
        gateway.latency = 0.05
        assert get(exporter, 8.0).up == READ

        def hurry() -> int:
            asked = 0
            while not stop.is_set():
                get(exporter, 0.02)
                asked += 1
            return asked

        with ThreadPoolExecutor(50) as clients:
            hasty = [clients.submit(hurry) for _ in range(50)]
            try:
                answers = []
                for _ in range(3):
                    answers.append(get(exporter, 8.0))
                    time.sleep(0.2)
            finally:
                stop.set()
        assert sum(one.result() for one in hasty) > 50
        for answer in answers:
            assert answer.success
            assert answer.up == READ
            assert answer.took < 8.0
            assert answer.ages["meters/aggregates"] < 5.0, "an endless round keeps nothing old"
        assert exporter.telemetry.registry.get_sample_value("probe_exporter_probes_in_flight") == 0.0
        assert exporter.fleet.find("home").history


def test_dead_gateways_under_many_modules_take_no_place_of_a_good_one() -> None:
    modules = [configs.module(name=f"module-{number}") for number in range(6)]
    telemetry, certificate = Telemetry(), make_certificate()
    with SimulatedGateway(LivingSite(seed=1), certificate=certificate) as dead, simulated() as good:
        dead.faults.add("hang", phase="tls")
        gateways = [configs.gateway(dead.address, name=f"dead-{number}") for number in range(20)]
        home = configs.gateway(good.address)
        config = configs.config(*gateways, home, modules=(configs.MODULE, *modules))
        with served(Fleet(config, telemetry), telemetry) as exporter, ThreadPoolExecutor(120) as clients:

            def ask(number: int) -> str:
                module = f"&module=module-{number % 6}"
                return get(exporter, 4.0, f"dead-{number // 6}", module).reason

            hanging = [clients.submit(ask, number) for number in range(120)]
            time.sleep(0.5)
            for _ in range(3):
                got = get(exporter, 4.0)
                assert got.success
                assert got.up == READ
            assert {one.result() for one in hanging} == {"tls"}


def test_a_second_connection_that_hangs_in_its_handshake_delays_nothing() -> None:
    with simulated() as gateway, exporter_of(configs.gateway(gateway.address)) as exporter:
        gateway.faults.add("hang", phase="tls", after=1)
        for _ in range(3):
            got = get(exporter, 10.0)
            assert got.success
            assert got.up == READ
            assert got.took < 3.0, "the handshake of the other connection is not waited for"
        time.sleep(max(0.0, 3.3 - got.took))
        before = gateway.counts.connections
        assert get(exporter, 10.0).up == READ
        assert get(exporter, 10.0).up == READ
        assert gateway.counts.connections <= before + 1, "the width that worked is remembered"


# By one moment


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "with state_directory"])
def test_the_history_of_logins_belongs_to_the_address(kept: bool, tmp_path: Path) -> None:
    state = tmp_path if kept else None
    with simulated() as gateway:
        wrong = configs.gateway(gateway.address, login_password=Secret("wrong"))
        with exporter_of(wrong, state=state) as exporter:
            assert get(exporter, 5.0).reason == "auth"
            for number in range(4):
                name = f"name-{number}"
                exporter.fleet.reload(
                    configs.config(
                        configs.gateway(gateway.address, name=name, login_password=Secret("wrong"))
                    )
                )
                assert get(exporter, 5.0, name).reason == "auth"
            exporter.fleet.reload(configs.config(configs.gateway("127.0.0.1:1", name="other")))
            exporter.fleet.reload(configs.config(wrong, state_directory=state))
            assert get(exporter, 5.0).reason == "auth"
        if kept:
            with exporter_of(wrong, state=state) as exporter:
                assert get(exporter, 5.0).reason == "auth"
        assert gateway.counts.login_attempts == 1


def test_passwords_that_change_in_a_handshake_cost_one_login_a_minute() -> None:
    clock = TurnedClock()
    with simulated() as gateway:
        first = configs.gateway(gateway.address, login_password=Secret("wrong-0"))
        with exporter_of(first, clock=clock) as exporter, ThreadPoolExecutor(8) as clients:
            drip = gateway.faults.add("drip", phase="tls", seconds=0.0005)
            asked = []
            for number in range(1, 5):
                asked.append(clients.submit(get, exporter, 4.0))
                time.sleep(0.1)  # in its handshake
                changed = configs.gateway(gateway.address, login_password=Secret(f"wrong-{number}"))
                exporter.fleet.reload(configs.config(changed))
            gateway.faults.remove(drip)
            for one in asked:
                assert not one.result().success
            get(exporter, 4.0)
            assert gateway.counts.login_attempts == 1
            good = configs.gateway(gateway.address)
            exporter.fleet.reload(configs.config(good))
            assert not get(exporter, 4.0).success
            clock.turn(60.0)
            assert get(exporter, 4.0).success
            assert gateway.counts.login_attempts == 2


def test_a_stranger_at_the_first_address_is_sent_nothing_and_the_second_is_tried() -> None:
    with simulated() as stranger, simulated() as gateway:
        pin = Pin(bytes.fromhex(gateway.certificate.sha256), "a test")
        home = configs.gateway(stranger.address, gateway.address, pin=pin)
        with exporter_of(home) as exporter:
            got = get(exporter, 5.0)
            assert got.success
            assert got.up == READ
            gateway.faults.add("refuse")
            alone = get(exporter, 5.0)
            assert (alone.success, alone.reason) == (False, "tls"), (
                "the stranger is reported when all have failed"
            )
        assert stranger.counts.requests.total() == 0
        assert stranger.counts.login_attempts == 0


def test_a_silent_name_server_does_not_outlast_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released = threading.Event()

    def silence(*_: object, **__: object) -> list[object]:
        released.wait(20.0)
        raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")

    monkeypatch.setattr(socket, "getaddrinfo", silence)
    file = tmp_path / "c.yaml"
    file.write_text("gateways: {home: {gateway_address: gateway.example, login_password: x}}\n")
    began = time.monotonic()
    try:
        ended = run_program(f"--config.file={file}", "probe", "--timeout", "1s")
    finally:
        released.set()
    assert time.monotonic() - began < 3.0
    assert ended.code == 1
    assert "(connect)" in ended.stderr


def test_a_silent_name_server_costs_one_thread_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    released, numeric = threading.Event(), socket.getaddrinfo

    def silence(host: str, *rest: Any, **options: Any) -> Any:
        if host != "gateway.example":
            return numeric(host, *rest, **options)
        released.wait(20.0)
        raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")

    home = configs.gateway(addresses=(Address("gateway.example", 443, "gateway.example"),))
    with exporter_of(home, connect_timeout=0.1, retry_interval=0.05, retry_timeout=5.0) as exporter:
        monkeypatch.setattr(socket, "getaddrinfo", silence)
        try:
            for _ in range(2):
                assert get(exporter, 1.0).reason == "connect"
            assert sum(thread.name == "resolve" for thread in threading.enumerate()) == 1
        finally:
            released.set()


# Connections that lost step


def copies(request: ClientRequest, steps: Steps) -> Steps:
    """A second copy of an answer, a moment late."""
    whole = list(steps)
    yield from whole
    yield 0.003
    yield from whole


def line_breaks(request: ClientRequest, steps: Steps) -> Steps:
    """An empty line behind the body."""
    yield from steps
    yield 0.002
    yield b"\r\n"


def request_time_outs(request: ClientRequest, steps: Steps) -> Steps:
    """408 on the idle connection, and its end."""
    yield from steps
    yield 0.004
    yield b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    yield Ending.CLOSE


def closes_after(milliseconds: int) -> Callable[[ClientRequest, Steps], Steps]:
    def closes(request: ClientRequest, steps: Steps) -> Steps:
        yield from steps
        yield milliseconds / 1000.0
        yield Ending.CLOSE

    return closes


LOST_STEP: dict[str, Callable[[ClientRequest, Steps], Steps]] = {
    "a second copy": copies,
    "an empty line": line_breaks,
    "408": request_time_outs,
    **{f"closed after {number} ms": closes_after(number) for number in range(1, 9)},
}


@pytest.mark.parametrize("play", LOST_STEP.values(), ids=LOST_STEP)
def test_nothing_is_believed_on_a_connection_that_lost_step(
    play: Callable[[ClientRequest, Steps], Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated(RecordedSystem.from_folder(PAYLOADS / "neurio-22.9")) as gateway:
        clock = TurnedClock()
        home = configs.gateway(gateway.address)
        with exporter_of(home, clock=clock) as exporter:
            whole = get(exporter, 10.0)
        respond = gateway.respond

        def odd(request: ClientRequest) -> Steps:
            return play(request, respond(request))

        monkeypatch.setattr(gateway, "respond", odd)
        logins = gateway.counts.login_attempts
        with exporter_of(home, clock=clock) as exporter:
            for _ in range(3):
                got = get(exporter, 10.0)
                assert got.success
                assert got.up == whole.up, "each endpoint is read all the same"
                assert measured(got.lines) == measured(whole.lines)
                clock.turn(600.0)
            assert gateway.counts.login_attempts == logins + 1


def measured(lines: dict[str, float]) -> dict[str, float]:
    """The samples that come from the documents of the gateway alone, and from no clock of ours."""
    own = ("probe_", "powerwall_endpoint_", "powerwall_login_", "powerwall_tls_", "powerwall_start_time_")
    return {name: value for name, value in lines.items() if not name.startswith(own)}


# What an endpoint answers


def test_an_endpoint_that_answers_503_for_good_rests_and_is_unsupported_in_the_end() -> None:
    clock = TurnedClock()
    with simulated() as gateway, exporter_of(configs.gateway(gateway.address), clock=clock) as exporter:
        gateway.faults.add("503_busy", endpoint="meters/site")
        gateway.faults.add("503_busy", endpoint="system_status/soe")
        supported = []
        for _ in range(90):  # an hour and a half
            got = get(exporter, 5.0)
            assert got.success
            flags = got.by_endpoint("powerwall_endpoint_supported")
            supported.append(flags["meters/site"])
            assert flags["system_status/soe"] == 1.0, "a core endpoint is never unsupported"
            assert "meters/site" not in got.up
            clock.turn(60.0)
        requests = gateway.counts.requests
        assert requests["meters/site"] == 7, "three in a row, then after 5, 10, 20 and 40 minutes"
        assert supported.index(0.0) * 60.0 == 3600.0
        assert requests["system_status/soe"] == 90
        assert supported[0] == 1.0
        assert supported[-1] == 0.0
        gateway.faults.clear()
        clock.turn(2.0 * 3600.0)
        assert "meters/site" in get(exporter, 5.0).up


def test_a_gateway_that_answers_503_everywhere_is_busy_and_nothing_rests() -> None:
    clock = TurnedClock()
    with simulated() as gateway, exporter_of(configs.gateway(gateway.address), clock=clock) as exporter:
        assert get(exporter, 5.0).success
        clock.turn(120.0)
        fault = gateway.faults.add("503_busy")
        for _ in range(5):
            got = get(exporter, 5.0)
            assert (got.success, got.reason) == (False, "busy")
            clock.turn(15.0)
        gateway.faults.remove(fault)
        back = get(exporter, 5.0)
        assert back.success
        assert {"meters/aggregates", "meters/site", "meters/solar"} <= back.up


# What gives no energy is no success


@pytest.mark.parametrize("broken", ["login answers 500", "password changed"])
def test_what_gives_no_energy_says_so_everywhere(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with simulated() as gateway:
        if broken == "password changed":
            gateway.sessions.password = "another"
            reason = "auth"
        else:
            gateway.faults.add("500", phase="login")
            reason = "http"
        with exporter_of(configs.gateway(gateway.address)) as exporter:
            for _ in range(2):
                got = get(exporter, 5.0)
                assert (got.success, got.reason) == (False, reason)
                assert "powerwall_uptime_seconds" in got.lines, "what anybody may read is exported"
            assert sum("probe failed" in line for line in caplog.messages) == 1
            for page in ("/", "/gateways/home"):
                assert "waiting to log in" in exporter.ask(page).text
        file = tmp_path / "c.yaml"
        file.write_text(
            f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password: '{configs.PASSWORD}'}}}}\n"
        )
        ended = run_program(f"--config.file={file}", "probe", "--format", "table")
        assert ended.code == 1
        assert "waiting to log in" in ended.stdout
        assert f"({reason})" in ended.stderr


def test_a_stopped_gateway_says_that_it_is_stopped(tmp_path: Path) -> None:
    system = RecordedSystem.from_folder(PAYLOADS / "pw2-21.44-stopped")
    with simulated(system) as gateway:
        with exporter_of(configs.gateway(gateway.address)) as exporter:
            assert get(exporter, 5.0).success
            for page in ("/", "/gateways/home"):
                assert "stopped" in exporter.ask(page).text
        file = tmp_path / "c.yaml"
        file.write_text(
            f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password: '{configs.PASSWORD}'}}}}\n"
        )
        ended = run_program(f"--config.file={file}", "probe", "--format", "table")
        assert ended.code == 0
        assert ended.stdout.splitlines()[1].split()[:2] == ["home", "stopped"]
