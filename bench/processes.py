"""What a process uses, from /proc, and the programs that are started to be measured."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
_PATIENCE: Final = 60.0
_FEW_DESCRIPTORS: Final = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses now: CPU seconds since its start, bytes resident now and at most, threads, descriptors."""

    cpu: float
    resident: int
    peak: int
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """The use of the process ``pid``. Raises OSError where it is gone."""
    proc = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return Usage(
        cpu=sum(_cpu(task) for task in (proc / "task").iterdir()),
        resident=_kilobytes(status, "VmRSS"),
        peak=_kilobytes(status, "VmHWM"),
        threads=int(status["Threads"]),
        descriptors=len(list((proc / "fd").iterdir())),
    )


def _cpu(task: Path) -> float:
    """CPU seconds of a thread, to the nanosecond: a process's own are counted in hundredths of a second.

    Those of threads that have ended are missing; nobody who is measured here ends threads.
    """
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:  # it has just ended
        return 0.0


def _kilobytes(status: Mapping[str, str], name: str) -> int:
    return int(status[name].split()[0]) * 1024


def environment() -> dict[str, str]:
    """That of the programs under measurement: this very source."""
    # An installed program has its bytecode; one that may not write it would be compiled at every start.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    inherited["XDG_STATE_HOME"] = (
        "/dev/null"  # what is known of simulated gateways must not go to anybody's home
    )
    return {**inherited, "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running exporter. ``started`` is how many seconds it took until it answered."""

    pid: int
    port: int
    started: float

    def usage(self) -> Usage:
        """What it uses now."""
        return usage(self.pid)

    def own(self, name: str) -> float:
        """One of its own metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request("GET", "/metrics")
            for line in connection.getresponse().read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        finally:
            connection.close()
        raise KeyError(name)


@contextmanager
def exporter(config: Path) -> Iterator[Exporter]:
    """``probe_exporter serve`` as a process, started under the soft limit of descriptors that systems usually set."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "probe_exporter",
        f"--config.file={config}",
        "--log.level=error",
        "serve",
    ]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*_FEW_DESCRIPTORS, *command, f"--web.listen-address=127.0.0.1:{port}"], env=environment()
    )
    try:
        _await_ready(process, port)
        yield Exporter(process.pid, port, time.perf_counter() - begun)
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except ConnectionError:
            time.sleep(0.002)
        finally:
            connection.close()
    raise RuntimeError("the exporter did not start")


def allow_descriptors() -> None:
    """Use as many file descriptors as this process may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
