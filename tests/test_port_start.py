"""How the exporter comes up, follows its configuration and goes down: as a program, with an operator's means."""

from __future__ import annotations

import base64
import http.client
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from probe_exporter.simulator import make_certificate
from probe_exporter.web.systemd import notify_ready
from tests.port_process import PATIENCE, Running, configuration, serving, started, wait
from tests.program_runs import run_program
from tests.prometheus_server import free_port

RELOADED = "configuration reloaded"


# Signals


def holds_hangup_back(running: Running) -> bool:
    """Return True if the program is far enough to hold SIGHUP back: the least bit of what it blocks, or catches."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    masks = [
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigBlk", "SigCgt"))
    ]
    return any(mask & 1 for mask in masks)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sighup_kills_at_no_moment_of_the_start_and_is_not_forgotten(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        wait(lambda: holds_hangup_back(running), "SIGHUP held back")
        while not running.accepts():
            running.process.send_signal(signal.SIGHUP)
            assert running.process.poll() is None, running.log
            time.sleep(0.002)
        wait(lambda: RELOADED in running.log, "the reload")
        assert running.get("/-/ready")[0] == 200
        assert running.end() == 0


def test_nothing_is_imported_before_sighup_is_held_back() -> None:
    code = (
        "import sys, probe_exporter.__main__; print([m for m in sys.modules if 'click' in m or 'cli' in m])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_sighup_ends_a_command_that_cannot_reload() -> None:
    command = [sys.executable, "-m", "probe_exporter", "simulate", "--gateways", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "gateway" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == -signal.SIGHUP


def test_a_storm_of_sighups_is_one_reload(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        sent = []
        for _ in range(300):
            running.process.send_signal(signal.SIGHUP)
            sent.append(time.monotonic())
            time.sleep(0.002)
        wait(lambda: RELOADED in running.log, "the reload")
        time.sleep(0.5)
        # On a busy machine the storm itself may pause for longer than the quiet that a reload waits for.
        pauses = sum(after - before > 0.1 for before, after in itertools.pairwise(sent))
        assert running.log.count(RELOADED) <= 1 + pauses


def test_the_port_answers_while_a_large_configuration_is_read(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        gateways = "".join(
            f"  g{number}: {{gateway_address: '127.0.0.1:9{number}'}}\n" for number in range(999)
        )
        configuration(tmp_path, f"gateways:\n{gateways}")
        running.process.send_signal(signal.SIGHUP)
        slowest, end = 0.0, time.monotonic() + PATIENCE
        while RELOADED not in running.log and time.monotonic() < end:
            began = time.monotonic()
            assert running.get()[0] == 200
            slowest = max(slowest, time.monotonic() - began)
        assert RELOADED in running.log
        assert slowest < 5.0


def test_systemd_is_told_when_the_port_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        with started(tmp_path, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as running:
            assert systemd.recv(100) == b"READY=1"
            running.process.send_signal(signal.SIGHUP)
            assert running.get("/-/ready")[0] == 200
            wait(lambda: RELOADED in running.log, "the reload")


def test_a_systemd_that_does_not_listen_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
    notify_ready()
    assert "systemd cannot be notified" in caplog.text


def test_sigterm_ends_in_time_behind_two_thousand_guesses(tmp_path: Path) -> None:
    stored = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(12)).decode()
    (tmp_path / "web.yaml").write_text(f'basic_auth_users: {{prometheus: "{stored}"}}')
    with serving(tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}") as running, ExitStack() as stack:
        for client in range(100):
            guesses = b""
            for number in range(20):
                word = base64.b64encode(f"prometheus:{client}-{number}".encode())
                guesses += b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + word + b"\r\n\r\n"
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), PATIENCE))
            connection.sendall(guesses)
        time.sleep(0.3)
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 15.0
        assert "Traceback" not in running.log


# The port


def refused(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a start that fails."""
    ended = run_program(f"--config.file={configuration(folder)}", "serve", *arguments)
    return ended.code, ended.stderr


