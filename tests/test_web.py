"""The HTTP contract, over real sockets: a served exporter, simulated gateways behind it."""

from __future__ import annotations

import gzip
import http.client
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from probe_exporter.clock import Clock
from probe_exporter.fleet import Fleet
from probe_exporter.metrics.exposition import Format
from probe_exporter.probe import Prober
from probe_exporter.simulator import LivingSite, RecordedSystem, SimulatedGateway
from probe_exporter.telemetry import Telemetry
from probe_exporter.web import Server, WebOptions, create_app
from probe_exporter.web.app import Application
from tests import configs
from tests.readings_of import PAYLOADS


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


class Exporter:
    """A served exporter."""

    def __init__(self, port: int, application: Application, fleet: Fleet, telemetry: Telemetry) -> None:
        self.port = port
        self.application = application
        self.fleet = fleet
        self.telemetry = telemetry

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()


@contextmanager
def served(
    fleet: Fleet, telemetry: Telemetry, clock: Clock | None = None, **changes: object
) -> Iterator[Exporter]:
    options = WebOptions(**{"listen_addresses": ("127.0.0.1:0",), **changes})  # type: ignore[arg-type]
    application = create_app(fleet, Prober(telemetry, clock), telemetry, options)
    server = Server(application, options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Exporter(int(server.addresses[0].rpartition(":")[2]), application, fleet, telemetry)
    finally:
        server.stop()
        thread.join(10.0)
        fleet.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[SimulatedGateway]:
    with SimulatedGateway(LivingSite(seed=7), password=configs.PASSWORD) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def exporter(gateway: SimulatedGateway) -> Iterator[Exporter]:
    telemetry = Telemetry()
    home = configs.gateway(gateway.address, labels={"site": "<b>home</b>"})
    gone = configs.gateway("127.0.0.1:1", name='a "gone" & <i>gateway</i>')
    fleet = Fleet(configs.config(home, gone), telemetry)
    with served(fleet, telemetry) as running:
        yield running


def test_a_probe_by_name_and_by_address(exporter: Exporter, gateway: SimulatedGateway) -> None:
    for target in ("home", gateway.address):
        reply = exporter.ask(f"/probe?target={target}")
        assert reply.status == 200
        assert "\nprobe_success 1.0\n" in reply.text
        assert 'powerwall_instant_power_watts{category="site"}' in reply.text


def test_a_gateway_that_is_down_is_200_with_a_reason(exporter: Exporter) -> None:
    reply = exporter.ask("/probe?target=127.0.0.1:1")
    assert reply.status == 200
    assert "\nprobe_success 0.0\n" in reply.text
    assert 'probe_failure_reason{reason="connect"} 1.0' in reply.text


REFUSALS = {
    "no target": ("/probe", 400),
    "empty target": ("/probe?target=", 400),
    "two targets": ("/probe?target=home&target=home", 400),
    "unknown target": ("/probe?target=192.0.2.77%0d%0aX:y", 404),
    "unknown module": ("/probe?target=home&module=canary", 400),
    "bad query": ("/probe?target=%ff", 400),
    "unknown path": ("/canary", 404),
    "unknown gateway page": ("/gateways/canary", 404),
}


@pytest.mark.parametrize(("path", "status"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_line_that_repeats_nothing(exporter: Exporter, path: str, status: int) -> None:
    reply = exporter.ask(path)
    assert reply.status == status
    assert reply.text.count("\n") == 1
    assert "canary" not in reply.text
    assert "192.0.2.77" not in reply.text


def test_an_unknown_target_is_counted(exporter: Exporter) -> None:
    exporter.ask("/probe?target=nobody")
    reply = exporter.ask("/metrics")
    count = next(line for line in reply.text.splitlines() if line.startswith("probe_exporter_unknown_target"))
    assert float(count.split()[1]) >= 1.0


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/sd", "/config", "/-/healthy", "/-/ready", "/gateways/home"]
)
def test_head_and_methods(exporter: Exporter, path: str) -> None:
    assert exporter.ask(path).status == 200
    head = exporter.ask(path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    refused = exporter.ask(path, "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


def test_reload_needs_post_and_the_flag(exporter: Exporter) -> None:
    assert exporter.ask("/-/reload").status == 405
    assert exporter.ask("/-/reload", "POST").status == 403


def test_formats_and_packing(exporter: Exporter) -> None:
    openmetrics = exporter.ask(
        "/probe?target=home",
        Accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        Accept_Encoding="gzip",
    )
    assert openmetrics.headers["content-type"] == Format.OPENMETRICS.value
    assert gzip.decompress(openmetrics.body).endswith(b"# EOF\n")
    plain = exporter.ask("/probe?target=home", Accept="application/openmetrics-text;q=0.1,text/plain;q=0.9")
    assert plain.headers["content-type"] == Format.TEXT.value
    assert "content-encoding" not in plain.headers


def test_answers_are_packed_where_isal_has_no_wheel() -> None:
    """Then zlib packs them; where it has one, it is used."""
    packs = "from probe_exporter.web.messages import compress; print(compress.__module__)"
    without = f"import sys; sys.modules['isal'] = None; {packs}"
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for code in (packs, without)
    ]
    assert found == ["isal.igzip" if importlib.util.find_spec("isal") else "gzip", "gzip"]


def test_a_module_leaves_out_the_metrics_about_endpoints(gateway: SimulatedGateway) -> None:
    lean = configs.module(name="lean", endpoint_metrics=False)
    config = configs.config(configs.gateway(gateway.address), modules=(configs.MODULE, lean))
    telemetry = Telemetry()
    with served(Fleet(config, telemetry), telemetry) as running:
        whole, less = (running.ask(f"/probe?target=home&module={name}").text for name in ("default", "lean"))

    def names(text: str) -> set[str]:
        return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}

    about = {name for name in names(whole) if name.startswith("powerwall_endpoint_")}
    assert len(about) == 4
    assert names(whole) - names(less) == {*about, "powerwall_unknown_values"}
    assert "\nprobe_success 1.0\n" in less


def test_discovery_is_complete_without_relabelling(exporter: Exporter) -> None:
    groups = json.loads(exporter.ask("/sd").body)
    assert groups[0] == {
        "targets": [f"127.0.0.1:{exporter.port}"],
        "labels": {
            "site": "<b>home</b>",
            "instance": "home",
            "__metrics_path__": "/probe",
            "__param_target": "home",
        },
    }
    assert json.loads(exporter.ask("/sd?label.site=elsewhere").body) == []
    assert json.loads(exporter.ask("/sd?module=patient").body) == []
    assert exporter.ask("/sd", Host="evil<script>").status == 400


def test_pages_escape_everything_and_load_nothing(exporter: Exporter) -> None:
    exporter.ask("/probe?target=home")
    exporter.ask("/probe?target=127.0.0.1:1")
    for path in ("/", "/gateways/home", "/gateways/a%20%22gone%22%20%26%20%3Ci%3Egateway%3C%2Fi%3E"):
        page = exporter.ask(path)
        assert page.status == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<i>gateway" not in page.text
        assert "<b>home" not in page.text
        assert "http://" not in page.text


def test_a_page_asks_no_gateway(exporter: Exporter, gateway: SimulatedGateway) -> None:
    before = gateway.counts.requests.total()
    exporter.ask("/")
    exporter.ask("/gateways/home")
    assert gateway.counts.requests.total() == before


def test_the_page_of_a_gateway_has_the_steps_of_its_last_probe(exporter: Exporter) -> None:
    exporter.ask("/probe?target=home")
    steps = exporter.ask("/gateways/home").text.partition("step by step</h2>")[2]
    assert "probing home with module default" in steps
    assert "meters/aggregates (" in steps


def test_probes_at_the_same_moment_share_one_run(gateway: SimulatedGateway) -> None:
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway(gateway.address)), telemetry), telemetry) as running:
        running.ask("/probe?target=home")
        before = gateway.counts.data_requests
        gateway.latency = 0.2
        try:
            threads = [threading.Thread(target=running.ask, args=("/probe?target=home",)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            gateway.latency = 0.0
        assert gateway.counts.data_requests - before <= 12


def test_the_go_exporters_path(gateway: SimulatedGateway) -> None:
    telemetry = Telemetry()
    home = configs.gateway(gateway.address, name=gateway.address)
    fleet = Fleet(configs.config(home, device=gateway.address), telemetry)
    with served(fleet, telemetry) as running:
        reply = running.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert reply.text.count("# EOF") == 1
    assert "probe_success 1.0" in reply.text
    assert "probe_exporter_probes_total 1.0" in reply.text
    assert ',tyoe="' in reply.text


def test_transformers_of_one_neurio_have_an_id_on_both_paths_and_its_other_meter_has_none() -> None:
    telemetry = Telemetry()
    system = RecordedSystem.from_folder(PAYLOADS / "neurio-22.9")
    with SimulatedGateway(system, password=configs.PASSWORD) as gateway:
        home = configs.gateway(gateway.address, name=gateway.address)
        fleet = Fleet(configs.config(home, device=gateway.address), telemetry)
        with served(fleet, telemetry) as running:
            probe = running.ask(f"/probe?target={gateway.address}").text.splitlines()
            metrics = running.ask("/metrics").text.splitlines()
    for lines, tyoe in ((probe, ""), (metrics, 'tyoe="neurio_w2_tcp",')):
        site = f'category="site",serial="OBB3220900417",{tyoe}type="neurio_w2_tcp"'
        solar = f'category="solar",id="2",serial="OBB3220900533",{tyoe}type="neurio_w2_tcp"'
        assert f"powerwall_dev_instant_power_watts{{{site}}} -14.5" in lines
        assert f"powerwall_dev_instant_power_watts{{{solar}}} 0.5" in lines


def test_the_page_of_a_gateway_is_found_by_its_exact_name_and_leads_to_the_metrics() -> None:
    telemetry = Telemetry()
    gateways = [configs.gateway(name=name, addresses=()) for name in ("a/b", "a%2Fb")]
    with served(Fleet(configs.config(*gateways), telemetry), telemetry, metrics_path="/own") as running:
        for name in ("a/b", "a%2Fb"):
            page = running.ask(f"/gateways/{quote(name, safe='')}")
            assert page.status == 200
            assert f"<h1>{name}" in page.text.replace("<bdi>", "").replace("</bdi>", "")
            assert 'href="/own"' in page.text
