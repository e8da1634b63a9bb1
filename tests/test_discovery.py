"""HTTP SD: what `/sd` says, and what a real Prometheus makes of it, before and after a reload."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter.config import Config, load_config
from probe_exporter.fleet import Fleet
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.options import ExternalUrl
from tests import configs
from tests.prometheus_server import prometheus
from tests.test_web import Exporter, served

EXAMPLE = Path(__file__).parent.parent / "examples" / "prometheus" / "http_sd.yml"


@contextmanager
def exporter(config: Config, **options: object) -> Iterator[Exporter]:
    telemetry = Telemetry()
    with served(Fleet(config, telemetry), telemetry, **options) as running:
        yield running


@pytest.fixture(scope="module")
def fleet() -> Iterator[Exporter]:
    modules = (
        configs.MODULE,
        configs.module(name="patient", scrape_interval=60.0, scrape_timeout=59.5),
        configs.module(name="quick"),
    )
    gateways = (
        configs.gateway(name="home", labels={"site": "home", "fleet": "north"}),
        configs.gateway(
            "127.0.0.1:10", name="barn", module="patient", labels={"site": "home", "fleet": "south"}
        ),
        configs.gateway("127.0.0.1:11", name="a b/c", module="quick"),
    )
    with exporter(configs.config(*gateways, modules=modules)) as running:
        yield running


def groups(running: Exporter, query: str = "", **headers: str) -> dict[str, dict[str, Any]]:
    """The groups by their instance."""
    reply = running.ask(f"/sd{query}", **headers)
    assert reply.status == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    found = json.loads(reply.body)
    return {group["labels"]["instance"]: group for group in found}


def test_one_group_a_gateway(fleet: Exporter) -> None:
    found = groups(fleet)
    assert list(found) == ["home", "barn", "a b/c"]
    assert found["home"] == {
        "targets": [f"127.0.0.1:{fleet.port}"],
        "labels": {
            "instance": "home",
            "site": "home",
            "fleet": "north",
            "__metrics_path__": "/probe",
            "__param_target": "home",
        },
    }


def test_modules_and_intervals(fleet: Exporter) -> None:
    found = groups(fleet)
    barn = found["barn"]["labels"]
    assert barn["__param_module"] == "patient"
    assert (barn["__scrape_interval__"], barn["__scrape_timeout__"]) == ("60000ms", "59500ms")
    assert found["a b/c"]["labels"]["__param_module"] == "quick"
    assert not {"__scrape_interval__", "__scrape_timeout__"} & found["a b/c"]["labels"].keys()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?module=patient", ["barn"]),
        ("?module=default", ["home"]),
        ("?module=patient&module=quick", ["barn", "a b/c"]),
        ("?label.site=home", ["home", "barn"]),
        ("?label.site=home&label.fleet=south", ["barn"]),
        ("?label.fleet=north&label.fleet=south", ["home", "barn"]),
        ("?module=patient&label.fleet=north", []),
        ("?label.nothing=1", []),
        ("?module=nothing", []),
    ],
)
def test_filters(fleet: Exporter, query: str, names: list[str]) -> None:
    assert list(groups(fleet, query)) == names


def test_the_address_is_the_one_that_was_asked(fleet: Exporter) -> None:
    assert groups(fleet, Host="exporter.example:9871")["home"]["targets"] == ["exporter.example:9871"]


@pytest.mark.parametrize("host", ["", "a b", 'x"', "a/b", "ex\u00e4mple"])
def test_a_host_that_is_none(fleet: Exporter, host: str) -> None:
    assert fleet.ask("/sd", Host=host).status == 400


def test_an_external_url() -> None:
    config = configs.config(configs.gateway())
    with exporter(config, external_url=ExternalUrl.parse("https://probes.example")) as running:
        (group,) = groups(running).values()
        assert group["targets"] == ["probes.example"]
        assert group["labels"]["__scheme__"] == "https"


def test_prometheus_discovers_scrapes_and_follows_a_reload(tmp_path: Path) -> None:
    systems = {name: LivingSite(seed=seed) for seed, name in enumerate(("home", "cabin", "barn"), start=1)}
    with Farm(systems, certificate=make_certificate()) as farm:
        file = tmp_path / "gateways.yaml"
        farm.write_config(file)
        whole = yaml.safe_load(file.read_text())
        file.write_text(
            yaml.safe_dump({"gateways": {name: whole["gateways"][name] for name in ("home", "cabin")}})
        )
        telemetry = Telemetry()
        fleet = Fleet(load_config(file), telemetry)

        def reload() -> Callable[[], None]:
            return partial(fleet.reload, load_config(file))

        with served(fleet, telemetry, enable_lifecycle=True, reload=reload) as running:
            config = yaml.safe_load(EXAMPLE.read_text().replace(":9871", f":{running.port}"))
            config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
            config["scrape_configs"] = config["scrape_configs"][:1]
            config["scrape_configs"][0]["http_sd_configs"][0]["refresh_interval"] = "1s"
            config["scrape_configs"][0].pop("scrape_interval", None)
            config["scrape_configs"][0].pop("scrape_timeout", None)
            with prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as server:
                server.wait(lambda: set(server.values("probe_success == 1")) == {"home", "cabin"})
                labels = server.query('probe_success{instance="home"}')[0]["metric"]
                assert labels["site"] == "home"
                assert labels["fleet"] == "simulated"
                assert not any(name.startswith("__param") for name in labels)
                named = ("barn", "cabin")
                file.write_text(
                    yaml.safe_dump({"gateways": {name: whole["gateways"][name] for name in named}})
                )
                assert running.ask("/-/reload", "POST").status == 200
                server.wait(lambda: set(server.values("probe_success == 1")) == {"barn", "cabin"})
                assert farm.gateways["cabin"].counts.login_attempts == 1, (
                    "what did not change keeps its session"
                )


def test_a_home_goes_out_where_it_is_set_and_filters(tmp_path: Path) -> None:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text(
        "gateways:\n"
        "  east: {gateway_address: 192.0.2.1, home: villa, labels: {site: one}}\n"
        "  west: {gateway_address: 192.0.2.2, home: villa}\n"
        "  barn: {gateway_address: 192.0.2.3}\n"
    )
    with exporter(load_config(file, environment={})) as running:
        homes = {name: group["labels"].get("home") for name, group in groups(running).items()}
        assert homes == {"east": "villa", "west": "villa", "barn": None}
        assert groups(running, "?label.home=villa").keys() == {"east", "west"}
