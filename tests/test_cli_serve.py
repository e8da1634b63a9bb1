"""serve and simulate as processes: what they print, what they answer, how they end."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probe_exporter.cli.options import Settings
from probe_exporter.cli.reloading import Reloader
from probe_exporter.cli.serve import warn_of_few_descriptors
from probe_exporter.config import load_config
from probe_exporter.errors import ConfigurationError
from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests.program_runs import run_program

ROOT = Path(__file__).parent.parent
PATIENCE = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def program(*arguments: str, folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "probe_exporter", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """What the process prints up to the line with ``word``."""
    assert process.stdout is not None
    text = ""
    deadline = time.monotonic() + PATIENCE
    while word not in text and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.5)[0]:
            data = os.read(process.stdout.fileno(), 65_536)
            if not data:
                break
            text += data.decode()
    assert word in text, text
    return text


def get(url: str) -> str:
    """The body; asked again while nobody listens yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit code and what stood on standard error."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulated_gateways_and_the_exporter_in_one_go(number: signal.Signals) -> None:
    port = free_port()
    with program("simulate", "--serve", "--web.listen-address", f"127.0.0.1:{port}") as process:
        text = read_until(process, "Ctrl-C")
        url = f"http://127.0.0.1:{port}"
        assert f"{url}/probe?target=home" in text
        deadline = time.monotonic() + PATIENCE
        while "3 ok" not in get(f"{url}/") and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "not probed yet" not in get(f"{url}/"), "the simulation probes its gateways"
        for target in ("home", "cabin", "workshop"):
            assert "\nprobe_success 1.0\n" in get(f"{url}/probe?target={target}")
        assert "\nprobe_exporter_gateways 3.0\n" in get(f"{url}/metrics")
        assert len(json.loads(get(f"{url}/sd"))) == 3
        code, errors = end(process, number)
    assert code == 0
    assert "Traceback" not in errors
    configuration = re.search(r"configuration is (\S+)", text)
    assert configuration is not None
    assert not Path(configuration[1]).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulated_gateways_alone(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "gateways.yaml"
    with program("simulate", "--gateways", "2", "--write", str(file), "--fault", "cabin:refuse") as process:
        text = read_until(process, "Ctrl-C")
        assert str(file) in text
        assert file.stat().st_mode & 0o077 == 0
        config = load_config(file)
        assert list(config.gateways) == ["home", "cabin"]
        assert config.warnings == ()
        probed = subprocess.run(
            [
                sys.executable,
                "-m",
                "probe_exporter",
                f"--config.file={file}",
                "probe",
                "--all",
                "--format",
                "table",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert probed.returncode == 1
        assert [line.split()[:2] for line in probed.stdout.splitlines()[1:]] == [
            ["cabin", "failing:"],
            ["home", "ok"],
        ]
        # What is known of simulated gateways goes with them.
        state = config.state_directory
        assert state is not None
        assert list(state.iterdir())
        code, errors = end(process, number)
    assert (code, errors) == (0, "")
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "nowhere"], "no such scenario"),
        (["--fault", "nonsense"], "no such fault"),
        (["--fault", "nobody:hang"], "no such site"),
        (["--port", "65535"], "above port 65535"),
        (["--scenario", "pyproject.toml"], "this is not a recording"),
    ],
)
def test_a_simulation_that_cannot_be(arguments: list[str], message: str) -> None:
    with program("simulate", *arguments, folder=ROOT) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert output == ""
    assert message in errors
    assert errors.count("\n") == 1


def test_a_simulation_on_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        ended = run_program("simulate", "--gateways", "1", "--port", port)
    assert ended.code == 2
    assert "choose another --port" in ended.stderr


def test_a_simulation_whose_exporter_cannot_listen_prints_the_error_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        ended = run_program("simulate", "--gateways", "1", "--serve", "--web.listen-address", address)
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"cannot listen on {address}: address already in use; choose another address with --web.listen-address\n"
    )


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text(f"gateways: {{home: {{tls_fingerprint: 'sha256:{'0' * 64}'}}}}\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with program(
            f"--config.file={file}", "--log.level=error", "serve", "--web.listen-address", address
        ) as process:
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert errors.count("\n") == 1
    assert address in errors


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text("gateways: {home: {gateway_address: '127.0.0.1:1'}}\n")
    return file


def test_reload_takes_over_another_configuration(configured: Path) -> None:
    telemetry = Telemetry()
    fleet = Fleet(load_config(configured), telemetry)
    reload = Reloader(Settings(configured, None, "logfmt"), fleet, telemetry)
    configured.write_text("gateways: {home: {}, cabin: {}}\n")
    reload.read()()
    assert list(fleet.sites) == ["home", "cabin"]
    fleet.close()


@pytest.mark.parametrize("spoil", ["gateways: {home: {colour: red}}\n", "[", None])
def test_reload_of_a_bad_file_changes_nothing(
    configured: Path, spoil: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry()
    fleet = Fleet(load_config(configured), telemetry)
    reload = Reloader(Settings(configured, None, "logfmt"), fleet, telemetry)
    if spoil is None:
        configured.unlink()
    else:
        configured.write_text(spoil)
    before = fleet.config
    with (
        caplog.at_level(logging.ERROR, "probe_exporter"),
        pytest.raises(ConfigurationError, match="probe_exporter"),
    ):
        reload.read()
    assert "keeping the previous configuration" in caplog.text
    assert fleet.config is before
    assert telemetry.registry.get_sample_value("probe_exporter_config_last_reload_successful") == 0.0
    configured.write_text("gateways: {cabin: {}}\n")
    reload.read()()
    assert telemetry.registry.get_sample_value("probe_exporter_config_last_reload_successful") == 1.0
    fleet.close()


def test_reload_tells_what_needs_a_new_start(configured: Path, caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    fleet = Fleet(load_config(configured), telemetry)
    reload = Reloader(Settings(configured, None, "logfmt"), fleet, telemetry)
    with caplog.at_level(logging.WARNING, "probe_exporter.cli.reloading"):
        reload.read()()
        assert "restarted" not in caplog.text
        configured.write_text("web: {listen_address: ':9999'}\ngateways: {home: {}}\n")
        reload.read()()
    assert "restarted" in caplog.text
    fleet.close()


def test_few_descriptors_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "probe_exporter"):
        warn_of_few_descriptors(256, 64)
        assert caplog.text == ""
        warn_of_few_descriptors(255, 64)
    assert "LimitNOFILE" in caplog.text
