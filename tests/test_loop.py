"""One event loop reads all gateways: whatever one of them does, it holds the loop for moments only."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from probe_exporter.config import Address
from probe_exporter.errors import DeadlineError
from probe_exporter.fleet import Fleet
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.gateway.once import Once
from probe_exporter.gateway.polling import Polling
from probe_exporter.gateway.transport import connect
from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate, write_config
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock
from tests.port_process import serving
from tests.test_key_updates import REQUESTED, flooding
from tests.test_web import Exporter, served
from tests.whose_time import get

HELD: float = 1.0
"""Seconds that nothing may hold the loop; some milliseconds are what it takes, and the machine may be busy."""


def simulated() -> SimulatedGateway:
    return SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD)


def longest_wait(exporter: Exporter, seconds: float) -> float:
    """The longest time that an answer without a gateway takes."""
    waits, end = [0.0], time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        assert exporter.ask("/-/healthy").status == 200
        waits.append(time.monotonic() - asked)
        time.sleep(0.01)
    return max(waits)


def test_a_flood_of_key_updates_holds_nobody_up() -> None:
    with flooding(REQUESTED) as address, simulated() as good:
        gateways = (
            configs.gateway(good.address),
            configs.gateway(address.text, name="flood", login_password=None),
        )
        telemetry = Telemetry()
        config = configs.config(*gateways, modules=(configs.module(request_timeout=2.0),))
        with served(Fleet(config, telemetry), telemetry) as exporter, ThreadPoolExecutor(1) as clients:
            flooded = clients.submit(exporter.ask, "/probe?target=flood")
            time.sleep(0.3)
            assert get(exporter, 5.0).success
            assert longest_wait(exporter, 1.0) < HELD
            assert "\nprobe_success 0.0\n" in flooded.result(20.0).text


@contextmanager
def deaf() -> Iterator[Address]:
    """A gateway that agrees on keys and then reads nothing."""
    context = make_certificate().context
    over = threading.Event()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            with context.wrap_socket(server.accept()[0], server_side=True):
                over.wait(20.0)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        yield Address("127.0.0.1", port, f"127.0.0.1:{port}")
        over.set()
        thread.join(10.0)


def test_a_turn_does_not_wait_for_a_gateway_that_reads_nothing() -> None:
    with deaf() as address:
        connection = connect(address, 5.0)
        asked = time.monotonic()
        with pytest.raises(DeadlineError, match="could not be sent in time"):
            connection.send(b"x" * (32 << 20), time.monotonic())
        connection.close()
    assert time.monotonic() - asked < 5.0


def test_a_login_that_is_cut_short_is_not_the_last_one() -> None:
    clock = TurnedClock()
    with simulated() as site:
        site.faults.add("hang", phase="login")
        gateway, polling = Gateway(configs.gateway(site.address), Telemetry(), clock), Polling()
        once = Once([BY_NAME["operation"]], configs.MODULE, time.monotonic() + 10.0)
        fetch, ready = gateway.begin(once, polling), list[int]()
        while not fetch.in_use:
            due = fetch.turn(ready)
            assert due is not None
            ready = polling.wait(due)
        assert fetch.logging_in
        gateway.end(fetch)
        polling.close()
        site.faults.clear()
        clock.turn(61.0)
        again = Once([BY_NAME["operation"]], configs.MODULE, time.monotonic() + 10.0)
        gateway.fetch(again)
        gateway.close()
    assert again.fetched["operation"].error is None


@pytest.mark.slow
def test_a_process_that_stood_still_does_not_blame_the_gateway(tmp_path: Path) -> None:
    """The answers lie in the sockets when it goes on, though their time is over."""
    with SimulatedGateway(LivingSite(seed=1), password="secret") as gateway:
        write_config({"home": gateway}, tmp_path / "probe_exporter.yaml")
        with serving(tmp_path) as running:
            assert "\nprobe_success 1.0\n" in running.get("/probe?target=home")[1]
            gateway.latency = 0.5
            with ThreadPoolExecutor(1) as clients:
                asked = clients.submit(running.get, "/probe?target=home")
                time.sleep(0.25)
                running.process.send_signal(signal.SIGSTOP)
                time.sleep(6.0)  # longer than request_timeout
                running.process.send_signal(signal.SIGCONT)
                text = asked.result(20.0)[1]
            assert "\nprobe_success 1.0\n" in text
            for endpoint in ("meters/aggregates", "system_status/soe"):
                assert f'powerwall_endpoint_up{{endpoint="{endpoint}"}} 1.0' in text
