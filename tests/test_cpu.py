"""The bound of a probe in CPU: whatever a gateway answers at all of its endpoints, a probe stays within a second."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.simulator import SimulatedAnswer, SimulatedGateway, write_config
from probe_exporter.simulator.system import document
from tests.test_payload import HOSTILE, MAX_BODY, MAX_VALUES, hostile
from tests.test_probe_rules import Scripted

ROOT = Path(__file__).parent.parent

BODIES = {
    "a whole MiB of nested lists": hostile(HOSTILE["nested lists"], MAX_BODY),
    "as many numbers next to the largest as are read": hostile(HOSTILE["numbers next to the largest"], MAX_VALUES),
}  # fmt: skip


def seconds_of_a_probe(config: Path) -> float:
    """CPU seconds of a process that probes once."""
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "probe_exporter", f"--config.file={config}", "probe"],
        {**os.environ, "PYTHONPATH": str(ROOT)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, _, usage = os.wait4(child, 0)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_probe_stays_within_a_second_of_cpu(body: bytes, tmp_path: Path) -> None:
    system = Scripted({"system_status/soe": document({"percentage": 61.25})})
    with SimulatedGateway(system) as gateway:
        write_config({"home": gateway}, tmp_path / "c.yaml")
        usual = seconds_of_a_probe(tmp_path / "c.yaml")
        system.answers = {endpoint.name: SimulatedAnswer(200, body) for endpoint in ENDPOINTS}
        struck = seconds_of_a_probe(tmp_path / "c.yaml")
        assert gateway.counts.data_requests > 20
    assert struck - usual < 1.0
