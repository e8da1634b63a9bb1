"""The bounds of SECURITY.md: whatever a gateway sends, and however many gateways hang."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from probe_exporter.fleet import Fleet, ProbeResult
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate, write_config
from probe_exporter.simulator.system import document
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.scenes import scene, value
from tests.test_probe_rules import Scripted
from tests.test_web import served

ROOT = Path(__file__).parent.parent
ENDPOINT_OF = {family.name: family.endpoint for family in CATALOGUE}


def network(number: int) -> dict[str, Any]:
    return {"network_name": f"n{number}", "interface": "EthType", "enabled": True, "active": True}


def battery(number: int) -> dict[str, Any]:
    return {"PackageSerialNumber": f"B{number}", "p_out": number, "off_grid": False}


def series(result: ProbeResult) -> Counter[str]:
    """How many series each endpoint gave."""
    counts: Counter[str] = Counter()
    for metric in result.metrics:
        name = metric.heading.name
        counts[ENDPOINT_OF.get(name, "the probe's own")] += len(metric.values)
    return counts


@pytest.mark.parametrize("kind", ["control_characters", "long_strings", "lone_surrogates"])
def test_label_values(kind: str) -> None:
    with scene(LivingSite(seed=1, batteries=2)) as home:
        home.gateway.faults.add(kind)
        result = home.probe()
        labels = [text for metric in result.metrics for texts in metric.values for text in texts]
        assert labels
        assert max(map(len, labels)) <= 256
        assert all(text.isprintable() for text in labels)
        text = render(result.metrics, Format.TEXT).decode("utf-8")
        assert len(list(text_string_to_metric_families(text))) == len(result.metrics)


def test_a_thousand_series_an_endpoint() -> None:
    with scene(Scripted({"networks": document([network(number) for number in range(1200)])})) as home:
        result = home.probe()
        assert not result.success
    soe = document({"percentage": 50.0})
    with scene(
        Scripted({"system_status/soe": soe, "networks": document(list(map(network, range(1200))))})
    ) as home:
        result = home.probe()
        assert result.success
        assert series(result)["networks"] == 1000
        assert (value(result, "powerwall_series_dropped") or 0.0) > 200.0


def test_two_thousand_series_a_gateway_core_first() -> None:
    answers = {
        "system_status/soe": document({"percentage": 50.0}),
        "system_status": document({"battery_blocks": list(map(battery, range(1200)))}),
        "networks": document(list(map(network, range(1200)))),
        "solars": document([{"brand": f"b{number}", "power_rating_watts": 1} for number in range(1200)]),
    }
    with scene(Scripted(answers)) as home:
        result = home.probe()
        counts = series(result)
        assert counts.pop("the probe's own") > 40, "never dropped"
        assert counts["system_status/soe"] >= 1
        assert counts["system_status"] == 1000
        assert counts.total() == 2000


@pytest.mark.parametrize(
    "kind", ["huge_body", "gzip_bomb", "deep_nesting", "endless_headers", "many_batteries"]
)
def test_memory(kind: str, tmp_path: Path) -> None:
    """A process that probes once: its peak is that of a healthy probe, and not a hundred megabytes more."""
    peaks = []
    with SimulatedGateway(LivingSite(seed=1)) as gateway:
        write_config({"home": gateway}, tmp_path / "c.yaml")
        command = [sys.executable, "-m", "probe_exporter", f"--config.file={tmp_path / 'c.yaml'}", "probe"]
        for faults in ([], [kind]):
            for fault in faults:
                gateway.faults.add(fault)
            child = os.posix_spawn(
                sys.executable,
                command,
                {**os.environ, "PYTHONPATH": str(ROOT)},
                file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
            )
            _, _, usage = os.wait4(child, 0)
            peaks.append(usage.ru_maxrss)
    healthy, struck = peaks
    assert struck < healthy + 20 * 1024, "kilobytes"


def test_threads_however_many_probes_hang() -> None:
    telemetry = Telemetry()
    before = threading.active_count()
    certificate = make_certificate()
    with SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD, certificate=certificate) as gateway:
        gateway.faults.add("hang", phase="tls")
        host, _, port = gateway.address.rpartition(":")
        gateways = [configs.gateway(f"{host}:{port}", name=f"gateway-{number}") for number in range(4)]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter:

            def ask(number: int) -> int:
                # Each with a module of its own would be a probe of its own; here one gateway's are shared.
                path = f"/probe?target=gateway-{number % len(gateways)}"
                return exporter.ask(path, X_Prometheus_Scrape_Timeout_Seconds="1.5").status

            with ThreadPoolExecutor(40) as clients:
                answers = clients.map(ask, range(40))
                time.sleep(0.3)
                running = threading.active_count() - before
                assert exporter.ask("/-/healthy").status == 200, "the rest of the port answers"
                assert set(answers) <= {200, 503}
            own = (
                40 + 4 + 2
            )  # clients, one thread while a connection is made, the server's and the simulator's
            assert running <= own + 4, "and those that were made before"
            shared = telemetry.registry.get_sample_value("probe_exporter_shared_probes_total")
            assert shared is not None
            assert shared >= 30
