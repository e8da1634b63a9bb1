"""Secrets stay inside: every secret is a marker, everything that can be seen is looked at, and no marker is there."""

from __future__ import annotations

import base64
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from probe_exporter.metrics.exposition import Format, render
from probe_exporter.simulator import LivingSite, SimulatedGateway
from tests.prometheus_server import free_port
from tests.scenes import scene

ROOT = Path(__file__).parent.parent
PASSWORD = "Canary-Password-5512"
FILED = "Canary-Filed-7731"
WRONG = "Canary-Wrong-9904"
BASIC = "Canary-Basic-2248"
HASH = bcrypt.hashpw(BASIC.encode(), bcrypt.gensalt(4)).decode()
PATHS = (
    "/",
    "/config",
    "/sd",
    "/metrics",
    "/probe?target=typed",
    "/probe?target=filed&debug=true",
    "/probe?target=refused&debug=true",
    f"/probe?target={PASSWORD}",
    f"/probe?target=typed&module={FILED}",
    "/gateways/typed",
    "/gateways/refused",
    "/gateways/nobody",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
)


@dataclass(slots=True)
class Seen:
    """All that came out, and what must not be in it."""

    gateways: list[SimulatedGateway]
    text: str = ""
    issued: set[str] = field(default_factory=set)

    def add(self, *texts: str) -> None:
        """Something that people or programs can see."""
        self.text += "\n".join(texts)
        for gateway in self.gateways:
            self.issued |= gateway.sessions.tokens

    def assert_clean(self) -> None:
        """No secret, whole or encoded, is in it."""
        assert self.issued, "there were sessions"
        secrets = {PASSWORD, FILED, WRONG, BASIC, HASH, *self.issued}
        encoded = {base64.b64encode(secret.encode()).decode() for secret in (PASSWORD, FILED, WRONG, BASIC)}
        for secret in secrets | encoded:
            assert secret not in self.text


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a configuration full of secrets, and the gateways that it names."""

    folder: Path
    gateways: tuple[SimulatedGateway, SimulatedGateway]

    def command(self, *arguments: str, style: str = "logfmt") -> list[str]:
        file = self.folder / "probe_exporter.yaml"
        program = [sys.executable, "-m", "probe_exporter", f"--config.file={file}"]
        return [*program, "--debug", f"--log.style={style}", *arguments]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("canary")
    with (
        SimulatedGateway(LivingSite(seed=1), password=PASSWORD) as typed,
        SimulatedGateway(LivingSite(seed=2), password=FILED) as filed,
    ):
        (folder / "password").write_text(FILED)
        (folder / "probe_exporter.yaml").write_text(
            f"state_directory: state\n"
            f"gateways:\n"
            f"  typed: {{gateway_address: '{typed.address}', login_password: {PASSWORD}}}\n"
            f"  filed: {{gateway_address: '{filed.address}', login_password_file: password}}\n"
            f"  refused: {{gateway_address: 'localhost:{typed.port}', login_password: {WRONG}}}\n"
        )
        (folder / "web.yaml").write_text(f'basic_auth_users: {{prometheus: "{HASH}"}}\n')
        yield Place(folder, (typed, filed))


def get(url: str, method: str) -> str:
    """Headers and body of an answer, whatever its status."""
    known = base64.b64encode(f"prometheus:{BASIC}".encode()).decode()
    request = urllib.request.Request(url, method=method, headers={"Authorization": f"Basic {known}"})
    try:
        with urllib.request.urlopen(request, timeout=20.0) as answer:
            return f"{answer.headers}\n{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.headers}\n{error.read().decode()}"


@contextmanager
def exporter(place: Place, style: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    port = free_port()
    arguments = ["serve", "--web.listen-address", f"127.0.0.1:{port}", "--web.enable-lifecycle"]
    process = subprocess.Popen(
        place.command(*arguments, "--web.config.file", str(place.folder / "web.yaml"), style=style),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("style", ["text", "logfmt", "json"])
def test_what_the_port_and_the_log_show(place: Place, style: str) -> None:
    seen = Seen(list(place.gateways))
    with exporter(place, style) as (port, process):
        for path in PATHS:
            seen.add(get(f"http://127.0.0.1:{port}{path}", "POST" if path == "/-/reload" else "GET"))
        seen.add(Path(f"/proc/{process.pid}/cmdline").read_text())
        good = place.folder / "probe_exporter.yaml"
        before = good.read_text()
        try:
            good.write_text(before + f"{PASSWORD}: [\n")
            seen.add(get(f"http://127.0.0.1:{port}/-/reload", "POST"))
        finally:
            good.write_text(before)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=20.0)
    assert "probing typed" in log, "debug lines are there"
    seen.add(log)
    seen.assert_clean()


COMMANDS = {
    "text": ("probe", "--all"),
    "openmetrics": ("probe", "--all", "--format", "openmetrics"),
    "json": ("probe", "--all", "--format", "json"),
    "table": ("probe", "--all", "--format", "table"),
    "certificates": ("fetchcert", "--all"),
    "check": ("check",),
    "record": ("record", "typed", "{folder}/record.json", "--force"),
    "no such target": ("probe", PASSWORD),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_what_the_commands_print(place: Place, arguments: tuple[str, ...]) -> None:
    seen = Seen(list(place.gateways))
    named = [argument.replace("{folder}", str(place.folder)) for argument in arguments]
    ended = subprocess.run(
        place.command(*named),
        capture_output=True,
        text=True,
        timeout=60.0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    record = place.folder / "record.json"
    assert "Traceback" not in ended.stderr
    echoed = ended.stderr.replace(PASSWORD, "") if PASSWORD in named else ended.stderr
    seen.issued.add("a session is not needed here")
    seen.add(ended.stdout, echoed, record.read_text() if record.exists() else "")
    seen.assert_clean()


def test_a_defect_shows_no_message(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(PASSWORD)

    with scene() as home, caplog.at_level(logging.DEBUG):
        monkeypatch.setattr("probe_exporter.probe.run.read", fail)
        result = home.probe()
        assert not result.success
        shown = caplog.text + (result.error or "") + "".join(result.log)
        shown += render(result.metrics, Format.TEXT).decode()
        assert "RuntimeError" in shown
        assert PASSWORD not in shown


def test_a_gateway_that_sends_the_password_back(caplog: pytest.LogCaptureFixture) -> None:
    """A hostile gateway knows the password that it was sent; it may not have it published through errors."""
    with scene() as home, caplog.at_level(logging.DEBUG):
        home.gateway.faults.add("redirect_307", location=f"http://127.0.0.1:1/{PASSWORD}")
        result = home.probe()
        assert result.reason == "http"
        assert PASSWORD not in caplog.text + (result.error or "") + "".join(result.log)


def test_files_that_others_can_read_are_warned_of(place: Place) -> None:
    for name in ("probe_exporter.yaml", "password"):
        file = place.folder / name
        file.chmod(0o644)
        ended = subprocess.run(
            place.command("check"),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        assert f"chmod o-rwx {file}" in ended.stdout + ended.stderr
        file.chmod(0o600)
