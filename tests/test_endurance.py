"""Fifty thousand probes of good and bad gateways end with the descriptors, threads and memory they began with."""

from __future__ import annotations

import gc
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe_exporter.config import load_config
from probe_exporter.fleet import Fleet
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.probe import Prober
from probe_exporter.telemetry import Telemetry

ROOT = Path(__file__).parent.parent
THREADS = 4
PROBES = int(os.environ.get("ENDURANCE_PROBES", "50000"))
FAULTS = {
    "workshop": "reset",
    "site-4": "500",
    "site-5": "html_200",
    "site-6": "refuse",
    "site-7": "404_text",
    "site-8": "401_forever",
    "site-9": "huge_body@networks",
    "site-10": "wrong_types",
}
"""Two of ten gateways are well."""

GROWTH = 8.0
"""MiB by which the memory may differ: what the allocator keeps."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process holds."""

    descriptors: int
    threads: int
    mebibytes: float

    @classmethod
    def now(cls) -> Usage:
        gc.collect()
        status = Path("/proc/self/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert resident is not None
        return cls(len(os.listdir("/proc/self/fd")), threading.active_count(), int(resident[1]) / 1024.0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_endurance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateways.yaml"
    faults = [word for site, fault in FAULTS.items() for word in ("--fault", f"{site}:{fault}")]
    command = [sys.executable, "-m", "probe_exporter", "simulate", "--gateways", "10", "--latency", "0s"]
    with subprocess.Popen(
        [*command, "--write", str(file), *faults],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as simulator:
        try:
            assert simulator.stdout is not None
            while "Ctrl-C" not in simulator.stdout.readline():
                assert simulator.poll() is None
            began, warm, end, reasons = run(file)
        finally:
            simulator.terminate()
    with capsys.disabled():
        print(f"\n{PROBES} probes in {time.monotonic() - began:.0f} s: {warm} → {end}; {dict(reasons)}")
    assert reasons["none"] > 0.2 * PROBES
    assert end.descriptors <= warm.descriptors
    assert end.threads <= warm.threads
    assert end.mebibytes < warm.mebibytes + GROWTH


def run(file: Path) -> tuple[float, Usage, Usage, Counter[str]]:
    """Probe all gateways in turn from four threads; usage after a tenth of it, and at the end."""
    telemetry = Telemetry()
    fleet = Fleet(load_config(file), telemetry)
    prober = Prober(telemetry)
    sites = list(fleet.sites.values())

    def probe(number: int) -> str:
        site = sites[number % len(sites)]
        result = prober.probe(site, site.module(), time.monotonic() + 5.0)
        render(result.metrics, Format.OPENMETRICS)
        return result.reason or "none"

    def probes(numbers: range) -> Counter[str]:
        return Counter(map(probe, numbers))

    def share(first: int, last: int) -> list[range]:
        return [range(first + thread, last, THREADS) for thread in range(THREADS)]

    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        early = sum(pool.map(probes, share(0, PROBES // 10)), Counter[str]())
        warm = Usage.now()
        late = sum(pool.map(probes, share(PROBES // 10, PROBES)), Counter[str]())
        end = Usage.now()
    fleet.close()
    return began, warm, end, early + late


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_threads_share_one_arena() -> None:
    """What connections leave behind in an arena of their thread is not used again."""
    program = """
import ctypes, sys, threading
from probe_exporter.cli.allocator import use_one_arena
use_one_arena()
libc = ctypes.CDLL(None)
def work():
    for _ in range(1000):
        ctypes.create_string_buffer(700)
threads = [threading.Thread(target=work) for _ in range(8)]
[one.start() for one in threads], [one.join() for one in threads]
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert told.stdout.count("<heap nr=") == 1
