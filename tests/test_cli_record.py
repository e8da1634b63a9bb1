"""record and replay: what is kept of a gateway's answers, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from probe_exporter.cli import cli
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.readings.scrubbing import Scrubber
from tests.readings_of import readings_from

CANARY = "me@home"
"""No form that is kept allows it, so it must never stay, wherever it stands."""

TEXTS = st.tuples(st.text(max_size=6), st.text(max_size=6)).map(CANARY.join)
KEYS = (
    st.sampled_from(
        ["state", "name", "value", "mode", "serial", "din", "network_name", "version", "decoded_alert"]
    )
    | TEXTS
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
IDENTITIES = {
    "customer/registration": {"email": "me@example.com"},
    "networks": [
        {"network_name": "Our Wi-Fi", "extra_ips": [{"ip": "192.0.2.7", "netmask": 24}], "hw_address": "a:b"}
    ],
    "site_info": {
        "site_name": "Smith",
        "utility": "Local Power",
        "state": "California",
        "timezone": "Europe/Berlin",
    },
    "status": {"din": "1232100-00-E--TG121000000E01", "git_hash": "14f7c1769ec307bb"},
    "system_status": {
        "battery_blocks": [{"PackageSerialNumber": "TG121000000E01", "PackagePartNumber": "2012170-25-E"}],
        "new_id": 123456789,
    },
    "powerwalls": {
        "powerwalls": [{"PackageSerialNumber": "TG121000000E01", "commissioning_diagnostic": None}]
    },
}


def scrubbed() -> dict[str, Any]:
    scrubber = Scrubber()
    return {endpoint: scrubber.scrub(endpoint, document) for endpoint, document in IDENTITIES.items()}


def test_what_tells_whose_gateway_it_is_goes() -> None:
    text = json.dumps(scrubbed())
    for word in (
        "me@",
        "Our Wi-Fi",
        "192.0.2",
        "a:b",
        "Smith",
        "Local",
        "California",
        "Berlin",
        "TG12",
        "123456789",
    ):
        assert word not in text, word


def test_what_tells_the_hardware_stays() -> None:
    documents = scrubbed()
    assert documents["status"]["git_hash"] == "14f7c1769ec307bb"
    assert documents["status"]["din"].startswith("1232100-00-E--scrubbed-")
    assert documents["system_status"]["battery_blocks"][0]["PackagePartNumber"] == "2012170-25-E"
    assert documents["networks"][0]["extra_ips"][0]["netmask"] == 24


def test_duplicates_survive() -> None:
    documents = scrubbed()
    serial = documents["system_status"]["battery_blocks"][0]["PackageSerialNumber"]
    assert serial == documents["powerwalls"]["powerwalls"][0]["PackageSerialNumber"]
    assert documents["status"]["din"].endswith(f"--{serial}")


def test_replaced_fields_are_named() -> None:
    scrubber = Scrubber()
    scrubber.scrub("system_status", {"new_id": 5, "f_out": 50.0, "mode": "backup"})
    assert scrubber.replaced == {"system_status: new_id"}


@given(st.sampled_from(sorted(BY_NAME)), DOCUMENTS)
def test_an_unknown_text_never_stays(endpoint: str, document: object) -> None:
    assert CANARY not in json.dumps(Scrubber().scrub(endpoint, document))


def test_a_fault_keeps_its_details() -> None:
    details = json.dumps([{"name": "PINV_alertID", "value": "PINV_a006"}, {"name": "Hz", "value": 51.25}])
    fault = {
        "timestamp": 1,
        "decoded_alert": details,
        "ecu_package_serial_number": "CN1",
        "alert_name": "PINV_a006_x",
    }
    result = Scrubber().scrub("system_status/grid_faults", [fault])[0]
    assert json.loads(result["decoded_alert"]) == json.loads(details)
    assert result["ecu_package_serial_number"] == "scrubbed-1"
    assert result["alert_name"] == "PINV_a006_x"


def test_names_of_checks_stay_and_a_refused_check_is_known_as_one() -> None:
    refusal = 'Cannot perform this action with site controller running. From "Smith", proceed.'
    checks = [{"name": "Firmware up-to-date", "message": refusal}, {"name": "CAN bus", "message": "By Smith"}]
    document = {"powerwalls": [{"commissioning_diagnostic": {"checks": checks}}]}
    result = Scrubber().scrub("powerwalls", document)
    first, second = result["powerwalls"][0]["commissioning_diagnostic"]["checks"]
    assert (first["name"], second["name"]) == ("Firmware up-to-date", "CAN bus")
    assert "Smith" not in json.dumps(result)
    readings = readings_from(powerwalls=result)
    assert readings.powerwalls is not None
    assert readings.powerwalls.refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("{}", "this is not a record"),
        ('{"format": "powerwall-record/1", "endpoints": []}', "this is not a record"),
    ],
)
def test_replay_refuses_what_is_no_record(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(content)
    result = CliRunner().invoke(cli, ["replay", str(file)])
    assert result.exit_code == 2
    assert message in result.output
