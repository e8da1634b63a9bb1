"""The page of a whole fleet: filters, pages of a hundred, counts, and no page that holds the event loop."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import fields
from typing import ClassVar
from urllib.parse import quote

import pytest
import yaml

from probe_exporter.config import Config
from probe_exporter.fleet import Fleet
from probe_exporter.natural import natural
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.telemetry import Telemetry
from probe_exporter.web import words
from tests import configs
from tests.test_web import Exporter, served

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PROGRAMS = ("", "*/*", "application/json", "text/plain;version=0.0.4, text/html;q=0.5")
SITES = 250


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """A gateway that answers, one that is off the grid, one that fails, and more that were never probed."""
    telemetry, off = Telemetry(), LivingSite(seed=2)
    off.outage()
    with (
        SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD) as good,
        SimulatedGateway(off, password=configs.PASSWORD) as island,
    ):
        addresses = {"site-2": good.address, "site-10": island.address, "site-7": "127.0.0.1:9"}
        gateways = [
            configs.gateway(
                addresses.get(name, f"127.0.0.1:{number + 10}"),
                name=name,
                labels={"region": "north" if number % 5 else "south & west", "site": name},
            )
            for number in range(1, SITES + 1)
            for name in [f"site-{number}"]
        ]
        fleet = Fleet(configs.config(*gateways), telemetry)
        with served(fleet, telemetry) as running:
            for name in addresses:
                running.ask(f"/probe?target={name}")
            yield running


def names(exporter: Exporter, query: str = "") -> list[str]:
    return re.findall(r'<th scope="row"><a href="/gateways/([^"]+)"', exporter.ask(f"/{query}").text)


def counts(exporter: Exporter, query: str = "") -> str:
    found = re.search(r'<p class="counts">(.*?)</p>', exporter.ask(f"/{query}").text, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<.*?>", "", found[1]).split())


def test_the_troubled_come_first_then_names_as_people_count(exporter: Exporter) -> None:
    assert names(exporter)[:5] == ["site-7", "site-10", "site-1", "site-3", "site-4"], (
        "one fails, one is off the grid"
    )
    assert names(exporter, "?page=3")[-1] == "site-2", "what is well stands last"
    assert sorted(["site-10", "Site-2", "site-1", "7"], key=natural) == ["7", "site-1", "Site-2", "site-10"]


def test_pages_have_a_hundred_gateways_and_hold_each_once(exporter: Exporter) -> None:
    pages = [names(exporter, f"?page={number}") for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert len({name for page in pages for name in page}) == SITES
    assert names(exporter, "?page=99") == pages[2], "a page that is gone is the last one"
    assert 'rel="next" href="/?page=3"' in exporter.ask("/?page=2").text


def test_states_filter_and_are_counted(exporter: Exporter) -> None:
    assert counts(exporter) == "250 configured · 1 failing · 2 ok · 247 not probed yet · 1 off grid"
    assert names(exporter, "?state=failing") == ["site-7"]
    assert names(exporter, "?state=ok") == ["site-10", "site-2"]
    assert names(exporter, "?state=stopped") == []
    assert "failing for" not in exporter.ask("/gateways/site-2").text
    assert re.search(r"failing for \d+ s", exporter.ask("/gateways/site-7").text)


def test_labels_filter_and_are_counted(exporter: Exporter) -> None:
    south = f"?label.region={quote('south & west')}"
    assert len(names(exporter, south)) == SITES // 5
    assert names(exporter, f"{south}&state=ok") == ["site-10"]
    assert names(exporter, "?label.site=site-9&label.site=site-11") == ["site-9", "site-11"]
    text = html.unescape(exporter.ask("/").text)
    assert re.search(r"<bdi>north</bdi>\W+200 .*\(1 failing\)", text)
    assert "?label.region=south+%26+west" in text
    assert "<strong><bdi>site</bdi>" not in text, "a label that is a name of its own groups nothing"


@pytest.mark.parametrize("query", ["?state=fine", "?page=0", "?page=x", "?page=1&page=2", "?site=a", "?q"])
def test_what_is_not_known_is_400(exporter: Exporter, query: str) -> None:
    reply = exporter.ask(f"/{query}")
    assert reply.status == 400
    assert len(reply.text.splitlines()) == 1


def test_signs_are_words(exporter: Exporter) -> None:
    cells = re.findall(r'data-title="(Battery|Grid)">(.*?)</td>', exporter.ask("/?state=ok").text)
    assert len(cells) == 4
    for title, text in cells:
        word = {"Battery": "charging|discharging|idle", "Grid": "importing|exporting|idle"}[title]
        assert re.fullmatch(rf"[0-9.]+ k?W ({word})", text)


def test_probe_now_leads_back_to_the_page(exporter: Exporter) -> None:
    before = exporter.ask("/gateways/site-2").text.count("success")
    reply = exporter.ask("/gateways/site-2?probe=now")
    assert reply.status == 303
    assert reply.headers["location"] == "/gateways/site-2", "the page that renews itself asks no gateway"
    assert exporter.ask("/gateways/site-2").text.count("success") == before + 1


def test_the_page_of_a_gateway_tells_mode_reserve_and_energy(exporter: Exporter) -> None:
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", exporter.ask("/gateways/site-2").text))
    assert {"Charge", "Mode", "Reserve", "Stored"} <= facts.keys()
    assert re.fullmatch(r"[0-9.]+ kWh of [0-9.]+ kWh", facts["Stored"])
    assert re.fullmatch(r"\d+\.\d kWh", facts["Home used"])
    assert re.search(r"Energy of today, since \d\d:\d\d [A-Z][^<]+<", exporter.ask("/gateways/site-2").text)


def test_the_state_of_the_grid_is_a_plain_word(exporter: Exporter) -> None:
    pages = [exporter.ask(f"/gateways/{name}").text for name in ("site-2", "site-10")]
    assert ["<dt>Grid</dt><dd>connected</dd>" in pages[0], "<dt>Grid</dt><dd>islanded</dd>" in pages[1]] == [
        True,
        True,
    ]


def test_an_endpoint_without_an_age_is_not_said_to_be_ok() -> None:
    """A failed probe publishes what it read itself; what earlier ones read has no age on the page."""
    telemetry = Telemetry()
    with SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD) as gateway:
        fleet = Fleet(configs.config(configs.gateway(gateway.address)), telemetry)
        with served(fleet, telemetry) as running:
            running.ask("/probe?target=home")
            good = endpoint_states(running.ask("/gateways/home").text)
            for path in ("meters/aggregates", "system_status*"):
                gateway.faults.add("500", endpoint=path)
            running.ask("/probe?target=home")
            failed = endpoint_states(running.ask("/gateways/home").text)
    read = {name for name, (state, _) in good.items() if state == "ok"}
    assert failed["meters/aggregates"][0] == "failed: http"
    left_out = {name for name, (_, age) in failed.items() if age == "–" and name in read}
    assert {failed[name][0] for name in left_out} == {
        "failed: http",
        "answered before, left out of a failed probe",
    }


def endpoint_states(page: str) -> dict[str, tuple[str, str]]:
    """The state and the age of each endpoint on the page of a gateway."""
    row = re.compile(
        r'<tr><th scope="row">([^<]+)</th><td>([^<]*)</td><td[^>]*>[^<]*</td><td[^>]*>([^<]*)</td>'
    )
    return {name: (state, age) for name, state, age in row.findall(page)}


@pytest.mark.parametrize("path", ["/config", "/sd"])
def test_a_browser_gets_a_page_and_a_program_the_text(exporter: Exporter, path: str) -> None:
    page = exporter.ask(path, Accept=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    assert '<a class="home" href="/">' in page.text
    assert "site-250" in page.text
    for accept in PROGRAMS:
        plain = exporter.ask(path, Accept=accept)
        parsed = json.loads(plain.body) if path == "/sd" else yaml.safe_load(plain.body)["gateways"]
        assert len(parsed) == SITES


class LongConfig(Config):
    """A configuration that takes as long to be written as the test wants: that of 5,000 gateways takes a second."""

    __slots__ = ()
    others_were_answered = threading.Event()
    written: ClassVar[list[bool]] = []

    def as_yaml(self) -> str:
        self.written.append(self.others_were_answered.wait(20.0))
        return super().as_yaml()


def test_what_is_rendered_long_is_rendered_once_and_does_not_hold_the_loop() -> None:
    telemetry = Telemetry()
    short = configs.config(configs.gateway(name="home"))
    long = LongConfig(**{one.name: getattr(short, one.name) for one in fields(short)})
    with served(Fleet(long, telemetry), telemetry) as running, ThreadPoolExecutor(30) as clients:
        asked = [clients.submit(running.ask, "/config") for _ in range(30)]
        while not wait(asked, 0.1).done and answers_others(running):
            long.others_were_answered.set()
        bodies = {one.result().body for one in asked}
        assert len(bodies) == 1
        assert long.written == [True], "once for all, while others were answered"
        running.ask("/config")
        assert long.written == [True], "and kept for those who come later"


def answers_others(exporter: Exporter) -> bool:
    """Return True if the exporter answers others."""
    return exporter.ask("/-/healthy").status == 200


def test_a_reload_shows_at_once() -> None:
    telemetry = Telemetry()
    fleet = Fleet(configs.config(configs.gateway(name="old")), telemetry)
    with served(fleet, telemetry) as running:
        for path in ("/", "/config", "/sd"):
            assert "old" in running.ask(path).text
        fleet.reload(configs.config(configs.gateway(name="new")))
        for path in ("/", "/config", "/sd"):
            assert "new" in running.ask(path).text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (words.ago(-21599.0), "0 s"),
        (words.ago(None), "never"),
        (words.ago(7300.0), "2 h"),
        (words.watts(-0.4), "0 W"),
        (words.watts(999.7), "1.00 kW"),
        (words.watts(-1234.0), "-1.23 kW"),
        (words.flow(-2345.0, "battery"), "2.35 kW charging"),
        (words.flow(12.0, "site"), "12 W idle"),
        (words.percent(-0.001), "0 %"),
        (words.kilowatt_hours(-0.001), "0.0 kWh"),
    ],
)
def test_numbers_for_people(made: str, text: str) -> None:
    assert made == text
