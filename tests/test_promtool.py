"""`promtool check metrics` over what we export: it finds nothing but the Go exporter's own names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.conftest import program
from tests.test_web import served

GOLDEN = sorted((Path(__file__).parent / "golden").rglob("*.prom"))

INHERITED = {
    "powerwall_commission_count": "non-histogram and non-summary metrics should not have",
    "powerwall_problems_detected_count": "non-histogram and non-summary metrics should not have",
}
"""Names of the Go exporter that promtool dislikes; they stay for its users."""


def complaints(text: bytes) -> dict[str, str]:
    """What promtool says, by metric."""
    ended = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    lines = (ended.stdout + ended.stderr).decode().splitlines()
    return dict(line.split(" ", 1) for line in lines if line)


def assert_inherited(found: dict[str, str]) -> None:
    assert found.keys() <= INHERITED.keys(), found
    for name, complaint in found.items():
        assert complaint.startswith(INHERITED[name])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file(golden: Path) -> None:
    assert_inherited(complaints(golden.read_bytes()))


def test_every_exception_is_needed() -> None:
    found = {name for golden in GOLDEN for name in complaints(golden.read_bytes())}
    assert found == INHERITED.keys()


def test_the_exporters_own_metrics() -> None:
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as exporter:
        assert complaints(exporter.ask("/metrics").body) == {}
