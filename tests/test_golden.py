"""From payloads over TLS to text: every system is served by the simulator, probed, and compared with a golden file.

``tests/payloads`` holds our own payloads, one folder a firmware profile. Recorded systems are other people's and stay
outside; RECORDED_PAYLOADS names their folder. To write golden files anew after a change, set WRITE_GOLDEN=1, and read
every line of the difference against its payload.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.metrics.filled import heading
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.probe import Prober, ProbeResult
from probe_exporter.simulator import RecordedSystem, SimulatedGateway
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.clocks import TurnedClock

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
OURS = sorted(path for path in (HERE / "payloads").iterdir() if path.is_dir())
CORE = {"/api/meters/aggregates", "/api/system_status/soe", "/api/system_status/grid_status", "/api/status"}

_recorded = os.environ.get("RECORDED_PAYLOADS", "")
RECORDED = sorted(path for path in Path(_recorded).iterdir() if path.is_dir()) if _recorded else []

HEADINGS = [
    *(heading(name, "gauge", text, labels) for name, text, labels in PROBE_FAMILIES),
    *(family.heading for family in CATALOGUE),
]

VARYING = (
    "probe_duration_seconds",
    "powerwall_endpoint_duration_seconds",
    "powerwall_tls_certificate_not_after",
)
"""What differs from run to run."""


def probe_system(folder: Path) -> ProbeResult:
    clock = TurnedClock()
    telemetry = Telemetry()
    with SimulatedGateway(RecordedSystem.from_folder(folder), password=configs.PASSWORD) as gateway:
        fleet = Fleet(configs.config(configs.gateway(gateway.address)), telemetry, clock)
        site = fleet.find("home")
        prober = Prober(telemetry, clock)
        prober.probe(site, site.module(), time.monotonic() + 20.0)
        clock.turn(
            601.0
        )  # counters that start at 0 are believed after ten minutes, and nothing is young any more
        result = prober.probe(site, site.module(), time.monotonic() + 20.0)
        fleet.close()
    return result


def text_of(result: ProbeResult) -> str:
    lines = render(result.metrics, Format.TEXT).decode("utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith(VARYING))


def compare(folder: Path, golden: Path) -> None:
    text = text_of(probe_system(folder))
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text.splitlines() == golden.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("folder", OURS, ids=lambda path: path.name)
def test_our_payloads(folder: Path) -> None:
    compare(folder, GOLDEN / f"{folder.name}.prom")


@pytest.mark.parametrize("golden", sorted((GOLDEN / "recorded").iterdir()), ids=lambda path: path.stem)
def test_golden_files_of_recordings_are_of_this_catalogue(golden: Path) -> None:
    """Also seen without the recordings: a changed family leaves these files behind."""
    stale = "these files are written anew with RECORDED_PAYLOADS and WRITE_GOLDEN, see CONTRIBUTING.md"
    known = dict.fromkeys(line for head in HEADINGS for line in head.text.splitlines())
    lines = golden.read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert [line for line in headings if line not in known] == [], stale
    assert headings == [line for line in known if line in set(headings)], stale


@pytest.mark.skipif(not RECORDED, reason="RECORDED_PAYLOADS does not name a folder of recorded systems")
@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_recorded_payloads(folder: Path) -> None:
    if not any((folder / f"{name[1:].replace('/', '_')}.json").exists() for name in CORE):
        pytest.skip("this recording has no core endpoint")
    compare(folder, GOLDEN / "recorded" / f"{folder.name}.prom")
