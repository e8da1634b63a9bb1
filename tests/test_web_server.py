"""The server under clients that are slow, odd or too many, and its way out."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probe_exporter.errors import ConfigurationError
from probe_exporter.fleet import Fleet
from probe_exporter.simulator import LivingSite, SimulatedGateway, write_config
from probe_exporter.telemetry import Telemetry
from probe_exporter.web import accepting, connection, server
from probe_exporter.web.addresses import listen
from tests import configs
from tests.prometheus_server import free_port
from tests.test_web import Exporter, served

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running:
        yield running


def exchange(port: int, data: bytes, patience: float = 5.0) -> bytes:
    """Send bytes, and read until the server closes or nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), patience) as client:
        client.settimeout(patience)
        client.sendall(data)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := client.recv(65536):
                received += part
                if len(part) < 65536 and b"\r\n\r\n" in received and patience < 1.0:
                    break
        return received


HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"GET /sd HTTP/1.1\r\nHost: x\r\n\r\n"
"""Of `many_gateways` a long answer: some of them fill every buffer on the way to a client that does not read."""

CLOSING = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


# Odd requests


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbro ken: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET /?" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_a_400_and_closed(
    exporter: Exporter, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        reply = exchange(exporter.port, data)
    assert reply.startswith(b"HTTP/1.1 400")
    assert "Traceback" not in caplog.text
    assert exporter.ask("/-/healthy").status == 200


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("body", [b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b""])
def test_two_lengths_of_one_request_end_the_connection(
    exporter: Exporter, order: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    lengths = (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n")[::order]
    head = b"POST /probe?target=home HTTP/1.1\r\nHost: x\r\n" + b"".join(lengths) + b"\r\n"
    reply = exchange(exporter.port, head + body + HEALTHY)
    assert reply.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in reply
    assert (b"exclude one another" in reply) == (body != b"")
    assert b"healthy" not in reply
    assert caplog.text == ""


def test_requests_one_behind_the_other(exporter: Exporter) -> None:
    assert exchange(exporter.port, HEALTHY * 2 + CLOSING).count(b"HTTP/1.1 200 OK") == 3


def test_a_body_nobody_asked_for(exporter: Exporter) -> None:
    request = b"POST /probe?target=home HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + CLOSING
    reply = exchange(exporter.port, request)
    assert reply.startswith(b"HTTP/1.1 405")
    assert b"allow: GET, HEAD" in reply


def test_a_websocket_is_not_to_be_had(exporter: Exporter) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert b"101" not in exchange(exporter.port, upgrade, 0.5)[:20]


VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=VISIBLE, query=VISIBLE, accept=VISIBLE)
def test_any_request_gets_an_answer(exporter: Exporter, path: str, query: str, accept: str) -> None:
    target = f"/{path}" if "?" in path else f"/{path}?{query}"
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    reply = exchange(exporter.port, head.encode("ascii"))
    assert reply[:12] in (b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 404")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=VISIBLE, module=VISIBLE)
def test_any_query_of_a_probe_gets_an_answer(exporter: Exporter, query: str, module: str) -> None:
    head = f"GET /probe?target=home&module={module}&{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reply = exchange(exporter.port, head.encode("ascii"))
    assert reply[:12] in (b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 404")


# Slow and many


def test_headers_that_never_end_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_DEADLINE", 0.5)
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", running.port), 5.0) as client:
            client.settimeout(5.0)
            with contextlib.suppress(ConnectionError):
                for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 100:
                    client.sendall(bytes([byte]))
                    time.sleep(0.02)
            with contextlib.suppress(ConnectionError):
                assert client.recv(100) == b""
        assert time.monotonic() - began < 3.0


def test_an_idle_connection_is_kept_and_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_DEADLINE", 0.3)
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running:
        client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5.0)
        client.connect()
        connected = client.sock
        for _ in range(2):
            client.request("GET", "/-/healthy")
            assert client.getresponse().read() == b"healthy\n"
            time.sleep(0.5)
        assert client.sock is connected
        client.close()


LINGERING = {
    "half a head behind an answer": HEALTHY + b"GET / HTTP/1.1\r\nX: ",
    "nothing more": HEALTHY,
    "the first byte of a body": b"POST /probe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    "the first chunk of a body": (
        b"POST /probe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    ),
    "a body of a GET": b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx",
}


@pytest.mark.parametrize("data", LINGERING.values(), ids=LINGERING)
def test_no_client_holds_a_connection(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(connection, "HEADER_DEADLINE", 0.3)
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 1)
    telemetry = Telemetry()
    with (
        served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running,
        socket.create_connection(("127.0.0.1", running.port), 5.0) as client,
    ):
        client.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                received += part
        assert received.startswith(b"HTTP/1.1 ")


def many_gateways(telemetry: Telemetry) -> Fleet:
    return Fleet(
        configs.config(*[configs.gateway(name=f"home-{number}") for number in range(300)]), telemetry
    )


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_TIMEOUT", 0.3)
    count = 1500
    telemetry = Telemetry()
    with (
        served(many_gateways(telemetry), telemetry) as running,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5.0)
        client.connect(("127.0.0.1", running.port))
        client.sendall(LONG * count)
        time.sleep(1.5)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                received += part
        assert 0 < received.count(b"HTTP/1.1 200 OK") < count


def test_many_slow_clients_stop_nobody(exporter: Exporter) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", exporter.port), 5.0))
            client.sendall(b"GET / HTTP/1.1\r\nHost:")
        for _ in range(5):
            assert exporter.ask("/-/healthy").status == 200


def test_connections_above_the_cap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "MAX_CONNECTIONS", 3)
    telemetry = Telemetry()
    with (
        served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running,
        ExitStack() as stack,
    ):
        time.sleep(0.3)  # the connection that looked whether the port is open has ended by then
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 5.0)) for _ in range(5)
        ]
        answered = 0
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(HEALTHY)
                answered += client.recv(1000).startswith(b"HTTP/1.1 200")
        assert answered == 3


