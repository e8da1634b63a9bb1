"""Trying and finding gateways from the command line, and certificates as tables."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate
from tests import configs
from tests.program_runs import Ended, run_program

PASSWORD = configs.PASSWORD


@pytest.fixture(scope="module")
def gateways() -> Iterator[dict[str, SimulatedGateway]]:
    """Two gateways on one port of different addresses."""
    with (
        SimulatedGateway(LivingSite(seed=1), host="127.0.0.3", password=PASSWORD) as first,
        SimulatedGateway(LivingSite(seed=2), host="127.0.0.9", port=first.port, password=PASSWORD) as second,
    ):
        yield {"site-10": first, "site-9": second}


class Installation:
    """A configuration of those gateways, and the program run over it."""

    def __init__(self, path: Path, gateways: dict[str, SimulatedGateway]) -> None:
        self.path = path
        self.gateways = {
            name: {"gateway_address": one.address, "login_password": PASSWORD}
            for name, one in gateways.items()
        }

    def run(self, *arguments: str) -> Ended:
        file = self.path / "probe_exporter.yaml"
        state = str(self.path / "state")
        file.write_text(json.dumps({"gateways": self.gateways, "state_directory": state}))
        file.chmod(0o600)
        ended = run_program(f"--config.file={file}", *arguments)
        assert PASSWORD not in ended.stdout + ended.stderr
        return ended


@pytest.fixture
def installation(tmp_path: Path, gateways: dict[str, SimulatedGateway]) -> Installation:
    return Installation(tmp_path, gateways)


def test_the_table_of_probe_tells_of_the_grid_in_plain_words(installation: Installation) -> None:
    island = LivingSite(seed=3)
    island.outage()
    with SimulatedGateway(island, password=PASSWORD) as gateway:
        installation.gateways["site-11"] = {"gateway_address": gateway.address, "login_password": PASSWORD}
        ended = installation.run("probe", "--all", "--format", "table")
    rows = [line.split()[:3] for line in ended.stdout.splitlines()]
    assert rows[1:] == [
        ["site-9", "ok", "connected"],
        ["site-10", "ok", "connected"],
        ["site-11", "ok", "islanded"],
    ]


def test_find_knows_gateways_by_their_certificates(gateways: dict[str, SimulatedGateway]) -> None:
    port = str(gateways["site-9"].port)
    before = {name: one.counts.requests.total() for name, one in gateways.items()}
    with socket.create_server(("127.0.0.5", int(port))):  # it accepts, and never says a word
        ended = run_program("find", "127.0.0.0/28", "--port", port)
    assert ended.code == 0
    rows = [line.split()[0] for line in ended.stdout.splitlines()]
    assert rows == ["ADDRESS", f"127.0.0.3:{port}", f"127.0.0.9:{port}"]
    for one in gateways.values():
        assert one.certificate.sha256 in ended.stdout
    assert ended.stderr == "14 addresses: 2 gateways found\n"
    assert before == {name: one.counts.requests.total() for name, one in gateways.items()}, "nothing is sent"


def test_find_as_json_and_without_a_gateway(gateways: dict[str, SimulatedGateway]) -> None:
    port = str(gateways["site-9"].port)
    found = json.loads(run_program("find", "127.0.0.9/32", "--port", port, "--format", "json").stdout)
    assert [one["address"] for one in found] == [f"127.0.0.9:{port}"]
    nothing = run_program("find", "127.0.0.12/31", "--port", port)
    assert (nothing.code, nothing.stdout) == (1, "")


def test_find_looks_at_a_bare_address_alone(gateways: dict[str, SimulatedGateway]) -> None:
    ended = run_program("find", "127.0.0.9", "--port", str(gateways["site-9"].port))
    assert (ended.code, ended.stderr) == (0, "1 address: 1 gateway found\n")


def test_find_without_a_network_looks_at_the_24_of_its_own_address(
    gateways: dict[str, SimulatedGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe_exporter.cli.find._SOMEWHERE", ("127.0.0.77", 9))
    ended = run_program("find", "--port", str(gateways["site-9"].port))
    assert (ended.code, ended.stderr) == (0, "254 addresses: 2 gateways found\n")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("8.8.8.0/24", "the network is not private"),
        ("10.0.0.0/8", "the network has more than 4,096 addresses"),
        ("home", "the network is not an IPv4 network"),
        ("fe80::/64", "the network is not an IPv4 network"),
    ],
)
def test_find_looks_at_small_private_networks_alone(network: str, message: str) -> None:
    ended = run_program("find", network)
    assert ended.code == 2
    assert message in ended.stderr


def test_check_connects_to_each_gateway(installation: Installation) -> None:
    pinned = installation.gateways["site-9"]
    pinned["tls_fingerprint"] = f"sha256:{make_certificate().sha256}"
    installation.gateways["gone"] = {"gateway_address": "127.0.0.1:1", "login_password": PASSWORD}
    ended = installation.run("check", "--connect")
    assert ended.code == 1
    _, answered = ended.stdout.splitlines()
    assert answered.startswith("site-10: 127.0.0.3")
    assert answered.endswith("answers with a certificate that is not pinned")
    assert "gone: 127.0.0.1:1 cannot be reached: connection refused" in ended.stderr
    assert "site-9: 127.0.0.9" in ended.stderr
    assert "pins sha256:" in ended.stderr
    assert "3 gateways: 1 answered, 2 failed" in ended.stderr


def test_check_tries_the_password_once(
    installation: Installation, gateways: dict[str, SimulatedGateway]
) -> None:
    before = gateways["site-9"].counts.login_attempts
    ended = installation.run("check", "--connect", "--login", "site-9")
    assert ended.code == 0, ended.stderr
    assert "; the password is accepted" in ended.stdout
    assert gateways["site-9"].counts.login_attempts == before + 1


def test_a_password_that_is_refused_rests(
    installation: Installation, gateways: dict[str, SimulatedGateway]
) -> None:
    installation.gateways["site-10"]["login_password"] = "another one"
    before = gateways["site-10"].counts.login_attempts
    for _ in range(2):
        ended = installation.run("check", "--connect", "--login", "site-10")
        assert ended.code == 1
        assert "refused" in ended.stderr
    assert gateways["site-10"].counts.login_attempts == before + 1


@pytest.mark.parametrize("arguments", [["--login"], ["site-9"]])
def test_what_goes_with_connect(installation: Installation, arguments: list[str]) -> None:
    ended = installation.run("check", *arguments)
    assert ended.code == 2
    assert "go with --connect" in ended.stderr


def test_fetchcert_as_a_table_and_as_json(
    installation: Installation, gateways: dict[str, SimulatedGateway]
) -> None:
    installation.gateways["gone"] = {"gateway_address": "127.0.0.1:1", "login_password": PASSWORD}
    table = installation.run("fetchcert", "--all", "--format", "table")
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["TARGET", "site-9", "site-10"]
    assert "BEGIN CERTIFICATE" not in table.stdout
    as_json = installation.run("fetchcert", "--all", "--format", "json")
    shown = {one["target"]: one for one in json.loads(as_json.stdout)}
    assert shown["site-9"]["sha256"] == gateways["site-9"].certificate.sha256
    assert "cannot be reached" in shown["gone"]["error"]
    assert as_json.code == 1


def test_fetchcert_quietly(installation: Installation, tmp_path: Path) -> None:
    installation.gateways["site-9"]["tls_cert_file"] = "site-9.pem"
    ended = installation.run("fetchcert", "--quiet", "--all")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "site-9.pem").exists()
    installation.gateways["gone"] = {"gateway_address": "127.0.0.1:1", "login_password": PASSWORD}
    ended = installation.run("fetchcert", "--quiet", "--all")
    assert (ended.code, ended.stdout) == (1, "")
    assert "gone: 127.0.0.1:1 cannot be reached" in ended.stderr
