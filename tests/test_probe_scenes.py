"""What happens to a gateway over hours: sessions that die, reboots, lock-outs, swapped certificates."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from probe_exporter.config import Pin
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.secrets import Secret
from probe_exporter.simulator import LivingSite, Reboot, RecordedSystem
from tests import configs
from tests.readings_of import PAYLOADS
from tests.scenes import Scene, scene, up, value

ALL = {endpoint.name for endpoint in ENDPOINTS} - {"system_status/grid_faults"}
"""What is asked of a gateway whose system_status carries the list of grid faults."""
PW3 = {"meters/aggregates", "system_status/soe", "system_status/grid_status"}


# Sessions


def test_one_login_for_the_life_of_a_session() -> None:
    with scene() as home:
        for _ in range(20):
            assert home.later(60.0).success
        assert home.logins == 1


def test_a_session_that_dies_is_renewed_and_nothing_is_lost() -> None:
    with scene() as home:
        home.probe()
        home.clock.turn(600.0)
        home.gateway.revoke_tokens()
        result = home.probe()
        assert result.success
        assert up(result) == ALL
        assert home.logins == 2


def test_a_session_that_dies_in_the_middle_of_a_probe() -> None:
    with scene() as home:
        home.probe()
        home.clock.turn(3600.0)
        home.gateway.faults.add("token_dies", endpoint="status")
        result = home.probe()
        assert result.success
        assert home.logins == 2
        assert up(home.later(15.0)) == ALL


def test_a_403_renews_no_session_younger_than_a_minute() -> None:
    with scene() as home:
        home.probe()
        home.gateway.revoke_tokens()
        home.later(30.0)
        assert home.logins == 1
        home.later(31.0)
        assert home.logins == 2


def test_one_attempt_at_a_login_a_minute() -> None:
    with scene() as home:
        home.gateway.faults.add("500", phase="login")
        for seconds, logins in [(0.0, 1), (15.0, 1), (44.0, 1), (1.0, 2), (59.0, 2), (1.0, 3)]:
            home.later(seconds)
            assert home.logins == logins


def test_a_wrong_password_is_tried_less_and_less_often() -> None:
    with scene(login_password=Secret("wrong")) as home:
        moments = []
        for minute in range(4 * 60):
            before = home.logins
            result = home.probe()
            assert not result.success
            assert result.reason == "auth"
            moments += [minute] if home.logins > before else []
            home.clock.turn(60.0)
        assert moments == [0, 5, 15, 35, 75, 135, 195]


def test_what_needs_no_login_is_published_after_a_refusal() -> None:
    with scene(login_password=Secret("wrong")) as home:
        result = home.probe()
        assert not result.success
        assert value(result, "powerwall_uptime_seconds") is not None
        assert value(result, "powerwall_login_cooldown_seconds") == 300.0
        assert "check login_password" in (result.error or "")


def test_another_password_is_tried_a_minute_after_the_last() -> None:
    with scene(login_password=Secret("wrong")) as home:
        home.probe()
        for password in ("guessed", "also guessed", configs.PASSWORD):
            home.reload(replace(home.site.config, login_password=Secret(password)))
            home.probe()
        assert home.logins == 1
        assert home.later(60.0).success
        assert home.logins == 2


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "endpoint", ["operation", "system_status", "meters/aggregates", "troubleshooting/problems", "networks"]
)
def test_an_endpoint_that_is_refused_for_ever_costs_two_logins_an_hour(endpoint: str, status: int) -> None:
    with scene() as home:
        home.gateway.faults.add(f"{status}_forever", endpoint=endpoint)
        results = [home.later(60.0) for _ in range(60)]
        assert home.logins <= 2
        assert all(result.success for result in results)
        assert all(up(result) >= ALL - {endpoint, "system_status/grid_faults"} for result in results[5:])


def test_an_unchanged_gateway_keeps_its_session_over_a_reload() -> None:
    with scene() as home:
        home.probe()
        connections = home.gateway.counts.connections
        other = configs.gateway("127.0.0.1:1", name="other")
        home.fleet.reload(configs.config(home.site.config, other))
        assert home.later(15.0).success
        assert home.logins == 1
        assert home.gateway.counts.connections == connections


def test_no_password_means_no_login() -> None:
    with scene(login_password=None) as home:
        result = home.probe()
        assert home.logins == 0
        assert up(result) == {"status", "customer/registration"}


def test_old_firmware_needs_no_login() -> None:
    with scene(LivingSite(seed=3, profile="legacy"), login_password=None) as home:
        assert home.probe().success
        assert home.logins == 0


# Certificates


def pinned(home: Scene) -> None:
    sha256 = hashlib.sha256(home.gateway.certificate.der).digest()
    home.reload(replace(home.site.config, pin=Pin(sha256, "tls_fingerprint")))


def test_a_certificate_swapped_between_two_probes() -> None:
    with scene() as home:
        pinned(home)
        old = home.gateway.certificate.sha256
        assert home.probe().success
        requests = home.gateway.counts.requests.total()
        new = home.gateway.swap_certificate().sha256
        home.gateway.drop_connections()
        result = home.later(15.0)
        assert result.reason == "tls"
        for part in (old, new, "probe_exporter fetchcert home"):
            assert part in (result.error or "")
        assert home.gateway.counts.requests.total() == requests, "nothing was sent"


def test_a_certificate_swapped_between_login_and_request() -> None:
    with scene() as home:
        pinned(home)
        home.gateway.faults.add("certificate_swap", phase="login")
        result = home.probe()
        assert result.reason == "tls"
        assert home.logins == 1
        assert home.gateway.counts.handshakes == 2
        assert home.requests <= 1, "at most the one on the connection that had shown the right certificate"


def test_a_certificate_that_was_fetched_since_counts_without_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "home.pem"
    with scene(tls_cert_file=file, pin_missing=True) as home:
        result = home.probe()
        assert (result.reason, home.gateway.counts.requests.total()) == ("tls", 0)
        assert "run `probe_exporter fetchcert home`" in (result.error or "")
        assert value(result, "powerwall_tls_pinned") == 0.0
        file.write_bytes(home.gateway.certificate.pem)
        assert value(home.later(15.0), "powerwall_tls_pinned") == 1.0

        home.gateway.swap_certificate()
        home.gateway.drop_connections()
        assert "fetchcert --force home" in (home.later(15.0).error or ""), "another one was really shown"
        file.write_bytes(home.gateway.certificate.pem)
        assert home.later(15.0).success


def test_a_pin_that_fits_is_shown() -> None:
    with scene() as home:
        assert value(home.probe(), "powerwall_tls_pinned") == 0.0
        pinned(home)
        assert value(home.probe(), "powerwall_tls_pinned") == 1.0


# Reboots and absences


def test_a_reboot() -> None:
    with scene() as home:
        energy = value(home.probe(), "powerwall_imported_joules_total", category="site")
        assert energy is not None
        home.clock.turn(600.0)
        reboot = Reboot(home.gateway)
        reasons: list[str | None] = []
        for stage in ("refused", "busy", "zero_counters", "forbidden", "done"):
            assert reboot.stage == stage
            result = home.later(15.0)
            reasons.append(result.reason)
            shown = value(result, "powerwall_imported_joules_total", category="site")
            assert shown is None or shown >= energy, "no step back"
            if stage != "done":
                reboot.advance()
        assert reasons == ["connect", "busy", None, None, None]
        assert home.logins == 2


def test_readings_held_back_are_counted() -> None:
    with scene() as home:
        home.probe()
        home.gateway.faults.add("zero_counters", endpoint="meters/aggregates")
        result = home.later(15.0)
        assert value(result, "powerwall_imported_joules_total", category="site") is None
        assert (value(result, "powerwall_readings_held_back") or 0.0) > 0.0
        home.gateway.faults.clear()
        result = home.later(15.0)
        assert value(result, "powerwall_readings_held_back") == 0.0


def test_a_failed_probe_shows_nothing_kept() -> None:
    with scene() as home:
        assert value(home.probe(), "powerwall_site_nominal_joules") is not None
        assert value(home.later(15.0), "powerwall_site_nominal_joules") is not None, "kept for ten minutes"
        home.gateway.faults.add("refuse")
        result = home.later(15.0)
        assert not result.success
        names = {metric.name for metric in result.metrics}
        assert "powerwall_site_nominal_joules" not in names
        assert not any(name.startswith("powerwall_instant") for name in names)


def test_ages_of_what_is_kept() -> None:
    with scene() as home:
        home.probe()
        result = home.later(45.0)
        assert value(result, "powerwall_endpoint_age_seconds", endpoint="meters/aggregates") == 0.0
        assert value(result, "powerwall_endpoint_age_seconds", endpoint="status") == 45.0
        assert value(result, "powerwall_endpoint_age_seconds", endpoint="site_info") == 45.0


def test_a_powerwall_3_is_asked_for_what_it_has(caplog: pytest.LogCaptureFixture) -> None:
    with scene(LivingSite(seed=2, profile="pw3")) as home, caplog.at_level(logging.WARNING):
        first = home.probe()
        assert first.success
        assert up(first) == PW3
        asked = home.requests
        for _ in range(59):
            assert home.later(60.0).success
        counts = home.gateway.counts.requests
        assert home.requests == asked + 59 * len(PW3)
        assert all(counts[name] == 1 for name in ALL - PW3)
        assert value(home.probe(), "powerwall_endpoint_supported", endpoint="status") == 0.0
        assert caplog.text == ""


def test_the_energy_of_a_powerwall_3_lives() -> None:
    clockwork = LivingSite(seed=2, profile="pw3")
    with scene(clockwork) as home:
        assert value(home.probe(), "powerwall_exported_joules_total", category="solar") is not None


# Where and how often


def test_addresses_are_tried_in_order() -> None:
    with scene(None, "127.0.0.1:1") as home:
        result = home.probe()
        assert result.success
        assert any("cannot be reached" in step or "connected" in step for step in result.log)


def test_nothing_is_asked_beyond_the_chosen_collectors() -> None:
    with scene() as home:
        home.probe(configs.module(collectors=("core",)))
        expected = {endpoint.name for endpoint in ENDPOINTS if endpoint.collector == "core"}
        asked = {name for name, count in home.gateway.counts.requests.items() if count and name in ALL}
        assert asked == expected


def test_a_younger_answer_is_given_again() -> None:
    with scene() as home:
        module = configs.module(min_interval=30.0)
        home.probe(module)
        asked = home.requests
        home.clock.turn(29.0)
        again = home.probe(module)
        assert home.requests == asked
        assert value(again, "powerwall_endpoint_age_seconds", endpoint="meters/aggregates") == 29.0
        home.clock.turn(1.0)
        home.probe(module)
        assert home.requests > asked


def networks_shown(home: Scene, names: bool) -> set[str]:
    result = home.probe(configs.module(network_names=names))
    assert value(result, "powerwall_series_dropped") == 0.0
    return {
        sample.labels["name"]
        for metric in result.metrics
        if metric.name == "powerwall_network_active"
        for sample in metric.samples
    }


@pytest.mark.parametrize("names", [True, False])
def test_names_of_networks(names: bool) -> None:
    with scene() as home:
        assert ("WifiType" in networks_shown(home, names)) is not names


@pytest.mark.parametrize("names", [True, False])
def test_interfaces_of_1x_have_no_names_to_hide(names: bool) -> None:
    with scene(RecordedSystem.from_folder(PAYLOADS / "legacy-1.x")) as home:
        assert networks_shown(home, names) == {"eth0", "wifi0"}


def test_only_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with scene() as home, caplog.at_level(logging.INFO, "probe_exporter"):
        home.probe()
        home.gateway.faults.add("refuse")
        for _ in range(5):
            home.later(15.0)
        home.gateway.faults.clear()
        for _ in range(5):
            home.later(15.0)
        messages = [record.getMessage() for record in caplog.records if "probe" in record.getMessage()]
        assert len(messages) == 2
        assert messages[0].startswith("probe failed (connect): home: ")
        assert messages[1] == "home: the probe succeeds again"
