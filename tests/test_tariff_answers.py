"""Prices in the answers of ``/probe``: those of the moment of the request, whatever becomes of the probe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.tariffs import PriceEntry, Tariff
from probe_exporter.tariffs.conditions import hours
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.test_web import Exporter, served

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Tariff(
    "night", "EUR", BERLIN, (PriceEntry(0.18, "night", (hours("22:00-06:00"),)), PriceEntry(0.32, "day"))
)
EVENING = datetime(2026, 11, 25, 21, 59, 59, tzinfo=BERLIN).timestamp()


class TurnedTime:
    """Stands for the module `time` in the web application, so that its wall clock can be turned."""

    monotonic = staticmethod(time.monotonic)
    now = EVENING

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TurnedTime:
    turned = TurnedTime()
    monkeypatch.setattr("probe_exporter.web.app.time", turned)
    return turned


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """A good gateway with a cache, one without a zone, and one that is not there."""
    telemetry = Telemetry()
    modules = (configs.module(min_interval=3600.0), configs.module(name="core", collectors=("core",)))
    with SimulatedGateway(LivingSite(seed=1, profile="pw2"), password=configs.PASSWORD) as gateway:
        gateways = (
            configs.gateway(gateway.address, prices=NIGHT, capacity=48.6e6),
            configs.gateway("127.0.0.1:9", name="dead", prices=NIGHT),
            configs.gateway("127.0.0.1:10", name="plain"),
        )
        with served(Fleet(configs.config(*gateways, modules=modules), telemetry), telemetry) as running:
            yield running


def value(text: str, name: str) -> float | None:
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def test_a_price_changes_within_a_cached_answer(exporter: Exporter, clock: TurnedTime) -> None:
    first = exporter.ask("/probe?target=home").text
    clock.now += 1.0
    second = exporter.ask("/probe?target=home").text
    assert value(first, "probe_success") == value(second, "probe_success") == 1.0
    assert value(second, 'powerwall_endpoint_age_seconds{endpoint="meters/aggregates"}') > 0.0  # type: ignore[operator]
    assert value(first, "powerwall_tariff_import_price") == 0.32
    assert value(second, "powerwall_tariff_import_price") == 0.18
    assert value(first, "powerwall_tariff_next_change_timestamp_seconds") == EVENING + 1.0
    assert value(second, "powerwall_tariff_next_change_timestamp_seconds") == EVENING + 1.0 + 8 * 3600.0
    assert value(second, "powerwall_configured_capacity_joules") == 48.6e6


def test_a_failed_probe_has_its_prices_and_they_make_no_success(exporter: Exporter) -> None:
    text = exporter.ask("/probe?target=dead").text
    assert value(text, "probe_success") == 0.0
    assert value(text, "powerwall_tariff_import_price") in (0.18, 0.32)
    assert value(text, "powerwall_site_utc_offset_seconds") in (3600.0, 7200.0)
    assert 'powerwall_tariff_info{currency="EUR",tariff="night"} 1.0' in text


def test_without_a_tariff_only_a_gateway_that_answers_has_an_offset(exporter: Exporter) -> None:
    text = exporter.ask("/probe?target=plain").text
    assert "powerwall_tariff" not in text
    assert "powerwall_site_utc_offset_seconds" not in text


def test_a_module_without_the_collector_has_no_prices(exporter: Exporter) -> None:
    text = exporter.ask("/probe?target=home&module=core").text
    assert "powerwall_tariff" not in text
    assert value(text, "powerwall_site_utc_offset_seconds") is not None


def test_the_offset_is_what_the_gateway_tells(tmp_path: Path) -> None:
    telemetry = Telemetry()
    with SimulatedGateway(LivingSite(seed=1, profile="pw2"), password=configs.PASSWORD) as gateway:
        fleet = Fleet(configs.config(configs.gateway(gateway.address)), telemetry)
        with served(fleet, telemetry) as exporter:
            texts = [exporter.ask("/probe?target=home").text for _ in range(8)]
    assert value(texts[-1], "powerwall_site_utc_offset_seconds") in (-28800.0, -25200.0)


def test_openmetrics_has_them_too(exporter: Exporter) -> None:
    text = exporter.ask("/probe?target=dead", accept="application/openmetrics-text").text
    assert "# TYPE powerwall_tariff_import_price gauge" in text
    assert text.endswith("# EOF\n")


def test_a_go_exporters_metrics_path_has_them_too() -> None:
    telemetry = Telemetry()
    device = configs.gateway("127.0.0.1:9", name="127.0.0.1:9", prices=NIGHT)
    fleet = Fleet(configs.config(device, device="127.0.0.1:9"), telemetry)
    with served(fleet, telemetry) as exporter:
        text = exporter.ask("/metrics").text
    assert value(text, "powerwall_tariff_import_price") in (0.18, 0.32)
    assert value(text, "probe_exporter_gateways") == 1.0


def test_a_reload_changes_the_price_and_keeps_the_session() -> None:
    telemetry = Telemetry()
    with SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD) as gateway:
        fleet = Fleet(configs.config(configs.gateway(gateway.address, prices=NIGHT)), telemetry)
        with served(fleet, telemetry) as exporter:
            exporter.ask("/probe?target=home")
            dearer = Tariff("night", "EUR", BERLIN, (PriceEntry(0.99),))
            fleet.reload(configs.config(configs.gateway(gateway.address, prices=dearer)))
            text = exporter.ask("/probe?target=home").text
    assert value(text, "powerwall_tariff_import_price") == 0.99
    assert value(text, "probe_success") == 1.0
    assert gateway.counts.login_attempts == 1