def test_a_port_that_is_taken_may_be_free_at_the_next_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = refused(tmp_path, "--web.listen-address", f"127.0.0.1:{port}")
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use; choose another address with" in log
    assert "--web.listen-address" in log
    assert "serving" not in log


def test_an_address_that_is_not_up_may_be_up_at_the_next_start(tmp_path: Path) -> None:
    code, log = refused(tmp_path, "--web.listen-address", "192.0.2.1:9871")
    assert (code, "serving" in log) == (1, False)
    assert "cannot listen on 192.0.2.1:9871" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--web.listen-address=localhost"], "is not an address"),
        (["--web.systemd-socket"], "systemd has not passed a socket"),
        (["--web.systemd-socket", "--web.listen-address=:1"], "not both"),
        (["--web.external-url=mon.example.org/powerwall"], "must begin with http:// or https://"),
        (["--web.external-url=https://me:canary@mon.example.org/"], "must not hold a user or a password"),
        (["--web.external-url=https:///powerwall"], "must name a host"),
        (["--web.external-url=https://mon.example.org/?a=b"], "without ? and #"),
        (["--web.external-url=https://[mon/"], "is not a URL"),
        (["--web.external-url=https://mon.example.org/a/../b"], "must have a path"),
        (["--web.route-prefix=/a b"], "must have a path"),
    ],
)
def test_what_another_start_would_not_mend(tmp_path: Path, arguments: list[str], message: str) -> None:
    code, log = refused(tmp_path, *arguments)
    assert code == 2, log
    assert message in log
    assert "canary" not in log


@pytest.mark.parametrize("text", ["", "# {}\n", "basic_auth_users:\n"])
def test_an_empty_web_configuration_opens_no_port(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.yaml").write_text(text)
    code, log = refused(tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}")
    assert (code, "is empty; write {}" in log) == (2, True)


def test_an_authority_without_a_certificate_is_a_mistake_with_a_name(tmp_path: Path) -> None:
    certificate = make_certificate()
    (tmp_path / "server.crt").write_bytes(certificate.pem)
    (tmp_path / "server.key").write_bytes(certificate.key_pem)
    (tmp_path / "web.yaml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: /dev/null\n"
    )
    code, log = refused(tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}")
    assert (code, "client_ca_file holds no certificate" in log) == (2, True)
    assert "report" not in log


def test_several_addresses_of_the_command_line_or_else_of_the_environment(tmp_path: Path) -> None:
    first, second, third = free_port(), free_port(), free_port()
    variable = {"PROBE_EXPORTER_WEB_LISTEN_ADDRESS": f"127.0.0.1:{first} 127.0.0.1:{second}"}
    with serving(tmp_path, environment=variable, port=first) as running:
        assert running.get()[0] == replace(running, port=second).get()[0] == 200
        assert f"127.0.0.1:{first} 127.0.0.1:{second}" in running.log
    with serving(tmp_path, "--web.listen-address", f"127.0.0.1:{third}", environment=variable) as running:
        assert running.get()[0] == replace(running, port=third).get()[0] == 200
        assert not replace(running, port=first).accepts()


def test_every_option_of_serve_has_its_variable(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("http_server_config: {headers: {X-Frame-Options: deny}}")
    variables = {
        "PROBE_EXPORTER_WEB_CONFIG_FILE": str(tmp_path / "web.yaml"),
        "PROBE_EXPORTER_WEB_EXTERNAL_URL": "https://mon.example.org/powerwall",
        "PROBE_EXPORTER_WEB_ROUTE_PREFIX": "/",
        "PROBE_EXPORTER_WEB_ENABLE_LIFECYCLE": "true",
        "PROBE_EXPORTER_PORT": "tcp://10.0.0.1:9871",  # what Kubernetes injects for a Service of our name
    }
    with serving(tmp_path, environment=variables) as running:
        assert '"__metrics_path__": "/powerwall/probe"' in running.get("/sd")[1]
        assert running.get("/-/reload", "POST")[0] == 200


def test_the_systemd_socket_has_a_variable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_EXPORTER_WEB_SYSTEMD_SOCKET", "true")
    code, log = refused(tmp_path)
    assert (code, "systemd has not passed a socket" in log) == (2, True)


AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_the_sockets_of_systemd(tmp_path: Path, family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "port"))
        listener.listen(10)
        program = ["-m", "probe_exporter", f"--config.file={configuration(tmp_path)}", "serve"]
        process = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(listener.fileno()), *program, "--web.systemd-socket"],
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            with socket.socket(family) as client:
                client.settimeout(PATIENCE)
                client.connect(listener.getsockname())
                client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


