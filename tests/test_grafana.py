"""The dashboards: current, complete, and every query of theirs answered by a real Prometheus over simulated sites."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
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
from tests.conftest import program
from tests.prometheus_server import Prometheus, prometheus
from tests.test_prometheus import scrape_config
from tests.test_web import served

GRAFANA = Path(__file__).parent.parent / "examples" / "grafana"
FILES = {name: GRAFANA / "dashboards" / f"{name}.json" for name in ("fleet", "site")}
DASHBOARDS = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

MORNING = 1_781_542_800.0
"""2026-06-15 17:00 UTC: the sun shines on most of the sites, whatever the time is where the tests run."""


class Daylight:
    """A clock for the sites that runs on from the morning."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._began = time.monotonic()

    def time(self) -> float:
        return MORNING + time.monotonic() - self._began


DAYLIGHT = Daylight()
SITES = {
    "home": LivingSite(seed=1, profile="pw2", batteries=3, clock=DAYLIGHT),
    "cabin": LivingSite(seed=2, profile="pw3", clock=DAYLIGHT),
    "office": LivingSite(seed=3, profile="pwplus", batteries=2, clock=DAYLIGHT),
    "farm": LivingSite(seed=4, profile="legacy", clock=DAYLIGHT),
    "shed": LivingSite(seed=5, profile="pw2", clock=DAYLIGHT),
}
LOCKED_OUT = "shed"
"""The site whose password is wrong."""
VARIABLES = {
    "$__rate_interval": "5s",
    "$__range": "5s",
    "[1d]": "[5s]",
    "[1h]": "[5s]",
    "[15m]": "[5s]",
    "$import_price": "0.30",
    "$export_price": "0.08",
    '"$job"': '".+"',
    'instance="$site"': 'instance=~".+"',
    '"$site"': '".+"',
}
"""What stands in queries instead of Grafana's variables, and of windows that are longer than the test."""

LACKING = {
    ("site", "Alerts", "A"): "no alert is active",
    ("site", "Last grid faults", "A"): "no grid fault is in the list",
}
"""Dashboard, title and query that no simulated site answers, and why."""


UNITS = {
    "amp", "bytes", "hertz", "kwatth", "ops", "percentunit", "s", "short", "volt", "voltamp", "voltampreact", "watt",
}  # fmt: skip
"""Grafana's words, as far as they are used."""


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
            configs.gateway(one.address, name=name, login_password=password(name, one.password))
            for name, one in farm.gateways.items()
        ]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter:
            config = yaml.safe_load(scrape_config(exporter.port))
            config["scrape_configs"][0]["static_configs"] = [{"targets": list(SITES)}]
            folder = tmp_path_factory.mktemp("prometheus")
            with prometheus(yaml.safe_dump(config), folder) as running:
                running.wait(lambda: scraped(running) >= len(SITES))
                yield running


def password(name: str, right: str) -> configs.Secret:
    return configs.Secret("wrong" if name == LOCKED_OUT else right)


def with_values(expression: str) -> str:
    """A query with the table's values in place of the variables."""
    for variable, text in VARIABLES.items():
        expression = expression.replace(variable, text)
    assert "$" not in expression, "a variable that the table does not have"
    return expression


def legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    """What Grafana calls a series."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def column(title: str) -> str:
    """The query of a column of the fleet's table."""
    (table,) = (panel for panel in panels("fleet") if panel["type"] == "table")
    (organize,) = (one["options"] for one in table["transformations"] if one["id"] == "organize")
    names = sorted(organize["indexByName"], key=organize["indexByName"].__getitem__)
    titles = [organize["renameByName"][name] for name in names]
    return str(table["targets"][titles.index(title) - 1]["expr"])


def scraped(running: Prometheus) -> int:
    """How many sites have been scraped often enough for a rate."""
    return sum(value >= 4.0 for value in running.values("count_over_time(probe_success[1m])").values())


@pytest.mark.parametrize(("name", "title", "target"), QUERIES)
def test_a_query_gives_series(server: Prometheus, name: str, title: str, target: dict[str, Any]) -> None:
    series = server.query(with_values(target["expr"]))
    if (name, title, target["refId"]) in LACKING:
        assert not series, "the table of what is lacking is out of date"
    else:
        assert series


def test_the_table_names_the_site_that_fails_and_why(server: Prometheus) -> None:
    answering = dict.fromkeys(SITES, 1.0) | {LOCKED_OUT: 0.0}
    assert server.values(with_values(column("State"))) == answering
    causes = server.query(with_values(column("Cause")))
    assert [(one["metric"]["instance"], one["metric"]["reason"]) for one in causes] == [(LOCKED_OUT, "auth")]
    assert server.values(with_values(column("Charge"))).keys() == SITES.keys() - {LOCKED_OUT}


def test_the_age_of_power_is_that_of_the_last_scrape(server: Prometheus) -> None:
    ages = server.values(with_values(column("Age of power")))
    assert ages.keys() == SITES.keys() - {LOCKED_OUT}
    assert all(0.0 <= age < 60.0 for age in ages.values())


@pytest.mark.parametrize("site", SITES)
def test_no_two_series_of_a_panel_have_one_name(server: Prometheus, site: str) -> None:
    for panel in panels("site"):
        names = [
            legend(target, one["metric"])
            for target in panel["targets"]
            for one in server.query(with_values(target["expr"].replace("$site", site)))
        ]
        assert len(set(names)) == len(names), (panel["title"], names)


def test_a_site_that_prometheus_lost_stays_in_the_table(tmp_path: Path) -> None:
    """No scrape of it succeeds any more, so that it has no probe_success either."""
    state = column("State").replace('"$job"', '".+"').replace('"$site"', '".+"')
    samples = [{"labels": f'{{instance="{site}"}}', "value": value} for site, value in (("a", 0), ("b", 1))]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": 'probe_success{job="powerwall",instance="a"}', "values": "1x5 stale"},
            {"series": 'probe_success{job="powerwall",instance="b"}', "values": "1x90"},
        ],
        "promql_expr_test": [
            {"expr": state, "eval_time": "30m", "exp_samples": samples},
            {"expr": state, "eval_time": "80m", "exp_samples": samples[1:]},
        ],
    }
    (tmp_path / "lost.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", tmp_path / "lost.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_lacking_is_a_query() -> None:
    known = {(name, panel["title"], target["refId"]) for name, panel in PANELS for target in panel["targets"]}
    assert LACKING.keys() <= known


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
def test_the_files_are_what_the_code_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    code = "import build, json, sys; json.dump(build.rendered(), sys.stdout)"
    # -B: no compiled files among the examples.
    command = [sys.executable, "-B", "-c", code]
    made = subprocess.run(command, cwd=GRAFANA, capture_output=True, text=True, check=False)
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
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        area = {(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])}
        assert across.stop <= 24, panel["title"]
        assert not area & taken, panel["title"]
        taken |= area


def test_a_column_of_numbers_has_a_unit() -> None:
    (table,) = (panel for panel in panels("fleet") if panel["type"] == "table")
    overrides = {
        one["matcher"]["options"]: {setting["id"]: setting["value"] for setting in one["properties"]}
        for one in table["fieldConfig"]["overrides"]
    }
    (link,) = overrides.pop("Site")["links"]
    assert "var-site=${__value.raw:percentencode}" in link["url"]
    assert len(overrides) == len(table["targets"]), "a column for each query"
    assert {settings["unit"] for settings in overrides.values()} <= UNITS


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
