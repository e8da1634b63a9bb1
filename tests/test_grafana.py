"""The dashboards: current, complete, and every query of theirs answered by a real Prometheus over simulated sites."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter.config import load_config
from probe_exporter.fleet import Fleet
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.metrics.tariff import SITE_FAMILIES, TARIFF_FAMILIES
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.simulator.strategies import VILLA_TARIFF
from probe_exporter.tedapi.queries import extra_installed, installed_file
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.conftest import program
from tests.prometheus_server import Prometheus, prometheus
from tests.test_prometheus import scrape_config
from tests.test_web import served

GRAFANA = Path(__file__).parent.parent / "examples" / "grafana"
FILES = {name: GRAFANA / "dashboards" / f"{name}.json" for name in ("fleet", "home", "site")}
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


HAS_TEDAPI = extra_installed() and installed_file() is not None
DAYLIGHT = Daylight()
SITES = {
    "tower": LivingSite(seed=7, profile="pw3", batteries=4, clock=DAYLIGHT),
    "home": LivingSite(seed=1, profile="pw2", batteries=3, clock=DAYLIGHT),
    "cabin": LivingSite(seed=2, profile="pw3", clock=DAYLIGHT),
    "office": LivingSite(seed=3, profile="pwplus", batteries=2, clock=DAYLIGHT),
    "farm": LivingSite(seed=4, profile="legacy", clock=DAYLIGHT),
    "mill": LivingSite(seed=6, profile="pwplus", clock=DAYLIGHT),
    "shed": LivingSite(seed=5, profile="pw2", clock=DAYLIGHT),
}
VILLA = ("home", "cabin")
"""Two gateways under one roof. The others are homes of their own, by their names."""
DARK = "mill"
"""The site that loses the grid."""
CAPACITY = 48.6e6
WITH_TEDAPI = "tower"
"""The Powerwall 3 whose newer interface is asked, too."""
LOCKED_OUT = "shed"
"""The site whose password is wrong."""
VARIABLES = {
    "$__rate_interval": "5s",
    "$__range": "5s",
    "[1d]": "[5s]",
    "$by": "job",
    "[1h]": "[5s]",
    "[15m]": "[5s]",
    '"$job"': '".+"',
    'instance="$site"': 'instance=~".+"',
    'home="$home"': 'home=~".+"',
    '"$site"': '".+"',
}
"""What stands in queries instead of Grafana's variables, and of windows that are longer than the test."""

LACKING = {
    **({} if HAS_TEDAPI else {("site", "Active alerts", "A"): "no alert is active"}),
    **{("site", "Energy by day", letter): "no day has ended" for letter in "ABCD"},
    **{("home", "Energy by day", letter): "no day has ended" for letter in "ABCD"},
    **{("home", "Cost by day", letter): "no day has ended" for letter in "ABCD"},
}
"""Dashboard, title and query that no simulated site answers, and why."""


UNITS = {
    "amp", "bytes", "celsius", "hertz", "kwatth", "ops", "percentunit", "rotrpm", "s", "short", "volt", "voltamp",
    "voltampreact", "watt",
}  # fmt: skip
"""Grafana's words, as far as they are used."""


def panels(name: str) -> list[dict[str, Any]]:
    """All panels of a dashboard, those of folded rows too."""
    top = DASHBOARDS[name]["panels"]
    folded = [panel for row in top for panel in row.get("panels", [])]
    return [panel for panel in [*top, *folded] if panel["type"] != "row"]


