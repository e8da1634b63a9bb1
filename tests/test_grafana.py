"""The dashboards: current, complete, and every query of theirs answered by a real Prometheus over simulated sites."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter.fleet import Fleet
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.prometheus_server import Prometheus, prometheus
from tests.test_prometheus import scrape_config
from tests.test_web import served

GRAFANA = Path(__file__).parent.parent / "examples" / "grafana"
FILES = {name: GRAFANA / "dashboards" / f"{name}.json" for name in ("fleet", "site")}
DASHBOARDS = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

SITES = {
    "home": LivingSite(seed=1, profile="pw2", batteries=3),
    "cabin": LivingSite(seed=2, profile="pw3"),
    "office": LivingSite(seed=3, profile="pwplus", batteries=2),
    "farm": LivingSite(seed=4, profile="legacy"),
}
VARIABLES = {
    "$__rate_interval": "5s",
    "$__range": "5s",
    "[1h]": "[5s]",
    "[15m]": "[5s]",
    '"$site"': '".+"',
}
"""What stands in queries instead of Grafana's variables, and of windows that are longer than the test."""

LACKING = {
    ("site", "Alerts", "A"): "no alert is active",
    ("site", "Last grid faults", "A"): "no grid fault is in the list",
}
"""Dashboard, title and query that no simulated site answers, and why."""


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


PANELS = [(name, panel) for name in DASHBOARDS for panel in panels(name)]
QUERIES = [
    pytest.param(name, panel["title"], target, id=f"{name}-{panel['title']}-{target['refId']}")
    for name, panel in PANELS
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    telemetry = Telemetry()
    with Farm(SITES, certificate=make_certificate()) as farm:
        gateways = [
            configs.gateway(one.address, name=name, login_password=configs.Secret(one.password))
            for name, one in farm.gateways.items()
        ]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter:
            config = yaml.safe_load(scrape_config(exporter.port))
            config["scrape_configs"][0]["static_configs"] = [{"targets": list(SITES)}]
            folder = tmp_path_factory.mktemp("prometheus")
            with prometheus(yaml.safe_dump(config), folder) as running:
                running.wait(lambda: scraped(running) >= len(SITES))
                yield running


def scraped(running: Prometheus) -> int:
    """How many sites have been scraped often enough for a rate."""
    return sum(value >= 4.0 for value in running.values("count_over_time(probe_success[1m])").values())


@pytest.mark.parametrize(("name", "title", "target"), QUERIES)
def test_a_query_gives_series(server: Prometheus, name: str, title: str, target: dict[str, Any]) -> None:
    expression = target["expr"]
    for variable, text in VARIABLES.items():
        expression = expression.replace(variable, text)
    expression = expression.replace('instance=".+"', 'instance=~".+"')
    assert "$" not in expression, "a variable that the table does not have"
    series = server.query(expression)
    if (name, title, target["refId"]) in LACKING:
        assert not series, "the table of what is lacking is out of date"
    else:
        assert series


def test_what_is_lacking_is_a_query() -> None:
    known = {(name, panel["title"], target["refId"]) for name, panel in PANELS for target in panel["targets"]}
    assert LACKING.keys() <= known


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
def test_the_files_are_what_the_code_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    program = "import build, json, sys; json.dump(build.rendered(), sys.stdout)"
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=GRAFANA, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    rendered = json.loads(made.stdout)
    for name, path in FILES.items():
        assert rendered[f"{name}.json"] == path.read_text(encoding="utf-8"), (
            "run python examples/grafana/build.py"
        )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_ids_are_unique(name: str) -> None:
    numbers = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(numbers)


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}-{panel['title']}" for name, panel in PANELS]
)
def test_a_panel_says_what_it_shows(name: str, panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_links_lead_to_dashboards_that_exist() -> None:
    uids = {dashboard["uid"] for dashboard in DASHBOARDS.values()}
    text = "".join(path.read_text(encoding="utf-8") for path in FILES.values())
    linked = set(re.findall(r"/d/([\w-]+)", text))
    assert linked == uids


@pytest.mark.parametrize(
    ("legend", "colour"),
    [("Solar", "#e0b000"), ("Battery", "#3fae68"), ("Grid", "#9b6fe0"), ("Home", "#3d82e8")],
)
def test_the_same_colour_everywhere(legend: str, colour: str) -> None:
    found = set()
    for _, panel in PANELS:
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["options"] == legend:
                found |= {
                    one["value"]["fixedColor"] for one in override["properties"] if one["id"] == "color"
                }
    assert found == {colour}


def test_every_metric_is_one_of_ours() -> None:
    known = {family.name for family in CATALOGUE} | {name for name, _, _ in PROBE_FAMILIES}
    for name, panel in PANELS:
        for target in panel["targets"]:
            used = set(re.findall(r"\b(?:powerwall_\w+|probe_(?!exporter)\w+)\b", target["expr"]))
            assert used <= known, (name, panel["title"], used - known)


def test_provisioning_fits() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/powerwall.yaml").read_text())[
        "providers"
    ]
    compose = (GRAFANA.parent / "compose" / "compose.yaml").read_text()
    assert (
        f":{provider['options']['path']}:" in compose or f"target: {provider['options']['path']}" in compose
    )
