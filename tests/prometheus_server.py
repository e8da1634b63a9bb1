"""A real Prometheus on loopback, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import program

START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server, asked through its API."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def api(self, path: str, **parameters: str) -> Any:
        """``data`` of an answer below ``/api/v1/``. Raises AssertionError with Prometheus' own words on an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10.0) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query: ``metric``, and ``value`` as [Unix seconds, text]."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        result = self.api("query", query=expression, **moment)["result"]
        assert isinstance(result, list)
        return result

    def values(self, expression: str, label: str = "instance", at: float | None = None) -> dict[str, float]:
        """The values of an instant query by the value of one label."""
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(expression, at)}

    def targets(self) -> list[dict[str, Any]]:
        """The targets that are scraped now."""
        active = self.api("targets", state="active")["activeTargets"]
        assert isinstance(active, list)
        return active

    def wait(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until the condition holds. Raises AssertionError with the end of the log when it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"waited {seconds:g} s in vain\n{self.log.read_text()[-4000:]}")

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/-/ready"
            return bool(urllib.request.urlopen(url, timeout=2.0).status == 200)
        return False


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def prometheus(config: str, folder: Path) -> Iterator[Prometheus]:
    """Start Prometheus with this configuration; its files go below ``folder``. Skips where it is not installed."""
    command = program("prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                command,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-lifecycle",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Prometheus(port, process, log)
    try:
        server.wait(server.is_ready)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
