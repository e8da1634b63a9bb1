"""Other people's clients read our simulated Powerwall 3: third parties as judges of its messages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probe_exporter.simulator import LivingSite, SimulatedGateway
from tests.tedapi_parts import key, key_file, needs_extra

pytestmark = [pytest.mark.slow, needs_extra]

PASSWORD = "SIMULATEDPASSWORD"

PYPOWERWALL = """
import json, sys
from pypowerwall.tedapi import TEDAPI
host, password, key = sys.argv[1:4]
more = dict(v1r=True, password=password[-5:], rsa_key_path=key) if key else {}
client = TEDAPI(password, host=host, timeout=10, **more)
print(json.dumps({"din": client.get_din(), "config": client.get_config(), "status": client.get_status(),
                  "firmware": client.get_firmware_version(), "vitals": client.get_pw3_vitals(),
                  "battery": client.get_battery_blocks()}, default=str))
"""

AIOPOWERWALL = """
import asyncio, json, sys
from pathlib import Path
import aiopowerwall.client as client_module
names = [name for name in dir(client_module) if name.startswith("Powerwall") and name.endswith("Client")]
Client = getattr(client_module, names[0])
host, password, key = sys.argv[1:4]
async def main():
    client = Client(host=host, gateway_password=password, rsa_private_key_pem=Path(key).read_bytes(), timeout=10.0)
    try:
        din = await client.connect()
        found = {"din": din, "config": await client.get_config(), "components": await client.get_components(),
                 "controller": await client.get_device_controller()}
        print(json.dumps(found, default=str))
    finally:
        await client.close()
asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[SimulatedGateway]:
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi

    site = LivingSite(seed=3, batteries=4, profile="pw3")
    with SimulatedGateway(site, password=PASSWORD[-5:]) as gateway:
        gateway.tedapi = Tedapi(LivingSource(site), PASSWORD)
        gateway.tedapi.register(key().public_key())
        yield gateway


def said(program: str, home: SimulatedGateway, file: str, folder: Path) -> dict[str, Any]:
    arguments = [home.address, PASSWORD, file]
    # where these are set, requests checks against them whatever a client says
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.skipif(importlib.util.find_spec("pypowerwall") is None, reason="pypowerwall is not installed")
@pytest.mark.parametrize("signed", [False, True], ids=["v1", "v1r"])
def test_pypowerwall(home: SimulatedGateway, tmp_path: Path, signed: bool) -> None:
    found = said(PYPOWERWALL, home, str(key_file(tmp_path)) if signed else "", tmp_path)
    assert home.tedapi is not None
    leader = home.tedapi.source.dins[0]
    assert found["din"] == leader
    assert found["config"]["vin"] == leader
    assert found["firmware"].startswith("26.18.3")
    assert found["status"]["control"]["systemStatus"]["nominalFullPackEnergyWh"] > 40_000
    vitals = json.dumps(found["vitals"])
    assert "PCH_PvVoltageA" in vitals or "PVAC_PVMeasuredVoltage_A" in vitals


@pytest.mark.skipif(importlib.util.find_spec("aiopowerwall") is None, reason="aiopowerwall is not installed")
def test_aiopowerwall(home: SimulatedGateway, tmp_path: Path) -> None:
    found = said(AIOPOWERWALL, home, str(key_file(tmp_path)), tmp_path)
    assert home.tedapi is not None
    assert found["din"] == home.tedapi.source.dins[0]
    assert len(found["config"]["battery_blocks"]) == 2
    serials = [slot["serialNumber"] for slot in found["components"]["components"]["hvp"]]
    assert serials[:3] == [pack.serial for pack in home.system.household.packs[:3]]  # type: ignore[attr-defined]
    boards = [board["serialNumber"] for board in found["controller"]["components"]["msa"]]
    assert set(serials[:3]) <= set(boards)
