"""Simulated homes: two gateways under one roof, batteries that follow prices, a car that feeds in, an outage."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from probe_exporter.config import load_config
from probe_exporter.simulator import LivingSite
from probe_exporter.simulator.strategies import car_feeding_in, following, villa_tariff
from tests.clocks import TurnedClock
from tests.test_cli_serve import PATIENCE, free_port, get, program, read_until

HOUR = 3600.0


def test_batteries_charge_at_the_lowest_price_and_sell_at_the_highest() -> None:
    clock, tariff = TurnedClock(), villa_tariff()
    site = LivingSite(seed=3, batteries=2, clock=clock, strategy=following(tariff))
    seen: dict[str, list[float]] = {"night": [], "peak": [], "day": []}
    for _ in range(288):
        clock.turn(300.0)
        site.moment()
        house = site.household
        assert house.site_power + house.battery_power + house.solar_power == pytest.approx(house.load_power)
        seen[tariff.prices(clock.time()).imported.name].append(house.battery_power)
    assert min(seen["night"]) == -2 * site.profile.battery_power
    assert max(seen["night"]) <= 0.0
    assert max(seen["peak"]) == 2 * site.profile.battery_power
    assert min(seen["peak"]) >= 0.0


def test_an_outage_comes_before_prices() -> None:
    clock = TurnedClock()
    site = LivingSite(seed=3, batteries=2, clock=clock, strategy=following(villa_tariff()))
    site.outage()
    for _ in range(24):
        clock.turn(HOUR)
        site.moment()
        assert site.household.site_power == 0.0


def test_a_car_that_feeds_in_turns_the_load_round() -> None:
    """3 kW for an hour, behind no meter: the gateway derives a home that gives power away."""
    clock = TurnedClock()
    begin = clock.time() + HOUR
    site = LivingSite(seed=3, clock=clock, appliance=car_feeding_in(begin, begin + HOUR, 6000.0))
    clock.turn(HOUR)
    before = site.moment().site.load_energy
    clock.turn(HOUR / 2)
    aggregates = json.loads(site.answer("meters/aggregates").body)
    assert aggregates["load"]["instant_power"] < -1000.0
    clock.turn(HOUR / 2)
    assert site.moment().site.load_energy < before - 2000.0
    clock.turn(60.0)
    assert site.moment().site.load_power > 0.0


def test_a_villa_from_the_command_line_loses_the_grid_on_request(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "villa.yaml"
    url = f"http://127.0.0.1:{port}"
    arguments = ("--scenario", "villa", "--gateways", "2", "--write", str(file), "--serve")
    with program("simulate", *arguments, "--web.listen-address", f"127.0.0.1:{port}") as process:
        read_until(process, "Ctrl-C")
        groups = json.loads(get(f"{url}/sd?label.home=villa"))
        assert [group["labels"]["home"] for group in groups] == ["villa", "villa"]
        text = get(f"{url}/probe?target=home")
        assert "\npowerwall_grid_connected 1.0\n" in text
        assert re.search(r'^powerwall_tariff_standing_charge{currency="EUR"} 0.45$', text, re.MULTILINE)
        for grid in ("0.0", "1.0"):
            process.send_signal(signal.SIGUSR1)
            deadline = time.monotonic() + PATIENCE
            while f"\npowerwall_grid_connected {grid}\n" not in get(f"{url}/probe?target=cabin"):
                assert time.monotonic() < deadline, "the grid did not change"
    config = load_config(file)
    assert {gateway.home for gateway in config.gateways.values()} == {"villa"}
