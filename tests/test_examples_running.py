"""Examples at work: relabelling and shards in a real Prometheus."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.prometheus_server import prometheus
from tests.test_web import served

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SITES = [f"site-{number:02}" for number in range(40)]
AGENTS = 4


# Relabelling


def job(file: str, name: str, **replaced: str) -> dict[str, Any]:
    """The job ``powerwall`` of an example under another name, texts replaced and scraped once a day."""
    text = (EXAMPLES / "prometheus" / file).read_text(encoding="utf-8")
    for old, new in replaced.items():
        assert OLD[old] in text
        text = text.replace(OLD[old], new)
    found = next(one for one in yaml.safe_load(text)["scrape_configs"] if one["job_name"] == "powerwall")
    return {**found, "job_name": name, "scrape_interval": "1d", "scrape_timeout": "1s"}


OLD = {
    "first_exporter": "exporter-0.example.net:9871",
    "exporters": "exporter-$1.example.net:9871",
    "exporter": "127.0.0.1:9871",
    "agent": 'regex: "0"',
    "files": '"file_sd/',
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What Prometheus makes of the examples: the targets of each job."""
    gateways = [
        configs.gateway(f"127.0.0.1:{number}", name=name, module="patient")
        for number, name in enumerate(SITES, start=1)
    ]
    modules = (configs.MODULE, replace(configs.MODULE, name="patient"))
    telemetry = Telemetry()
    fleet = Fleet(configs.config(*gateways, modules=modules), telemetry)
    with served(fleet, telemetry) as exporter:
        here = f"127.0.0.1:{exporter.port}"
        jobs = [
            job("sharded.yml", "sharded", first_exporter=here, exporters="127.0.0.1:1$1"),
            job("file_sd.yml", "file_sd", exporter=here, files=f'"{EXAMPLES}/prometheus/file_sd/'),
        ]
        jobs += [job("agent.yml", f"agent-{n}", exporter=here, agent=f'regex: "{n}"') for n in range(AGENTS)]
        config = json.dumps({"scrape_configs": jobs})
        with prometheus(config, tmp_path_factory.mktemp("prometheus")) as server:
            server.wait(lambda: len({target["scrapePool"] for target in server.targets()}) == len(jobs))
            found = server.targets()
    return {one["job_name"]: [t for t in found if t["scrapePool"] == one["job_name"]] for one in jobs}


def sites(found: list[dict[str, Any]]) -> list[str]:
    return sorted(parse_qs(urlsplit(target["scrapeUrl"]).query)["target"][0] for target in found)


def test_every_site_is_scraped_through_one_of_the_exporters(targets: dict[str, list[dict[str, Any]]]) -> None:
    assert sites(targets["sharded"]) == SITES
    shares = Counter(urlsplit(target["scrapeUrl"]).port for target in targets["sharded"])
    assert shares.keys() == {10, 11, 12}
    assert min(shares.values()) >= len(SITES) // 6


def test_every_site_is_scraped_by_one_of_the_agents(targets: dict[str, list[dict[str, Any]]]) -> None:
    shares = [sites(targets[f"agent-{number}"]) for number in range(AGENTS)]
    assert sorted(chain(*shares)) == SITES
    assert all(shares)


@pytest.mark.parametrize("name", ["sharded", "agent-0"])
def test_no_label_of_a_shard_stays(targets: dict[str, list[dict[str, Any]]], name: str) -> None:
    for target in targets[name]:
        assert target["labels"].keys() == {"instance", "job"}
        assert target["labels"]["instance"] in SITES
        assert parse_qs(urlsplit(target["scrapeUrl"]).query)["module"] == ["patient"]


def test_sites_of_files_keep_their_labels_and_module(targets: dict[str, list[dict[str, Any]]]) -> None:
    found = {target["labels"]["instance"]: target for target in targets["file_sd"]}
    assert found["north-001"]["labels"] == {"instance": "north-001", "job": "file_sd", "region": "north"}
    queries = {name: urlsplit(target["scrapeUrl"]).query for name, target in found.items()}
    assert queries["north-001"] == "target=north-001"
    assert parse_qs(queries["south-001"]) == {"target": ["south-001"], "module": ["cellular"]}
