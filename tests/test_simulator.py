"""The simulated gateway at the wire: certificate, login, tokens, connections, counts, and a clean end."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from probe_exporter.simulator import (
    Farm,
    LivingSite,
    RecordedSystem,
    SimulatedAnswer,
    SimulatedGateway,
    make_certificate,
)
from probe_exporter.simulator.system import document
from tests.wire_client import Client, Seen, logged_in

SYSTEM = RecordedSystem(
    {
        "status": document({"version": "23.28.2 27626f98"}),
        "meters/aggregates": document({"site": {"instant_power": 417.25}}),
        "system_status/soe": document({"percentage": 61.5}),
    }
)
TEXT_404 = b"404 page not found"


@pytest.fixture
def gateway() -> Iterator[SimulatedGateway]:
    with SimulatedGateway(SYSTEM) as running:
        yield running


class TestCertificate:
    def test_is_like_a_gateways(self) -> None:
        made = make_certificate()
        leaf = x509.load_pem_x509_certificate(made.pem)
        device = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        assert isinstance(device, str)
        assert len(bytes.fromhex(device)) == 16
        fields = "C=US,ST=California,L=Palo Alto,O=Tesla,OU=Tesla Energy Products".split(",")
        assert leaf.subject.rfc4514_string().split(",")[::-1] == [*fields, f"CN={device}"]
        assert leaf.issuer.rfc4514_string().split(",")[::-1] == [*fields, f"CN={device} CA"]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["teg", "powerwall", "powerpack"]
        assert names.get_values_for_type(x509.IPAddress) == []
        key = leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 25 * 365

    def test_is_the_one_that_is_shown(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            assert client.certificate == gateway.certificate.der

    def test_swaps_for_the_next_connection(self, gateway: SimulatedGateway) -> None:
        old = gateway.certificate
        with Client(gateway) as before:
            new = gateway.swap_certificate()
            assert before.ask("status").status == 200
        assert new.sha256 != old.sha256
        with Client(gateway) as after:
            assert after.certificate == new.der


class TestHandshake:
    @pytest.mark.parametrize("name", [None, "teg", "powerwall", "powerpack", "Powerwall"])
    def test_accepts_its_own_names_and_none(self, gateway: SimulatedGateway, name: str | None) -> None:
        with Client(gateway, sni=name) as client:
            assert client.ask("status").status == 200

    @pytest.mark.parametrize("name", ["gateway.example.org", "powerwall.local"])
    def test_hangs_up_on_a_foreign_name(self, gateway: SimulatedGateway, name: str) -> None:
        with pytest.raises(ConnectionAbortedError):
            Client(gateway, sni=name)
        assert gateway.counts.handshakes == 0

    def test_answers_plain_http_with_a_hint(self, gateway: SimulatedGateway) -> None:
        with socket.create_connection((gateway.host, gateway.port), 5) as sock:
            sock.sendall(b"GET /api/status HTTP/1.1\r\n\r\n")
            assert b"HTTPS server" in sock.recv(4096)


class TestLogin:
    def test_gives_a_token_and_two_cookies(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            seen = client.login()
        answer = seen.json()
        cookies = [line for line in seen.raw.decode().split("\r\n") if line.startswith("set-cookie: ")]
        assert seen.status == 200
        assert answer["email"] == "me@example.com"
        assert answer["roles"] == ["Home_Owner"]
        assert len(answer["token"]) == 88
        assert cookies[0] == f"set-cookie: AuthCookie={answer['token']}; Path=/"
        assert cookies[1].startswith("set-cookie: UserRecord=")
        assert gateway.counts.logins == 1

    def test_takes_a_form_too(self, gateway: SimulatedGateway) -> None:
        body = f"username=customer&password={gateway.password}".encode()
        with Client(gateway) as client:
            assert client.ask("login/Basic", "POST", body).status == 200

    def test_refuses_a_wrong_password(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            seen = client.login("wrong")
        assert seen.status == 401
        assert seen.json() == {"code": 401, "error": "bad credentials", "message": "Login Error"}
        assert (gateway.counts.logins, gateway.counts.refused_logins) == (0, 1)

    @pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"\xff\xfe"])
    def test_refuses_what_is_no_login(self, gateway: SimulatedGateway, body: bytes) -> None:
        with Client(gateway) as client:
            assert client.ask("login/Basic", "POST", body).status == 400

    @pytest.mark.parametrize("fields", [{"username": "installer"}, {"password": None}, {"password": ["x"]}])
    def test_refuses_other_roles_and_odd_types(
        self, gateway: SimulatedGateway, fields: dict[str, object]
    ) -> None:
        body = json.dumps({"username": "customer", "password": gateway.password} | fields).encode()
        with Client(gateway) as client:
            assert client.ask("login/Basic", "POST", body).status == 401

    def test_checks_the_address_where_one_is_set(self) -> None:
        with SimulatedGateway(SYSTEM, email="other@example.com") as gateway, Client(gateway) as client:
            assert gateway.email == "other@example.com"
            assert client.login().status == 401

    def test_refuses_a_default_password(self, gateway: SimulatedGateway) -> None:
        gateway.sessions.default_refused = True
        with Client(gateway) as client:
            seen = client.login()
        assert seen.status == 401
        assert "default password not supported" in seen.json()["message"]

    def test_locks_out_after_too_many(self) -> None:
        with SimulatedGateway(SYSTEM, lock_after=2) as gateway, Client(gateway) as client:
            statuses = [client.login("wrong").status for _ in range(3)] + [client.login().status]
            gateway.sessions.unlock()
            assert [*statuses, client.login().status] == [401, 401, 429, 429, 200]


class TestTokens:
    @pytest.mark.parametrize("header", ["cookie", "authorization"])
    def test_are_taken_either_way(self, gateway: SimulatedGateway, header: str) -> None:
        with Client(gateway) as client:
            token = client.login().json()["token"]
            client.token = ""
            value = f"UserRecord=x; AuthCookie={token}" if header == "cookie" else f"Bearer {token}"
            seen = client.ask("meters/aggregates", headers={header: value})
        assert seen.json() == {"site": {"instant_power": 417.25}}

    @pytest.mark.parametrize("headers", [{}, {"cookie": "AuthCookie=x"}, {"authorization": "Bearer x"}])
    def test_must_be_known(self, gateway: SimulatedGateway, headers: dict[str, str]) -> None:
        with Client(gateway) as client:
            seen = client.ask("meters/aggregates", headers=headers)
        assert seen.status == 403
        assert seen.json()["message"] == "User does not have adequate access rights"

    def test_may_be_missed_with_401(self) -> None:
        with SimulatedGateway(SYSTEM, missing_status=401) as gateway, Client(gateway) as client:
            assert client.ask("meters/aggregates").status == 401

    def test_end_when_revoked(self, gateway: SimulatedGateway) -> None:
        with logged_in(gateway) as client:
            gateway.revoke_tokens()
            assert client.ask("system_status/soe").status == 403
            client.login()
            assert client.ask("system_status/soe").status == 200

    def test_live_side_by_side(self, gateway: SimulatedGateway) -> None:
        with logged_in(gateway) as one, logged_in(gateway) as two:
            assert len(gateway.sessions.tokens) == 2
            assert one.ask("system_status/soe").status == two.ask("system_status/soe").status == 200

    def test_are_not_needed_for_public_endpoints(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            assert client.ask("status").status == 200

    def test_are_not_needed_before_firmware_20(self) -> None:
        system = RecordedSystem(
            {"status": document({"version": "1.50.1"}), "operation": document({"mode": "backup"})}
        )
        with SimulatedGateway(system) as gateway, Client(gateway) as client:
            assert client.ask("operation").json() == {"mode": "backup"}


class TestConnections:
    def test_stay_open(self, gateway: SimulatedGateway) -> None:
        with logged_in(gateway) as client:
            for _ in range(20):
                assert client.ask("meters/aggregates").ending == "answered"
            assert gateway.counts.open_connections == 1
        assert gateway.counts.connections == 1
        assert gateway.counts.requests == {"login/Basic": 1, "meters/aggregates": 20}
        assert gateway.counts.data_requests == 20

    def test_close_when_asked(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            assert client.ask("status", headers={"connection": "close"}).status == 200
            assert client.watch(2.0).ending == "closed"

    def test_answer_pipelined_requests_in_turn(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            client.send(b"GET /api/status HTTP/1.1\r\n\r\nGET /api/operation HTTP/1.1\r\n\r\n")
            first, second = client.watch(2.0), client.watch(2.0)
        assert (first.status, second.status) == (200, 403)

    def test_carry_a_request_in_pieces(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            for byte in b"GET /api/status?fresh=1 HTTP/1.1\r\nhost: x\r\n\r":
                client.send(bytes([byte]))
            client.send(b"\n")
            assert client.watch(2.0).status == 200
        assert gateway.counts.requests == {"status": 1}

    @pytest.mark.parametrize(
        "raw",
        [
            b"nonsense\r\n\r\n",
            b"GET /api/status HTTP/2\r\n\r\n",
            b"GET /api/status HTTP/1.1\r\nno colon\r\n\r\n",
            b"POST /api/login/Basic HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            b"POST /api/login/Basic HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"GET /" + b"x" * 70_000,
        ],
    )
    def test_end_when_it_is_not_http(self, gateway: SimulatedGateway, raw: bytes) -> None:
        with Client(gateway) as client:
            client.send(raw)
            assert client.watch(2.0).ending in ("closed", "reset")
        assert gateway.counts.bad_requests == 1

    def test_are_counted_while_they_overlap(self) -> None:
        def ask(gateway: SimulatedGateway) -> Seen:
            with Client(gateway) as client:
                return client.ask("status")

        with SimulatedGateway(SYSTEM, latency=0.3) as gateway, ThreadPoolExecutor(4) as pool:
            start = time.monotonic()
            seen = list(pool.map(ask, [gateway] * 4))
            assert time.monotonic() - start >= 0.3
            assert all(one.status == 200 for one in seen)
            assert gateway.counts.max_concurrent_requests == 4
            assert gateway.counts.max_open_connections == 4
            assert gateway.counts.concurrent_requests == 0

    def test_drop_on_demand(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            client.ask("status")
            gateway.drop_connections()
            assert gateway.counts.open_connections == 0
            assert client.watch(2.0).ending == "reset"


class TestPaths:
    def test_that_do_not_exist_are_plain_404(self, gateway: SimulatedGateway) -> None:
        with logged_in(gateway) as client:
            seen = client.ask("operation")
        assert (seen.status, seen.body) == (404, TEXT_404)
        assert seen.headers["content-type"] == "text/plain; charset=utf-8"

    def test_carry_a_gateways_headers(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            headers = client.ask("status").headers
        assert headers.pop("date").endswith(" GMT")
        assert headers == {
            "cache-control": "no-cache, no-store",
            "content-type": "application/json",
            "x-content-type-options": "nosniff",
            "content-length": "30",
        }

    def test_that_nobody_should_ask_are_counted(self, gateway: SimulatedGateway) -> None:
        with logged_in(gateway) as client:
            client.ask("sitemaster/stop")
            assert client.ask("operation", "POST").status == 405
            client.ask("operation")
        assert gateway.counts.unexpected == {"GET sitemaster/stop": 1, "POST operation": 1}


class TestAnswers:
    def test_may_have_a_status_without_a_name_and_take_their_time(self) -> None:
        system = RecordedSystem({"status": SimulatedAnswer(599, b"{}", delay=0.2)})
        with SimulatedGateway(system) as gateway, Client(gateway) as client:
            seen = client.ask("status")
        assert seen.raw.startswith(b"HTTP/1.1 599 Unknown\r\n")
        assert seen.seconds >= 0.2

    def test_wait_for_the_whole_body(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            client.send(b"POST /api/login/Basic HTTP/1.1\r\ncontent-length: 2\r\n\r\n{")
            assert client.watch(0.1).ending == "silence"
            client.send(b"}")
            assert client.watch(2.0).status == 401


class TestLife:
    def test_ends_without_a_trace(self) -> None:
        gc.collect()
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with SimulatedGateway(SYSTEM) as gateway:
                clients = [Client(gateway) for _ in range(5)]
                clients[0].ask("status")
                socket.create_connection((gateway.host, gateway.port)).close()
            for client in clients:
                client.sock.close()
        gc.collect()
        assert threading.active_count() <= threads, "those of earlier tests may have ended meanwhile"
        assert len(os.listdir("/proc/self/fd")) == files

    def test_starts_again_at_its_port(self) -> None:
        gateway = SimulatedGateway(SYSTEM)
        with gateway:
            first = gateway.address
        with gateway, Client(gateway) as client:
            assert gateway.address == first
            assert client.ask("status").status == 200

    def test_says_when_its_port_is_taken(self) -> None:
        with SimulatedGateway(SYSTEM) as gateway:
            second = SimulatedGateway(SYSTEM, port=gateway.port)
            with pytest.raises(OSError, match="in use"):
                second.start()

    def test_closing_what_never_ran_is_harmless(self) -> None:
        SimulatedGateway(SYSTEM).close()

    def test_writes_addresses_of_both_kinds(self) -> None:
        gateway = SimulatedGateway(SYSTEM, host="::1", port=4430)
        assert gateway.address == "[::1]:4430"


def free_pair() -> int:
    """The first of two free ports in a row, below those that the system hands out to everybody else."""
    for port in range(20_000 + os.getpid() % 5_000 * 2, 32_000, 2):
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue
    pytest.fail("no two free ports in a row")


class TestFarm:
    def test_runs_many_in_one_thread(self, tmp_path: Path) -> None:
        systems = {f"site-{number}": LivingSite(number) for number in range(7)}
        threads = threading.active_count()
        with Farm(systems) as farm:
            assert threading.active_count() == threads + 1
            farm.write_config(tmp_path / "gateways.yaml", ":9871")
            for name, gateway in farm.gateways.items():
                with logged_in(gateway) as client:
                    assert client.ask("site_info/site_name").json()["site_name"] == systems[name].name
        assert threading.active_count() == threads
        written = yaml.safe_load((tmp_path / "gateways.yaml").read_text("utf-8"))
        assert written["web"] == {"listen_address": ":9871"}
        assert list(written["gateways"]) == list(systems)
        first, third = written["gateways"]["site-0"], written["gateways"]["site-2"]
        assert first["login_password"] == "simulated-0001"
        assert first["tls_fingerprint"] == f"sha256:{farm.gateways['site-0'].certificate.sha256}"
        assert third["tls_fingerprint"] == f"sha256:{farm.gateways['site-2'].certificate.sha256}"
        assert (tmp_path / "gateways.yaml").stat().st_mode & 0o077 == 0

    def test_may_share_a_certificate_and_count_ports(self) -> None:
        port = free_pair()
        certificate = make_certificate()
        with Farm({"one": SYSTEM, "two": SYSTEM}, port=port, certificate=certificate) as farm:
            assert [gateway.port for gateway in farm.gateways.values()] == [port, port + 1]
            assert {gateway.certificate for gateway in farm.gateways.values()} == {certificate}

    def test_does_not_start_by_half(self) -> None:
        threads = threading.active_count()
        with SimulatedGateway(SYSTEM) as taken:
            farm = Farm({"one": SYSTEM}, port=taken.port)
            with pytest.raises(OSError, match="in use"):
                farm.start()
        assert threading.active_count() == threads

    def test_reboots_by_the_clock(self) -> None:
        with Farm({"home": LivingSite()}) as farm:
            gateway = farm.gateways["home"]
            farm.reboot("home", 0.2)
            with pytest.raises(ConnectionRefusedError):
                Client(gateway)
            deadline = time.monotonic() + 5.0
            while len(gateway.faults) and time.monotonic() < deadline:
                time.sleep(0.05)
            with logged_in(gateway) as client:
                assert client.ask("meters/aggregates").status == 200