# POST /-/reload


def test_no_page_makes_a_browser_reload_us(tmp_path: Path) -> None:
    with serving(tmp_path, "--web.enable-lifecycle") as running:
        assert running.get("/-/reload", "POST")[0] == 200
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Origin": f"http://127.0.0.1:{running.port}", "Sec_Fetch_Site": "same-origin"},
        ):
            status, text = running.get("/-/reload", "POST", **headers)
            assert (status, "browser" in text) == (403, True)
        assert running.log.count(RELOADED) == 1
        configuration(tmp_path, "[")
        status, text = running.get("/-/reload", "POST")
        assert status == 500
        assert "keeping the previous configuration" in text


# Threads and descriptors


@pytest.mark.skipif(sys.platform != "linux", reason="limits a running process")
def test_a_process_that_may_start_no_thread_says_so_and_probes_later(tmp_path: Path) -> None:
    stored = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yaml").write_text(f'basic_auth_users: {{me: "{stored}"}}')
    known = {"Authorization": "Basic " + base64.b64encode(b"me:open sesame").decode()}
    stack = 64 << 20
    with serving(
        tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}", limit=f"-s {stack >> 10}"
    ) as running:
        size = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[0]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        free = resource.RLIM_INFINITY
        resource.prlimit(running.process.pid, resource.RLIMIT_AS, (size + stack // 2, free))
        assert running.get("/probe?target=home", **known)[0] == 503
        assert running.get("/sd", **known)[0] == 200
        assert running.get("/sd", Authorization="Basic bWU6eA==")[0] == 401, "its thread was there before"
        running.process.send_signal(signal.SIGHUP)
        wait(lambda: RELOADED in running.log, "the reload")
        resource.prlimit(running.process.pid, resource.RLIMIT_AS, (free, free))
        assert running.get("/probe?target=home", **known)[0] == 200
        assert "\nprobe_exporter_probes_total 1.0\n" in running.get("/metrics", **known)[1]
        assert "unexpected" not in running.log
        assert "Exception" not in running.log


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_without_descriptors_rests_and_still_answers(tmp_path: Path) -> None:
    def seconds(running: Running) -> float:
        fields = Path(f"/proc/{running.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with serving(tmp_path, limit="-n 12") as running, ExitStack() as stack:
        # Half of them may be clients', and the exporter itself has more than the other half: none is left.
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), PATIENCE))
            for _ in range(40)
        ]
        kept = http.client.HTTPConnection("127.0.0.1", running.port)
        kept.sock = clients[0]
        time.sleep(0.5)
        before = seconds(running)
        for path in (
            "/",
            "/gateways/home",
            "/config",
            "/sd",
            "/metrics",
            "/style.css",
            "/probe",
            "/probe?target=home",
        ):
            kept.request("GET", path)
            answer = kept.getresponse()
            answer.read()
            assert answer.status in (200, 400, 404), path
        time.sleep(2.0)
        assert seconds(running) - before < 1.5
        assert "no connection can be accepted now" in running.log
        running.process.send_signal(signal.SIGHUP)
        wait(lambda: "cannot be read: too many open files" in running.log, "the refused reload")
        assert len(running.log.splitlines()) < 20
        stack.close()
        wait(lambda: running.accepts() and running.get()[0] == 200, "an answer to a new client")
        running.process.send_signal(signal.SIGHUP)
        wait(lambda: RELOADED in running.log, "the reload")
        assert running.end() == 0
