"""The exporter as a program of its own, as an operator starts it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.prometheus_server import free_port

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0
"""Seconds that a test waits for what must happen; the machine may be busy."""


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


@dataclass
class Running:
    """A started exporter. What it logs goes to a file."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str = "/-/healthy", method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and body of an answer, over a fresh connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(
                method, path, headers={key.replace("_", "-"): value for key, value in headers.items()}
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def accepts(self) -> bool:
        """Return True if the port can be connected to."""
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5.0).close()
            return True
        return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def configuration(folder: Path, text: str = "gateways: {home: {gateway_address: '127.0.0.1:9'}}\n") -> Path:
    """A configuration with one gateway that nobody answers for."""
    file = folder / "probe_exporter.yaml"
    file.write_text(text)
    return file


@contextmanager
def started(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    limit: str = "",
    port: int | None = None,
) -> Iterator[Running]:
    """``serve`` with these arguments, not waited for. ``limit`` is what `ulimit` is told."""
    file = folder / "probe_exporter.yaml"
    if not file.exists():
        configuration(folder)
    if port is None:
        port = free_port()
        arguments = ("--web.listen-address", f"127.0.0.1:{port}", *arguments)
    log_file = folder / "log"

    limited = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"] if limit else []
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "probe_exporter", f"--config.file={file}", "serve", *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
    try:
        yield Running(process, port, log_file)
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(folder: Path, *arguments: str, **settings: object) -> Iterator[Running]:
    """The same, and ready."""
    with started(folder, *arguments, **settings) as running:  # type: ignore[arg-type]
        wait(lambda: running.accepts() or running.process.poll() is not None, "the port")
        assert running.process.poll() is None, running.log
        wait(lambda: "msg=serving" in running.log, "its log line")
        yield running
