"""A real Prometheus scrapes simulated gateways through the relabelling of ``examples/prometheus/static.yml``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from probe_exporter.fleet import Fleet
from probe_exporter.metrics import CATALOGUE
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.prometheus_server import Prometheus, prometheus
from tests.test_web import Exporter, served

EXAMPLE = Path(__file__).parent.parent / "examples" / "prometheus" / "static.yml"
PROFILES = {"home": "pw2", "cabin": "pw3", "office": "pwplus"}


@dataclass(frozen=True)
class Scene:
    """Gateways, the exporter before them, and the Prometheus that scrapes it."""

    farm: Farm
    exporter: Exporter
    prometheus: Prometheus
    began: float


def scrape_config(port: int) -> str:
    """The example as it is, but for the exporter's port and a shorter interval."""
    text = EXAMPLE.read_text().replace(":9871", f":{port}")
    config = yaml.safe_load(text)
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    systems = {
        name: LivingSite(seed=seed, profile=profile)
        for seed, (name, profile) in enumerate(PROFILES.items(), start=1)
    }
    telemetry = Telemetry()
    began = time.time()
    with Farm(systems, certificate=make_certificate()) as farm:
        gateways = [
            configs.gateway(simulated.address, name=name, login_password=configs.Secret(simulated.password))
            for name, simulated in farm.gateways.items()
        ]
        with (
            served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter,
            prometheus(scrape_config(exporter.port), tmp_path_factory.mktemp("prometheus")) as server,
        ):
            server.wait(lambda: count(server, "count_over_time(probe_success[1m])") >= 4)
            yield Scene(farm, exporter, server, began)


def count(server: Prometheus, expression: str) -> float:
    """The smallest value among the three gateways; 0 while one is missing."""
    values = server.values(expression)
    return min(values.values()) if set(values) == set(PROFILES) else 0.0


@pytest.mark.parametrize("metric", ["up", "probe_success"])
def test_every_gateway_is_up(scene: Scene, metric: str) -> None:
    assert scene.prometheus.values(f'{metric}{{job="powerwall"}}') == dict.fromkeys(PROFILES, 1.0)


def test_power_is_there_for_all_three(scene: Scene) -> None:
    series = scene.prometheus.query("powerwall_instant_power_watts")
    found = {(one["metric"]["instance"], one["metric"]["category"]) for one in series}
    assert found >= {(name, meter) for name in PROFILES for meter in ("site", "battery", "load", "solar")}


def test_labels_are_those_of_the_relabelling_and_of_the_metric_only(scene: Scene) -> None:
    for one in scene.prometheus.query("powerwall_instant_power_watts"):
        assert set(one["metric"]) == {"__name__", "job", "instance", "category"}
    exported = scene.prometheus.query('{__name__=~"powerwall_.+|probe_.+",exported_instance!=""}')
    assert not exported, "no label of ours collides with one of Prometheus"


def test_timestamps_are_those_of_the_scrape(scene: Scene) -> None:
    for one in scene.prometheus.query("timestamp(powerwall_instant_power_watts)"):
        assert scene.began <= float(one["value"][1]) <= time.time() + 1.0


def test_nothing_is_lost_on_the_way(scene: Scene) -> None:
    scraped = scene.prometheus.values('scrape_samples_scraped{job="powerwall"}')
    kept = scene.prometheus.values('scrape_samples_post_metric_relabeling{job="powerwall"}')
    assert scraped == kept
    assert min(scraped.values()) > 100


def test_one_login_at_each_gateway(scene: Scene) -> None:
    assert {name: one.counts.login_attempts for name, one in scene.farm.gateways.items()} == dict.fromkeys(
        PROFILES, 1
    )


def test_the_exporter_itself_is_scraped(scene: Scene) -> None:
    (version,) = scene.prometheus.query("probe_exporter_build_info")
    assert version["metric"]["job"] == "probe_exporter"
    (probes,) = scene.prometheus.query("probe_exporter_probes_total")
    assert float(probes["value"][1]) >= 3 * 3


def test_types_and_help_arrive(scene: Scene) -> None:
    described = {family.name: family.help for family in CATALOGUE}
    metadata = scene.prometheus.api("metadata")
    (power,) = metadata["powerwall_instant_power_watts"]
    assert power["type"] == "gauge"
    assert power["help"] == described["powerwall_instant_power_watts"]
    (energy,) = metadata.get("powerwall_exported_joules_total") or metadata["powerwall_exported_joules"]
    assert energy["type"] == "counter"