(_tedapi_row,) = (panel for panel in DASHBOARDS["site"]["panels"] if panel["title"] == "Powerwall 3")
OF_TEDAPI = {panel["title"] for panel in _tedapi_row["panels"]}
PANELS = [(name, panel) for name in DASHBOARDS for panel in panels(name)]
QUERIES = [
    pytest.param(name, panel["title"], target, id=f"{name}-{panel['title']}-{target['refId']}")
    for name, panel in PANELS
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    telemetry = Telemetry()
    folder = tmp_path_factory.mktemp("prometheus")
    with Farm(SITES, certificate=make_certificate()) as farm:
        if HAS_TEDAPI:
            from probe_exporter.simulator.tedapi import LivingSource, Tedapi

            farm.gateways[WITH_TEDAPI].tedapi = Tedapi(LivingSource(SITES[WITH_TEDAPI]))
        farm.write_config(folder / "gateways.yaml", tariff=VILLA_TARIFF)
        written = load_config(folder / "gateways.yaml", environment={}).gateways
        gateways = [
            replace(written[name], login_password=password(name, one.password), labels={}, capacity=CAPACITY)
            for name, one in farm.gateways.items()
        ]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter:
            config = yaml.safe_load(scrape_config(exporter.port))
            config["scrape_configs"][0]["static_configs"] = [
                {"targets": list(VILLA), "labels": {"home": "villa"}},
                {"targets": [name for name in SITES if name not in VILLA]},
            ]
            config["rule_files"] = [str(quick_rules(folder))]
            with prometheus(yaml.safe_dump(config), folder) as running:
                running.wait(lambda: scraped(running) >= len(SITES))
                SITES[DARK].outage()
                running.wait(lambda: running.values("powerwall:home_grid_connected", "home").get(DARK) == 0.0)
                running.wait(lambda: running.values("powerwall:outages:count30d").get(DARK) == 1.0)
                running.wait(lambda: len(running.query("powerwall:home_self_consumption:ratio1d")) >= 3)
                if HAS_TEDAPI:
                    running.wait(lambda: bool(running.query("powerwall_inverter_fan_rpm")))
                yield running


def quick_rules(folder: Path) -> Path:
    """The recording rules with a second in place of their minutes."""
    groups = []
    for file in sorted((GRAFANA.parent / "prometheus" / "rules").glob("*.yml")):
        text = re.sub(r"interval: \d+m", "interval: 1s", file.read_text(encoding="utf-8"))
        text = text.replace("offset 1m", "offset 1s").replace("[59s]", "[2s]").replace("[30d:5m]", "[1m:1s]")
        groups += yaml.safe_load(text)["groups"]
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    return path


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
    if title in OF_TEDAPI and not HAS_TEDAPI:
        pytest.skip("the extra [tedapi] is not installed")
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


@pytest.mark.parametrize("home", ["villa", "tower", "office", "farm", DARK])
def test_the_home_dashboard_is_full_for_every_model(server: Prometheus, home: str) -> None:
    """Two gateways of two models, a Powerwall 3, a Powerwall+, firmware 1.x, and one without the grid."""
    for panel in panels("home"):
        for target in panel["targets"]:
            if ("home", panel["title"], target["refId"]) not in LACKING:
                answered = server.query(with_values(target["expr"].replace("$home", home)))
                if panel["title"] == "Outages" and home != DARK:
                    assert not answered, "an outage that was not"
                elif "self_consumption" in target["expr"] and home == WITH_TEDAPI:
                    assert not answered, "it is night in Sydney"
                else:
                    assert len(answered) == 1, (panel["title"], target["expr"])


def test_an_outage_shows_where_it_is(server: Prometheus) -> None:
    assert server.values("powerwall:outages:count30d").items() >= {(DARK, 1.0), ("office", 0.0)}
    (outage,) = (panel for panel in panels("fleet") if panel["title"] == "Outages")
    shown = server.values(with_values(outage["targets"][0]["expr"]))
    assert shown == {DARK: 0.0}


@pytest.mark.parametrize(("direction", "category"), [("exported", "solar"), ("imported", "load")])
def test_the_energy_of_a_day_is_what_the_counters_moved(
    server: Prometheus, direction: str, category: str
) -> None:
    """To the scrapes at both ends, of at least twelve: the rules may be a few seconds behind."""
    server.wait(lambda: min(server.values("count_over_time(probe_success[10m])").values()) >= 12.0, 60.0)
    at = time.time() - 1.0
    counter = f'powerwall_{direction}_joules_total{{category="{category}"}}'
    moved = server.values(f"{counter} - min_over_time({counter}[10m])", at=at)
    homes = f'powerwall:home_joules:day{{category="{category}",direction="{direction}"}}'
    shown = server.values(f"sum by (home) ({homes})", "home", at=at)
    assert shown.keys() >= {"villa", "office", "farm", DARK}
    for home in ("office", "farm", DARK):
        assert shown[home] == pytest.approx(moved[home], rel=0.4)
    assert shown["villa"] == pytest.approx(sum(moved[name] for name in VILLA), rel=0.4)


def test_rows_of_a_site_open_on_demand() -> None:
    rows = [panel for panel in DASHBOARDS["site"]["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows if not row.get("collapsed")] == ["Now", "Power"]
    assert all(row["panels"] for row in rows if row.get("collapsed"))


def test_a_fleet_of_three_hundred_stays_readable() -> None:
    """No chart of the fleet has a line a site, but for the few that topk leaves."""
    for panel in panels("fleet"):
        if panel["type"] in ("timeseries", "state-timeline"):
            for target in panel["targets"]:
                by_site = "{{instance}}" in target["legendFormat"] and "build_info" not in target["expr"]
                assert not by_site or "topk(" in target["expr"], panel["title"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_of_grafanas_schema(name: str) -> None:
    """What Grafana's published schema does not know would be lost on the way through its models."""
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    plugins.register_default_plugins()
    read = models.Dashboard.from_json(DASHBOARDS[name])
    again = json.loads(encoder.JSONEncoder(sort_keys=True, indent=2).encode(read))
    assert again == DASHBOARDS[name]


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
    rows = [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in [*rows, *panels(name)]]
    assert len(set(numbers)) == len(numbers)
    assert all(numbers)


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}-{panel['title']}" for name, panel in PANELS]
)
def test_a_panel_says_what_it_shows(name: str, panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["noValue"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    top = DASHBOARDS[name]["panels"]
    for panel in [*top, *(panel for row in top for panel in row.get("panels", []))]:
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
    own = (*PROBE_FAMILIES, *SITE_FAMILIES, *TARIFF_FAMILIES)
    known = {family.name for family in CATALOGUE} | {name for name, _, _ in own}
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
