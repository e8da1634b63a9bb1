"""Figures of starting: until help is printed, until the first request is answered."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.extent import Extent
from bench.farm import There, write_config
from bench.processes import environment, exporter
from bench.report import Figure, Goal, Report

_DEPENDENCIES = "import click, prometheus_client, urllib3, uvicorn, voluptuous, yaml"


def start(report: Report, extent: Extent) -> None:
    """``--help``, and ``serve`` with one gateway and with thousands."""
    bare = _program(extent.starts, "-c", "pass")
    imports = _program(extent.starts, "-c", _DEPENDENCIES)
    shown = _program(extent.starts, "-m", "probe_exporter", "--help")
    report.add(Figure("start", "--help", shown, "s", "a Python that does nothing", bare, Goal("value", 0.15)))
    for count, goal in ((1, 0.3), (extent.start_gateways, 1.0)):
        ready = _ready(count, extent.starts)
        report.add(
            Figure("start", f"ready with {count} gateways", ready, "s", "importing the dependencies", imports,
                   Goal("value", goal))
        )  # fmt: skip


def _program(times: int, *arguments: str) -> float:
    """The median of how long a program of Python takes."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=environment(), stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def _ready(count: int, times: int) -> float:
    """The median of how long the exporter takes until it answers."""
    gateways = [
        There(f"site-{number}", f"127.0.{number // 250}.{number % 250 + 1}:4443", f"simulated-{number}",
              f"sha256:{number:064x}")
        for number in range(count)
    ]  # fmt: skip
    took = []
    with TemporaryDirectory() as folder:
        config = write_config(gateways, Path(folder) / "gateways.yaml")
        for _ in range(times):
            with exporter(config) as running:
                took.append(running.started)
    return statistics.median(took)
