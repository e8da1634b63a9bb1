"""record and replay of a gateway with TEDAPI: nothing of whose it is stays, and the metrics come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from probe_exporter.cli import cli
from probe_exporter.readings.scrubbing import Scrubber
from probe_exporter.simulator import LivingSite, SimulatedGateway
from tests.tedapi_parts import needs_extra

pytestmark = needs_extra

PRIVATE = {
    "tedapi/config": {
        "vin": "1707000-21-K--TG123050001A2B",
        "installer": {
            "email": "installer@example.com",
            "customer_id": "0c0ffee0-aaaa",
            "company": "Sun & Sons",
        },
        "site_info": {"site_name": "Smith", "timezone": "Europe/Berlin", "state": "Bavaria"},
    },
    "tedapi/controller": {
        "system": {"supportMode": {"remoteService": {"sessionId": "5e551011-bbbb"}}},
        "neurio": {"pairings": [{"macAddress": "02:00:5e:00:53:17", "serial": "OBB123456"}]},
        "ieee20305": {"registration": {"pin": 271828}, "longFormDeviceID": "ABCDEF0123"},
    },
    "tedapi/components": {
        "components": {
            "pch": [{"signals": [{"name": "PCH_packageSerialNumber_1_7", "textValue": "41303030303030"}]}],
            "hvp": [{"serialNumber": "TG123049007C11", "partNumber": "1800420-11-F"}],
        }
    },
}


def test_nothing_private_stays() -> None:
    scrubber = Scrubber()
    text = json.dumps({name: scrubber.scrub(name, document) for name, document in PRIVATE.items()})
    for word in (
        "example.com",
        "0c0ffee0",
        "Sons",
        "Smith",
        "Berlin",
        "Bavaria",
        "5e551011",
        "02:00",
        "OBB",
        "271828",
        "ABCDEF",
        "41303030",
        "TG12",
    ):
        assert word not in text, word
    for word in ("1707000-21-K--", "1800420-11-F", "PCH_packageSerialNumber_1_7"):
        assert word in text, word


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi

    site = LivingSite(seed=3, batteries=4, profile="pw3")
    with SimulatedGateway(site) as gateway:
        gateway.tedapi = Tedapi(LivingSource(site))
        entry = {
            "gateway_address": gateway.address,
            "login_password": gateway.password,
            "tls_fingerprint": f"sha256:{gateway.certificate.sha256}",
            "tedapi": {"gateway_password": gateway.tedapi.password},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"gateways": {"home": entry}}), "utf-8")
        path.chmod(0o600)
        yield path


def test_record_and_replay(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    done = CliRunner().invoke(cli, [f"--config.file={config}", "record", "home", str(file)])
    assert done.exit_code == 0, done.output
    record = json.loads(file.read_text("utf-8"))
    assert {name for name in record["endpoints"] if name.startswith("tedapi/")} >= {
        "tedapi/config",
        "tedapi/system",
        "tedapi/controller",
        "tedapi/components",
    }
    text = file.read_text("utf-8")
    assert "TG12" not in text
    assert "SIMULATEDPASSWORD" not in text
    shown = CliRunner().invoke(cli, ["replay", str(file)]).output
    for line in (
        "powerwall_batteries_configured 4.0",
        'powerwall_info{git_hash="9c0f2b71d3a84e5f60718293a4b5c6d7e8f90123",version="26.18.3 9c0f2b71"} 1.0',
        "powerwall_reserve_ratio 0.24",
        "powerwall_contactor_closed 1.0",
        "powerwall_contactor_grid_volts{",
        "powerwall_battery_remaining_joules{",
        "powerwall_pv_string_volts{",
        "powerwall_battery_temperature_celsius{",
        "powerwall_dev_phase_power_watts{",
    ):
        assert line in shown, line
    assert shown.count("powerwall_battery_pack_info{") == 4


def test_a_record_is_served_again(config: Path, tmp_path: Path) -> None:
    from probe_exporter.simulator import RecordedSystem
    from probe_exporter.simulator.tedapi import Tedapi, recorded_source

    file = tmp_path / "record.json"
    CliRunner().invoke(cli, [f"--config.file={config}", "record", "home", str(file)])
    system = RecordedSystem.from_record(json.loads(file.read_text("utf-8")))
    source = recorded_source(system.answers)
    assert source is not None
    with SimulatedGateway(system) as gateway:
        gateway.tedapi = Tedapi(source)
        entry = {
            "gateway_address": gateway.address,
            "login_password": gateway.password,
            "tls_fingerprint": f"sha256:{gateway.certificate.sha256}",
            "tedapi": {"gateway_password": gateway.tedapi.password},
        }
        path = tmp_path / "again.yaml"
        path.write_text(yaml.safe_dump({"gateways": {"home": entry}}), "utf-8")
        path.chmod(0o600)
        shown = CliRunner().invoke(cli, [f"--config.file={path}", "probe", "home"]).output
    assert shown.count("powerwall_battery_pack_info{") == 4
    assert 'powerwall_interface_up{interface="tedapi"} 1.0' in shown