# Addresses


@pytest.mark.parametrize("address", ["localhost", "1.2.3.4", ":x", ":99999", "", "[::1]", ":-1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen([address])
    assert "listen_address" in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:0", ":0", "[::1]:0", "localhost:0"])
def test_an_address(address: str) -> None:
    if "::1" in address and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    for listener in listen([address]):
        listener.close()


# The way out


@contextmanager
def process(folder: Path, gateway: SimulatedGateway) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    file = folder / "gateways.yaml"
    write_config({"home": gateway}, file)
    port = free_port()
    command = [sys.executable, "-m", "probe_exporter", f"--config.file={file}", "serve"]
    running = subprocess.Popen(
        [*command, "--web.listen-address", f"127.0.0.1:{port}"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5.0).close()
                break
            time.sleep(0.05)
        yield port, running
    finally:
        running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


def get(port: int, path: str, patience: float) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"X-Prometheus-Scrape-Timeout-Seconds": str(patience)}
    )
    try:
        with urllib.request.urlopen(request, timeout=20.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_sigterm_lets_a_running_probe_answer(tmp_path: Path) -> None:
    with SimulatedGateway(LivingSite(seed=1)) as gateway:
        gateway.faults.add("hang")
        with process(tmp_path, gateway) as (port, running), ThreadPoolExecutor(1) as pool:
            probing = pool.submit(get, port, "/probe?target=home", 2.5)
            time.sleep(0.7)
            running.send_signal(signal.SIGTERM)
            status, text = probing.result(20.0)
            assert status == 200
            assert "\nprobe_success 0.0\n" in text
            assert running.wait(10.0) == 0
            _, log = running.communicate()
            assert "Traceback" not in log


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    with SimulatedGateway(LivingSite(seed=1)) as gateway:
        gateway.faults.add("hang")
        with (
            process(tmp_path, gateway) as (port, running),
            socket.create_connection(("127.0.0.1", port), 5.0) as client,
        ):
            head = b"GET /probe?target=home HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 25\r\n\r\n"
            client.sendall(head)
            time.sleep(0.5)
            running.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(1.0)
            running.send_signal(signal.SIGTERM)
            assert running.wait(10.0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_exporter_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with SimulatedGateway(LivingSite(seed=1)) as gateway, process(tmp_path, gateway) as (port, running):
        assert get(port, "/probe?target=home", 5.0)[0] == 200
        with socket.create_connection(("127.0.0.1", port), 5.0):
            running.send_signal(number)
            assert running.wait(5.0) == 0


def test_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    with SimulatedGateway(LivingSite(seed=1)) as gateway, process(tmp_path, gateway) as (port, running):
        file = tmp_path / "gateways.yaml"
        good = file.read_text()
        file.write_text("[")
        running.send_signal(signal.SIGHUP)
        wait_for(port, "probe_exporter_config_last_reload_successful 0.0")
        assert get(port, "/probe?target=home", 5.0)[0] == 200
        assert get(port, "/-/ready", 5.0)[0] == 200
        file.write_text(good.replace("home:", "cabin:"))
        running.send_signal(signal.SIGHUP)
        wait_for(port, "probe_exporter_config_last_reload_successful 1.0")
        assert get(port, "/probe?target=home", 5.0)[0] == 404
        assert get(port, "/probe?target=cabin", 5.0)[0] == 200


def wait_for(port: int, line: str) -> None:
    for _ in range(100):
        if f"\n{line}\n" in get(port, "/metrics", 5.0)[1]:
            return
        time.sleep(0.05)
    raise AssertionError(f"{line} did not come")


def test_who_does_not_read_does_not_hold_the_exit() -> None:
    telemetry = Telemetry()
    with ExitStack() as stack:
        with served(many_gateways(telemetry), telemetry, drain=1.5) as running:
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", running.port))
            client.sendall(LONG * 1500)
            time.sleep(1.5)
            began = time.monotonic()
        assert time.monotonic() - began < 8.0


def test_draining_takes_no_new_probes(exporter: Exporter) -> None:
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as running:
        running.application.runner.drain(1.0)
        refused = running.ask("/probe?target=home")
        assert refused.status == 503
        assert refused.headers["retry-after"] == "5"
        assert running.ask("/-/ready").status == 503
        assert running.ask("/-/healthy").status == 200
