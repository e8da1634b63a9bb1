"""METRICS.md: the catalogue, and what the golden files and the simulated sites show of it.

``python -m tests.metrics_page`` prints it.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Final

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.fleet import Fleet
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.metrics import CATALOGUE, reference
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.probe import Prober
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.simulator.profiles import ProfileName
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock

GOLDEN: Final = Path(__file__).parent / "golden"

FIRMWARE: Final = {
    "1.x": "legacy-1.x",
    "1.46–1.50": "recorded/pw2x5-us-gw1-1.46-1.50",
    "21.39": "recorded/pw2-us-gw2-21.39.1-running",
    "21.44": "pw2-21.44-running",
    "21.44, stopped": "pw2-21.44-stopped",
    "22.1, PW+": "recorded/pwplus-us-gw2-22.1-gridfault",
    "22.9": "neurio-22.9",
    "23.28, PW+": "pwplus-23.28",
    "23.44, PW+": "recorded/pwplus-us-23.44.0-simulator",
    "26, PW3": "pw3-26",
    "26.10, PW3": "recorded/pw3-au-1ph-26.10.3",
}
"""Columns, and the golden file that each is taken from; recordings seldom have every endpoint."""

SITES: Final[dict[str, tuple[ProfileName, tuple[int, ...]]]] = {
    "Powerwall 2": ("pw2", (1, 10)),
    "Powerwall+": ("pwplus", (1, 10)),
    "Powerwall 3": ("pw3", (1, 10)),
    "firmware 1.x": ("legacy", (1, 10)),
}

ENDPOINT_OF: Final = {family.name: family.endpoint for family in CATALOGUE}
OWN: Final = {name for name, _, _ in PROBE_FAMILIES}
SAMPLE: Final = re.compile(r"^(\w+)(\{[^ ]*\}|\{.*\})? ")


def families(golden: str) -> Counter[str]:
    """How many families each endpoint gave."""
    text = (GOLDEN / f"{golden}.prom").read_text(encoding="utf-8")
    names = {match[1] for line in text.splitlines() if (match := SAMPLE.match(line))}
    return Counter(ENDPOINT_OF[name] for name in names - OWN)


def series(profile: ProfileName, batteries: int, collectors: tuple[str, ...] = COLLECTORS) -> tuple[int, int]:
    """The series of a simulated site: the gateway's, and those about the probe and its endpoints."""
    telemetry, clock = Telemetry(), TurnedClock()
    site = LivingSite(seed=1, batteries=batteries, profile=profile, clock=clock)
    with SimulatedGateway(site, password=configs.PASSWORD) as gateway:
        module = configs.module(collectors=collectors)
        fleet = Fleet(configs.config(configs.gateway(gateway.address), modules=(module,)), telemetry, clock)
        home = fleet.find("home")
        result = Prober(telemetry, clock).probe(home, home.module(), time.monotonic() + 20.0)
        fleet.close()
    own = sum(len(metric.values) for metric in result.metrics if metric.name in OWN)
    return sum(len(metric.values) for metric in result.metrics) - own, own


def markdown() -> str:
    """METRICS.md."""
    return "\n".join([reference.markdown(), _FIRMWARE, *_firmware(), "", _SERIES, *_series(), ""])


def _firmware() -> list[str]:
    counts = {title: families(golden) for title, golden in FIRMWARE.items()}
    head = ["endpoint", "collector", "asked", *FIRMWARE]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for endpoint in ENDPOINTS:
        cells = [str(count[endpoint.name] or "–") for count in counts.values()]
        row = [f"`{endpoint.name}`", f"`{endpoint.collector}`", endpoint.tier, *cells]
        lines.append(f"| {' | '.join(row)} |")
    totals = [f"**{count.total()}**" for count in counts.values()]
    return [*lines, f"| **families** | | | {' | '.join(totals)} |"]


def _series() -> list[str]:
    titles = ["site", "one battery", "ten batteries", "one battery, `core` alone", "and about the probe"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for title, (profile, batteries) in SITES.items():
        (one, own), (ten, _) = (series(profile, count) for count in batteries)
        core, _ = series(profile, 1, ("core",))
        lines.append(f"| {title} | {one} | {ten} | {core} | {own} |")
    return lines


_FIRMWARE: Final = """\
## Firmware by firmware

How many families each endpoint gives, from the payloads in `tests/payloads` and from recordings of real systems (which
seldom hold every endpoint). – is none: the endpoint is not there, was not recorded, or has nothing to say.
`meters/solar`, `site_info/site_name` and `system_status/grid_faults` fill families that are counted with `meters/site`,
`site_info` and `system_status`. PW+ is a Powerwall+, PW3 a Powerwall 3; the others are Powerwall 2.
"""

_SERIES: Final = """\
## How many series

Of simulated sites with all collectors on, and with `collectors: [core]`. What is about the probe comes on top: its
verdict, and the state, age and duration of every endpoint.
"""

if __name__ == "__main__":
    print(markdown(), end="")
