"""A soak: what slow, dead and lying gateways, and impatient and hostile clients, cost a hundred good gateways.

SOAK_SECONDS says how long it lasts: a minute by default, half an hour before a release.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.soak_gateways import DEAD, GOOD, LYING, SLOW

ROOT = Path(__file__).parent.parent
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
UNDISTURBED = max(20.0, SECONDS / 5.0)
"""Seconds in which the good gateways are probed alone, to compare with."""

INTERVAL = 15.0
"""Seconds between two probes of one gateway by a patient client."""

ROOM = 0.25
"""Seconds by which the answers may differ on a machine that has other work too."""

GROWTH = 12.0
"""MiB by which the memory may grow from the first half of the disturbed time to its end."""

_OWN = ("probe_duration_seconds", "powerwall_endpoint_")
_OF_VALUES = ("_amps{", "_current_amperes{")
"""Families that have a sample by the value alone: 0 A beside power is no measurement."""


@dataclass
class Seen:
    """What the patient clients of good gateways saw. ``series`` is the full set of each, from its first probe."""

    series: dict[str, set[str]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """The failed probes, by reason and what else the answer tells."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def p99(self) -> float:
        return sorted(self.times)[int(0.99 * (len(self.times) - 1))]


def ask(port: int, target: str, patience: float, query: str = "") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience + 10.0)
    try:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(patience)}
        connection.request("GET", f"/probe?target={target}{query}", headers=headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def patient(port: int, target: str, seen: Seen, stop: threading.Event) -> None:
    """Probe one gateway every fifteen seconds, with ten seconds of patience."""
    stop.wait(random.uniform(0.0, INTERVAL))
    while not stop.is_set():
        began = time.monotonic()
        text = ask(port, target, 10.0)
        took = time.monotonic() - began
        series = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        series = {
            name
            for name in series
            if not name.startswith(_OWN) and not any(part in name for part in _OF_VALUES)
        }
        with seen.lock:
            if not target.startswith("good"):
                pass
            elif target not in seen.series:
                seen.series[target] = series
            else:
                seen.times.append(took)
                seen.missing.update(seen.series[target] - series)
                if "\nprobe_success 1.0\n" not in text:
                    reason = re.search(r'probe_failure_reason\{reason="(\w+)"\} 1', text)
                    seen.failed[reason[1] if reason else text[:80]] += 1
        stop.wait(max(0.0, INTERVAL - took))


def impatient(port: int, targets: list[str], stop: threading.Event) -> None:
    """Ask anybody, and wait for hardly anything."""
    while not stop.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(port, random.choice(targets), random.choice((0.02, 0.1, 0.5, 1.0)))
        stop.wait(0.25)


def hostile(port: int, targets: list[str], stop: threading.Event) -> None:
    """Half a request, a client that reads nothing or leaves at once, targets and modules that do not exist."""
    while not stop.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            target = random.choice(targets)
            with socket.create_connection(("127.0.0.1", port), 5.0) as sock:
                line = random.choice(
                    (
                        f"GET /probe?target={target} HTTP/1.1\r\nHost: x\r\n\r\n",
                        "GET /probe?tar",
                        "\x16\x03\x01",
                    )
                )
                sock.sendall(line.encode())
                stop.wait(random.choice((0.0, 0.05, 1.0)))
            ask(port, f"nobody-{random.random()}", 1.0)
            ask(port, target, 1.0, "&module=nothing")
        stop.wait(0.2)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the exporter holds."""

    mebibytes: float
    descriptors: int
    threads: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        status = Path(f"/proc/{pid}/status").read_text()
        resident, threads = re.search(r"VmRSS:\s+(\d+)", status), re.search(r"Threads:\s+(\d+)", status)
        assert resident is not None
        assert threads is not None
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return cls(int(resident[1]) / 1024.0, len(os.listdir(f"/proc/{pid}/fd")), int(threads[1]), cpu)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def clients(*work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=one, args=(stop,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30.0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    pytest.fail("the exporter does not listen")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc")
def test_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, port = tmp_path / "gateways.yaml", free_port()
    names = [f"good-{number}" for number in range(GOOD)]
    names += [f"slow-{number}" for number in range(GOOD, GOOD + SLOW)]
    names += [f"dead-{number}" for number in range(GOOD + SLOW, GOOD + SLOW + DEAD)]
    names += [f"lying-{number}" for number in range(GOOD + SLOW + DEAD, GOOD + SLOW + DEAD + LYING)]
    undisturbed, disturbed = Seen(), Seen()
    parts = [tmp_path / "good.yaml", tmp_path / "bad.yaml"]
    with ExitStack() as stack:
        for part in parts:
            gateways = stack.enter_context(started("tests.soak_gateways", str(part), part.stem))
            assert gateways.stdout is not None
            assert gateways.stdout.readline() == b"ready\n"
        documents = [yaml.safe_load(part.read_text()) for part in parts]
        file.write_text(
            yaml.safe_dump({"gateways": {**documents[0]["gateways"], **documents[1]["gateways"]}})
        )
        listen = f"--web.listen-address=127.0.0.1:{port}"
        with started("probe_exporter", f"--config.file={file}", "serve", listen) as exporter:
            wait_for(port)

            def asks(target: str, seen: Seen) -> Callable[[threading.Event], None]:
                return lambda stop: patient(port, target, seen, stop)

            with clients(*(asks(name, undisturbed) for name in names[:GOOD])):
                time.sleep(UNDISTURBED + INTERVAL)
            disturbed.series = dict(undisturbed.series)
            rest = [lambda stop: impatient(port, names, stop)] * 4 + [
                lambda stop: hostile(port, names, stop)
            ] * 4
            with clients(*(asks(name, disturbed) for name in names), *rest):
                time.sleep(SECONDS / 2.0)
                middle = Usage.of(exporter.pid)
                time.sleep(SECONDS / 2.0)
            time.sleep(2.0)
            end = Usage.of(exporter.pid)
    with capsys.disabled():
        print(
            f"\n{SECONDS:g} s: {len(disturbed.times)} probes of good gateways, p99 {disturbed.p99:.3f} s "
            f"(undisturbed {undisturbed.p99:.3f} s), {disturbed.missing.total()} series missing "
            f"{disturbed.missing.most_common(8)}, "
            f"failed: {dict(disturbed.failed)}; {middle} → {end}"
        )
    assert len(disturbed.times) > GOOD
    assert not disturbed.failed.total()
    assert not disturbed.missing.total()
    assert disturbed.p99 <= 2.0 * undisturbed.p99 + ROOM
    assert end.mebibytes <= middle.mebibytes + GROWTH
    assert end.descriptors <= middle.descriptors + 50
    assert end.threads <= middle.threads + 20
