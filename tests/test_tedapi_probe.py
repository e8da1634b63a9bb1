"""Probes of a gateway with TEDAPI, over real TLS: what is added, who speaks for what, and what neither may hide."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from probe_exporter.cli.rendering import as_table
from probe_exporter.config import load_config
from probe_exporter.fleet import Fleet, ProbeResult
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.probe import Prober
from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.pages import Links, gateway_page
from tests.clocks import TurnedClock
from tests.tedapi_parts import key, key_file, needs_extra
from tests.test_web import served

if TYPE_CHECKING:
    from probe_exporter.simulator.tedapi import Tedapi

pytestmark = needs_extra


class Home:
    """A simulated Powerwall 3 behind a fleet of one."""

    def __init__(self, gateway: SimulatedGateway, tedapi: Tedapi, folder: Path, **options: Any) -> None:
        self.gateway = gateway
        self.tedapi = tedapi
        self.folder = folder
        self.clock = TurnedClock()
        tedapi.now = self.clock.time
        self.entry: dict[str, Any] = {
            "gateway_address": gateway.address,
            "login_password": gateway.password,
            "tls_fingerprint": f"sha256:{gateway.certificate.sha256}",
            "tedapi": {"gateway_password": tedapi.password, "request_timeout": "4s"},
        }
        self.entry |= options
        self.entry = {name: value for name, value in self.entry.items() if value is not None}
        self.telemetry = Telemetry()
        self.fleet = Fleet(self.config(), self.telemetry, self.clock)

    def config(self) -> Any:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump({"gateways": {"home": self.entry}}), "utf-8")
        path.chmod(0o600)
        return load_config(path, environment={})

    def probe(self, seconds: float = 8.0) -> ProbeResult:
        site = self.fleet.find("home")
        return Prober(self.telemetry, self.clock).probe(site, site.module(), time.monotonic() + seconds)


@contextmanager
def home(folder: Path, profile: Any = "pw3", batteries: int = 4, **options: Any) -> Iterator[Home]:
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi

    site = LivingSite(seed=3, batteries=batteries, profile=profile)
    with SimulatedGateway(site) as gateway:
        tedapi = Tedapi(LivingSource(site))
        tedapi.register(key().public_key())
        gateway.tedapi = tedapi
        found = Home(gateway, tedapi, folder, **options)
        yield found
        found.fleet.close()


def text(result: ProbeResult) -> str:
    return render(result.metrics, Format.TEXT).decode()


def value(result: ProbeResult, series: str) -> float | None:
    for line in text(result).splitlines():
        if line.startswith(f"{series} "):
            return float(line.rpartition(" ")[2])
    return None


def up(result: ProbeResult, interface: str) -> float | None:
    return value(result, f'powerwall_interface_up{{interface="{interface}"}}')


def test_the_steps_of_a_probe_tell_of_tedapi_as_well(tmp_path: Path) -> None:
    with home(tmp_path) as house, served(house.fleet, house.telemetry, house.clock) as exporter:
        lines = exporter.ask("/probe?target=home&debug=true").text.splitlines()
        told = [line for line in lines if line.startswith("        tedapi/")]
        questions = {line.split(" (")[0].strip() for line in told}
        assert questions > {"tedapi/config", "tedapi/controller", "tedapi/components", "tedapi/system"}
        assert all(line.endswith("s): answered, the answer shown is 0 s old") for line in told)


def signed(folder: Path, din: str) -> dict[str, Any]:
    return {"rsa_key_file": key_file(folder).name, "din": din, "request_timeout": "4s"}


def test_a_powerwall_3_in_full(tmp_path: Path) -> None:
    with home(tmp_path) as house:
        result = house.probe()
        shown = text(result)
        assert result.success
        assert (up(result, "owner"), up(result, "tedapi")) == (1.0, 1.0)
        assert shown.count("powerwall_battery_pack_info{") == 4
        assert shown.count("powerwall_battery_remaining_joules{") == 4
        assert value(result, "powerwall_batteries_configured") == 4.0
        assert value(result, "powerwall_charge_ratio") is not None
        for family in (
            "pv_string_volts",
            "inverter_fan_rpm",
            "battery_temperature_celsius",
            "operation_mode",
        ):
            assert f"powerwall_{family}{{" in shown
        assert house.gateway.counts.logins == 1
        requests = sum(house.gateway.counts.requests.values())
        assert house.telemetry.registry.get_sample_value("probe_exporter_gateway_requests_total") == requests


@pytest.mark.parametrize("password", [True, False], ids=["with a session", "without a password"])
def test_v1r(tmp_path: Path, password: bool) -> None:
    with home(tmp_path) as house:
        house.entry["tedapi"] = signed(tmp_path, house.tedapi.source.dins[0])
        if not password:
            del house.entry["login_password"]
        house.fleet.reload(house.config())
        result = house.probe()
        assert result.success
        assert up(result, "tedapi") == 1.0
        assert up(result, "owner") == (1.0 if password else None)
        # over the home network a follower is known by the configuration alone
        assert text(result).count("powerwall_battery_pack_info{") == 3
        assert value(result, "powerwall_batteries_configured") == 4.0


def test_without_a_password_tedapi_tells_of_power_and_charge(tmp_path: Path) -> None:
    with home(tmp_path, login_password=None) as house:
        result = house.probe()
        assert result.success
        assert value(result, "powerwall_charge_ratio") == pytest.approx(
            house.gateway.system.household.remaining / house.gateway.system.household.full,  # type: ignore[attr-defined]
            abs=0.01,
        )
        assert value(result, 'powerwall_instant_power_watts{category="load"}') is not None
        assert value(result, "powerwall_reserve_ratio") == 0.24
        assert result.readings.powers["load"] > 0.0
        assert " - " not in as_table([result]).splitlines()[1].partition("ok")[2].replace("-", "", 1)


def test_a_powerwall_2_keeps_its_classic_values(tmp_path: Path) -> None:
    """The owner interface has its packs, so it speaks for them; TEDAPI adds what is its own."""
    with home(tmp_path, profile="pw2", batteries=1) as house:
        house.gateway.tedapi = None
        before = {
            line.partition(" ")[0] for line in text(house.probe()).splitlines() if not line.startswith("#")
        }
    with home(tmp_path, profile="pw2", batteries=1) as house:
        after = {
            line.partition(" ")[0] for line in text(house.probe()).splitlines() if not line.startswith("#")
        }
    # a meter without a current has no sample of it, which moves with the house
    lost = {
        name for name in before - after if not any(part in name for part in ("endpoint", "interface", "_amp"))
    }
    assert lost == set()
    assert "powerwall_contactor_closed" in {name.partition("{")[0] for name in after}


def test_both_addresses_count_for_certificates(tmp_path: Path) -> None:
    """Pinned only if both are; the end is that of the first to expire."""
    old = datetime.now(timezone.utc) - timedelta(days=300)
    certificate = make_certificate(old, timedelta(days=330))
    with home(tmp_path) as house, SimulatedGateway(house.gateway.system, certificate=certificate) as other:
        other.tedapi = house.tedapi
        house.entry["tedapi"]["gateway_address"] = other.address
        house.fleet.reload(house.config())
        result = house.probe()
        assert up(result, "tedapi") == 1.0
        assert value(result, "powerwall_tls_pinned") == 0.0
        end = value(result, "powerwall_tls_certificate_not_after_timestamp_seconds")
        assert end == pytest.approx((old + timedelta(days=330)).timestamp(), abs=2.0)
        house.entry["tedapi"]["tls_fingerprint"] = f"sha256:{certificate.sha256}"
        house.fleet.reload(house.config())
        assert value(house.probe(), "powerwall_tls_pinned") == 1.0


class TestPage:
    """The page of one gateway."""

    LINKS = Links("", "/metrics")

    def page(self, house: Home) -> str:
        return gateway_page(house.fleet.find("home"), self.LINKS).body.decode()

    def test_shows_packs_and_strings(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.probe()
            page = self.page(house)
            for pack in house.fleet.find("home").last.readings.packs:  # type: ignore[union-attr]
                assert f'<th scope="row">{pack.serial}</th>' in page
            assert page.count("Strings of ") == 2
            assert "firmware 26.18.3" in page
            assert "a Powerwall 3 answers three of these paths" in page

    def test_says_what_a_follower_gives_over_the_home_network(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.entry["tedapi"] = signed(tmp_path, house.tedapi.source.dins[0])
            house.fleet.reload(house.config())
            house.probe()
            assert "Followers are reached only in the gateway&#39;s own Wi-Fi" in self.page(house).replace(
                "'", "&#39;"
            )

    def test_says_why_it_does_not_answer(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.tedapi.password = "ANOTHERPASSWORD"
            house.probe()
            assert "whole password of its label" in self.page(house)


class TestNeitherHidesTheOther:
    """A failure of one interface leaves the other's values."""

    def test_tedapi_refused(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.tedapi.password = "ANOTHERPASSWORD"
            result = house.probe()
            assert result.success
            assert (up(result, "owner"), up(result, "tedapi")) == (1.0, 0.0)
            assert value(result, 'powerwall_instant_power_watts{category="site"}') is not None
            assert value(result, "powerwall_login_cooldown_seconds") == pytest.approx(300.0, abs=5.0)
            assert "ok, tedapi down" in as_table([result])

    def test_the_owners_login_refused(self, tmp_path: Path) -> None:
        with home(tmp_path, login_password="wrong-password") as house:
            result = house.probe()
            assert not result.success
            assert result.reason == "auth"
            assert (up(result, "owner"), up(result, "tedapi")) == (0.0, 1.0)

    def test_the_owner_interface_busy(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            for endpoint in ("meters/*", "system_status/*"):
                house.gateway.faults.add("503_busy", endpoint=endpoint)
            result = house.probe()
            assert result.success
            assert value(result, "powerwall_contactor_closed") == 1.0

    @pytest.mark.parametrize("fault", ["reset", "hang", "html_200", "404_text", "429"])
    def test_faults_of_tedapi_cost_no_classic_value(self, tmp_path: Path, fault: str) -> None:
        with home(tmp_path) as house:
            house.entry["tedapi"]["request_timeout"] = "300ms"
            house.fleet.reload(house.config())
            house.gateway.faults.add(fault, endpoint="/tedapi/*")
            result = house.probe()
            assert result.success
            assert up(result, "tedapi") == 0.0
            assert value(result, 'powerwall_instant_power_watts{category="site"}') is not None
            assert value(result, "powerwall_charge_ratio") is not None

    def test_a_gateway_that_takes_its_time(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.tedapi.delay = 1.0
            begun = time.monotonic()
            result = house.probe(seconds=0.7)
            assert time.monotonic() - begun < 3.0
            assert result.success
            assert value(result, 'powerwall_instant_power_watts{category="site"}') is not None
            deadline = time.monotonic() + 20.0
            while value(house.probe(), "powerwall_contactor_closed") is None:
                assert time.monotonic() < deadline

    def test_a_slow_gateway_is_waited_for_only_while_there_is_nothing_to_show(self, tmp_path: Path) -> None:
        with home(tmp_path, batteries=1) as house:
            house.tedapi.delay = 0.3
            assert value(house.probe(seconds=8.0), "powerwall_contactor_closed") == 1.0
            house.clock.turn(61.0)
            result = house.probe(seconds=0.5)
            assert result.duration < 0.4
            assert value(result, "powerwall_contactor_closed") == 1.0
            house.fleet.find("home").memory.tedapi.run.wait(time.monotonic() + 8.0)  # type: ignore[union-attr]
            controller = house.probe(seconds=0.5)
            age = value(controller, 'powerwall_endpoint_age_seconds{endpoint="tedapi/controller"}')
            assert age is not None
            assert age < 30.0


class TestWhoSpeaks:
    """Decided once, for as long as the configuration holds."""

    def test_what_was_decided_stays(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            house.probe()
            spoken = house.fleet.find("home").memory.tedapi.spoken_for  # type: ignore[union-attr]
            assert {"operation", "system_status", "site_info", "status", "solar_powerwall"} <= spoken
            assert "meters/aggregates" not in spoken
            house.gateway.faults.add("503_busy", endpoint="*")
            house.clock.turn(61.0)
            house.probe()
            assert house.fleet.find("home").memory.tedapi.spoken_for == spoken  # type: ignore[union-attr]

    def test_a_collector_that_is_off(self, tmp_path: Path) -> None:
        with home(tmp_path) as house:
            site = house.fleet.find("home")
            module = replace(site.module(), collectors=("core", "meters"))
            result = Prober(house.telemetry, house.clock).probe(site, module, time.monotonic() + 8.0)
            assert "powerwall_contactor_closed" not in text(result)
            assert up(result, "tedapi") is None
            assert house.tedapi.asked == []


def test_an_unchanged_section_survives_a_reload(tmp_path: Path) -> None:
    with home(tmp_path) as house:
        house.probe()
        asked = len(house.tedapi.asked)
        house.fleet.reload(house.config())
        house.probe()
        assert len(house.tedapi.asked) == asked
        house.entry["tedapi"]["request_timeout"] = "5s"
        house.fleet.reload(house.config())
        house.probe()
        assert len(house.tedapi.asked) > asked


def test_a_change_of_firmware_is_one_line_by_the_owner_interface_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with home(tmp_path, profile="pw2", batteries=1) as house:
        house.gateway.tedapi = None
        house.probe()
        site: Any = house.gateway.system
        site.profile = site.household.profile = replace(site.profile, version="23.44.0 12345678")
        house.clock.turn(61.0)
        with caplog.at_level(logging.INFO):
            house.probe()
    changes = [line for line in caplog.messages if "the firmware changed" in line]
    assert changes == ["home: the firmware changed from 22.36.9 5d1bd4ee to 23.44.0 12345678"]


def test_one_connection_each_in_the_gateways_own_wifi(tmp_path: Path) -> None:
    with home(tmp_path) as house:
        house.probe()
        assert house.gateway.counts.max_open_connections <= 2
