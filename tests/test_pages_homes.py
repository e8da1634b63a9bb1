"""Homes of several gateways on the page of the fleet."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

from probe_exporter.fleet import Fleet
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.words import flow
from tests import configs
from tests.clocks import TurnedClock
from tests.test_web import Exporter, served

SITES = {
    "left": LivingSite(seed=1, batteries=3, clock=TurnedClock()),
    "right": LivingSite(seed=2, profile="pw3", clock=TurnedClock()),
    "alone": LivingSite(seed=3, clock=TurnedClock()),
}
RIGHT_CAPACITY = 48.6e6


@contextmanager
def villa(**broken: str) -> Iterator[Exporter]:
    """Two gateways in a villa and one alone; ``broken`` gives one of them another address."""
    telemetry = Telemetry()
    with Farm(SITES, certificate=make_certificate()) as farm:
        gateways = [
            configs.gateway(
                broken.get(name, one.address),
                name=name,
                login_password=configs.Secret(one.password),
                labels={"home": "hut" if name == "alone" else "villa"},
                capacity=RIGHT_CAPACITY if name == "right" else None,
            )
            for name, one in farm.gateways.items()
        ]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as exporter:
            for name in SITES:
                exporter.ask(f"/probe?target={name}")
            yield exporter


def home_rows(exporter: Exporter) -> dict[str, dict[str, str]]:
    """The table of homes: title of the cell and its text, by home."""
    _, _, table = exporter.ask("/").text.partition('class="fleet homes"')
    rows = re.findall(r"<tr>\n<th scope=\"row\"><bdi>(.*?)</bdi>(.*?)</tr>", table, re.DOTALL)
    return {
        name: dict(re.findall(r'data-title="(\w+)">(.*?)</td>', html.unescape(cells))) for name, cells in rows
    }


def test_flows_are_added_and_charge_is_weighed_by_capacity() -> None:
    left, right = SITES["left"].household, SITES["right"].household
    with villa() as exporter:
        rows = home_rows(exporter)
    assert list(rows) == ["villa"], "a home of one gateway is no line of its own"
    shown = rows["villa"]
    assert shown["Grid"] == flow(left.site_power + right.site_power, "site")
    capacities = (left.full * 3600.0, RIGHT_CAPACITY)
    charges = [((one.remaining / one.full) - 0.05) / 0.95 for one in (left, right)]
    weighed = sum(charge * capacity for charge, capacity in zip(charges, capacities, strict=True)) / sum(
        capacities
    )
    assert abs(float(shown["Charge"].removesuffix(" %")) - weighed * 100.0) <= 1.0
    stored = left.remaining + right.remaining / right.full * RIGHT_CAPACITY / 3600.0
    assert abs(float(shown["Stored"].removesuffix(" kWh")) - stored / 1000.0) <= 0.2


def test_half_a_home_is_no_sum() -> None:
    with villa(right="127.0.0.1:9") as exporter:
        text, rows = exporter.ask("/").text, home_rows(exporter)
    assert "1 of 2 answer" in text
    assert set(rows["villa"].values()) == {"–"}
