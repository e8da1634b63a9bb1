"""Every kind of fault does at the wire what its row in the table says, and nothing beyond its pattern and count."""

from __future__ import annotations

import gzip
import json
import math
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probe_exporter.simulator import KINDS, Fault, LivingSite, Reboot, SimulatedGateway
from probe_exporter.simulator.wire_faults import HUGE
from tests.wire_client import Client, Seen, logged_in

Check = Callable[[Seen], bool]
SYSTEM = LivingSite(5, batteries=2, profile="pwplus")
DEPTH = 200_000


@pytest.fixture
def gateway() -> Iterator[SimulatedGateway]:
    with SimulatedGateway(SYSTEM) as running:
        yield running


def says(status: int, body: bytes | None = None, **headers: str) -> Check:
    """A whole answer with this status, body and headers, on a connection that stays."""

    def check(seen: Seen) -> bool:
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        return (
            seen.ending == "answered"
            and seen.status == status
            and body in (None, seen.body)
            and wanted.items() <= seen.headers.items()
        )

    return check


def ends(ending: str, part: str) -> Check:
    """Nothing, the head or half of an answer, then this ending."""
    sizes: dict[str, Callable[[Seen], bool]] = {
        "nothing": lambda seen: seen.raw == b"",
        "half": lambda seen: seen.raw.startswith(b"HTTP/1.1 200") and len(seen.body) > 0 and not seen.whole,
    }
    return lambda seen: seen.ending == ending and sizes[part](seen)


def holds(predicate: Callable[[Any], bool]) -> Check:
    """A whole 200 whose body, as Python's JSON reads it, fulfils a predicate."""
    return lambda seen: seen.ending == "answered" and seen.status == 200 and predicate(seen.json())


def raw(predicate: Callable[[bytes], bool]) -> Check:
    """A whole 200 whose body's bytes fulfil a predicate."""
    return lambda seen: seen.ending == "answered" and seen.status == 200 and predicate(seen.body)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def is_bomb(body: bytes) -> bool:
    start = zlib.decompressobj(wbits=31).decompress(body, 1 << 20)
    return len(body) < 1 << 20 and int.from_bytes(body[-4:], "little") == HUGE and start == b" " * (1 << 20)


def power_is(wanted: Callable[[Any], bool]) -> Check:
    return holds(lambda value: wanted(value["site"]["instant_power"]))


def is_truncated(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return body.startswith(b"{")
    return False


def is_not_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


WIRE: dict[str, tuple[dict[str, Any], str, Check]] = {
    "hang": ({}, "operation", ends("silence", "nothing")),
    "hang in the body": ({"phase": "body"}, "operation", ends("silence", "half")),
    "reset": ({}, "operation", ends("reset", "nothing")),
    "reset in the body": ({"phase": "body"}, "operation", ends("reset", "half")),
    "close_early": ({}, "operation", ends("cut", "nothing")),
    "close_early in the body": ({"phase": "body"}, "operation", ends("cut", "half")),
    "drip": (
        {"seconds": 0.1},
        "operation",
        lambda seen: seen.ending == "silence" and 1 <= len(seen.body) <= 5,
    ),
    "drip in the headers": (
        {"phase": "headers", "seconds": 0.1},
        "operation",
        lambda seen: seen.ending == "silence" and 1 <= len(seen.raw) <= 5,
    ),
    "drip_headers": (
        {"seconds": 0.1},
        "operation",
        lambda seen: seen.ending == "silence" and 1 <= len(seen.raw) <= 5,
    ),
    "endless_headers": (
        {},
        "operation",
        lambda seen: len(seen.raw) >= 1 << 18 and b"\r\n\r\n" not in seen.raw,
    ),
    "not_http": ({}, "operation", lambda seen: seen.ending == "closed" and seen.raw.startswith(b"SSH-2.0")),
    "length_too_long": (
        {},
        "operation",
        lambda seen: seen.ending == "closed" and int(seen.headers["content-length"]) == len(seen.body) + 64,
    ),
    "length_too_short": (
        {},
        "operation",
        lambda seen: (
            seen.ending == "answered"
            and int(seen.headers["content-length"]) * 2 in (len(seen.body), len(seen.body) - 1)
        ),
    ),
    "huge_body": (
        {},
        "operation",
        lambda seen: (
            seen.headers["content-length"] == str(HUGE)
            and seen.body.strip() == b"["
            and len(seen.raw) >= 1 << 18
        ),
    ),
    "gzip_bomb": (
        {},
        "operation",
        lambda seen: says(200, content_encoding="gzip")(seen) and is_bomb(seen.body),
    ),
}

ANSWERS: dict[str, tuple[dict[str, Any], str, Check]] = {
    "html_200": (
        {},
        "operation",
        lambda seen: says(200, content_type="text/html; charset=utf-8")(seen) and b"<html>" in seen.body,
    ),
    "html_as_json": (
        {},
        "operation",
        lambda seen: says(200, content_type="application/json")(seen) and b"<html>" in seen.body,
    ),
    "empty_200": ({}, "operation", says(200, b"")),
    "404_json": ({}, "operation", lambda seen: says(404)(seen) and seen.json()["code"] == 404),
    "404_text": ({}, "operation", says(404, b"404 page not found", content_type="text/plain; charset=utf-8")),
    "401_once": ({}, "operation", says(401)),
    "401_forever": ({}, "operation", says(401)),
    "403_once": ({}, "operation", says(403)),
    "403_forever": ({}, "operation", says(403)),
    "429": ({}, "operation", lambda seen: says(429)(seen) and "retry-after" not in seen.headers),
    "429_retry_after": ({"retry_after": "417"}, "operation", says(429, retry_after="417")),
    "500": ({}, "operation", says(500)),
    "502_empty": ({}, "operation", lambda seen: says(502, b"")(seen) and "content-type" not in seen.headers),
    "503_busy": (
        {},
        "operation",
        lambda seen: says(503)(seen) and "config mode is busy" in seen.json()["error"],
    ),
    "503_retry_after": ({"retry_after": "63"}, "operation", says(503, retry_after="63")),
    **{
        f"redirect_{status}": (
            {"location": "http://gateway.invalid/"},
            "operation",
            says(status, location="http://gateway.invalid/"),
        )
        for status in (301, 302, 303, 307, 308)
    },
    "token_dies": ({}, "operation", says(403)),
    "certificate_swap": ({"phase": "headers"}, "operation", says(200)),
}

BODIES: dict[str, tuple[dict[str, Any], str, Check]] = {
    "truncated_json": ({}, "meters/aggregates", raw(is_truncated)),
    "deep_nesting": ({}, "operation", raw(lambda body: body == b"[" * DEPTH + b"]" * DEPTH)),
    "wrong_types": ({}, "operation", holds(lambda value: value["real_mode"] == 16)),
    "wrong_document": ({}, "operation", holds(lambda value: isinstance(value, list))),
    "wrong_document of a list": ({}, "networks", holds(lambda value: isinstance(value, dict))),
    "nulls": ({}, "meters/aggregates", holds(lambda value: set(leaves(value)) == {None} and "site" in value)),
    "null_document": ({}, "meters/aggregates", raw(lambda body: body == b"null")),
    "nan": ({}, "meters/aggregates", power_is(math.isnan)),
    "infinity": ({}, "meters/aggregates", power_is(lambda value: value == -math.inf)),
    "huge_number": ({}, "meters/aggregates", power_is(lambda value: value == math.inf)),
    "long_integer": ({}, "system_status/soe", raw(lambda body: body == b'{"percentage":' + b"7" * 5000 + b"}")),
    "invalid_utf8": ({}, "operation", raw(is_not_utf8)),
    "invalid_utf8 without a text": ({}, "system_status/soe", raw(is_not_utf8)),
    "lone_surrogates": ({}, "operation", holds(lambda value: value["real_mode"] == "\ud800x\udfff")),
    "control_characters": ({}, "operation", holds(lambda value: value["real_mode"] == '\0\n\x1b[31m\x7f\u202e"\\')),
    "long_strings": ({}, "site_info/site_name", holds(lambda value: len(value["site_name"]) == 200_000)),
    "many_batteries": ({"count": 7_000}, "system_status", holds(lambda value: len(value["battery_blocks"]) == 7_000)),
    "many_batteries by default": ({}, "system_status", lambda seen: len(seen.raw) > 1 << 20),
    "many_entries": (
        {"count": 3_000},
        "networks",
        holds(lambda value: len({network["network_name"] for network in value}) == 3_000),
    ),
    "many_entries of an object": ({"count": 3_000}, "meters/aggregates", holds(lambda value: len(value) == 3_004)),
    "many_entries of a part": (
        {"count": 300},
        "system_status",
        holds(lambda value: len({one["PackageSerialNumber"] for one in value["battery_blocks"]}) == 300),
    ),
    "many_entries of nothing": ({}, "operation", holds(lambda value: len(value) == 4)),
    "duplicate_serials": (
        {},
        "system_status",
        holds(lambda value: [one["PackageSerialNumber"] for one in value["battery_blocks"]] == ["TWIN", "TWIN"]),
    ),
    "duplicate_serials of one meter": (
        {},
        "meters/site",
        holds(lambda value: [one["connection"]["device_serial"] for one in value] == ["TWIN", "TWIN"]),
    ),
    "duplicate_networks": ({}, "networks", holds(lambda value: [one["network_name"] for one in value] == ["TWIN"] * 3)),
    "zero_counters": (
        {},
        "meters/aggregates",
        holds(lambda value: {one["energy_exported"] + one["energy_imported"] for one in value.values()} == {0}),
    ),
    "zero_counters after a start": ({}, "status", holds(lambda value: value["up_time_seconds"] == "1m17.25s")),
}  # fmt: skip

ENDLESS = {"endless_headers", "huge_body"}
CONNECTIONS = {"refuse", "black_hole"}
"""Kinds that have tests of their own below."""


@pytest.mark.parametrize("row", [*WIRE, *ANSWERS, *BODIES])
def test_a_fault_does_what_its_row_says(gateway: SimulatedGateway, row: str) -> None:
    options, endpoint, check = (WIRE | ANSWERS | BODIES)[row]
    fault = gateway.faults.add(row.partition(" ")[0], endpoint=endpoint, **options)
    wait = 0.35 if row.startswith(("hang", "drip")) else 5.0
    with logged_in(gateway) as client:
        seen = client.ask(endpoint, wait=wait, limit=1 << 18 if row in ENDLESS else 1 << 22)
    assert check(seen), (seen.ending, seen.raw[:400], len(seen.raw))
    assert gateway.faults.strikes(fault) == 1


def test_every_kind_has_a_row() -> None:
    assert {row.partition(" ")[0] for row in [*WIRE, *ANSWERS, *BODIES]} | CONNECTIONS == set(KINDS)
    assert all(kind.summary for kind in KINDS.values())


@pytest.mark.parametrize("kind", sorted(set(KINDS) - CONNECTIONS))
def test_a_fault_leaves_other_endpoints_alone(gateway: SimulatedGateway, kind: str) -> None:
    gateway.faults.add(kind, endpoint="meters/*", phase="headers" if kind == "certificate_swap" else None)
    with logged_in(gateway) as client:
        assert client.ask("system_status/soe").json()["percentage"] > 0
    assert (gateway.counts.logins, gateway.counts.refused_logins) == (1, 0)


class TestLoginFaults:
    @pytest.mark.parametrize(
        "kind", [kind for kind, row in KINDS.items() if "login" in row.phases and kind != "drip"]
    )
    def test_strike_logins_alone(self, gateway: SimulatedGateway, kind: str) -> None:
        good = gateway.sessions
        with logged_in(gateway) as client:
            fault = gateway.faults.add(kind, phase="login", seconds=0.1)
            assert client.ask("operation").status == 200
            client.login(wait=0.3)
        assert gateway.sessions is good
        assert gateway.counts.login_attempts == 2
        assert gateway.faults.strikes(fault) == 1

    @pytest.mark.parametrize(("kind", "logins"), [("401_forever", 0), ("hang", 0), ("certificate_swap", 1)])
    def test_count_as_what_the_client_saw(self, gateway: SimulatedGateway, kind: str, logins: int) -> None:
        gateway.faults.add(kind, phase="login")
        with Client(gateway) as client:
            client.login(wait=0.2)
        assert (gateway.counts.logins, gateway.counts.refused_logins) == (logins, 1 - logins)

    def test_may_name_the_login_and_a_part_of_the_answer(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("hang", endpoint="login/Basic", phase="body")
        with Client(gateway) as client:
            assert ends("silence", "half")(client.login(wait=0.3))

    def test_swap_the_certificate_between_login_and_request(self, gateway: SimulatedGateway) -> None:
        before = gateway.certificate
        gateway.faults.add("certificate_swap")
        with Client(gateway) as client:
            assert client.login().status == 200
            assert client.watch(2.0).ending == "closed"
        assert gateway.certificate != before
        with Client(gateway) as client:
            assert client.certificate == gateway.certificate.der
            assert client.login().ending == "answered"


class TestConnectionFaults:
    @pytest.mark.parametrize(
        ("kind", "ending"),
        [("reset", ConnectionResetError), ("close_early", ConnectionAbortedError), ("hang", TimeoutError)],
    )
    @pytest.mark.parametrize("phase", ["connect", "tls"])
    def test_end_a_handshake(
        self, gateway: SimulatedGateway, kind: str, ending: type[OSError], phase: Any
    ) -> None:
        gateway.faults.add(kind, phase=phase, times=1)
        try:
            with pytest.raises((ending, ConnectionResetError)) as caught:
                Client(gateway, timeout=0.3)
        finally:
            gateway.drop_connections()
        assert caught.type is ending or phase == "connect"
        assert gateway.counts.handshakes == 0
        with Client(gateway) as client:
            assert client.ask("status").status == 200

    def test_drip_a_handshake(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("drip", phase="tls", seconds=0.05, times=1)
        with pytest.raises(TimeoutError):
            Client(gateway, timeout=0.3)
        assert gateway.counts.handshakes == 0

    def test_drip_slowly_but_surely(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("drip", phase="tls", seconds=0.0, times=1)
        with Client(gateway, timeout=5.0) as client:
            assert client.ask("status").status == 200

    def test_refuse_and_drop(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            fault = gateway.faults.add("refuse")
            assert client.watch(2.0).ending == "reset"
            with pytest.raises(ConnectionRefusedError):
                Client(gateway)
            gateway.faults.remove(fault)
        with Client(gateway) as client:
            assert client.ask("status").status == 200

    def test_swallow(self, gateway: SimulatedGateway) -> None:
        with Client(gateway) as client:
            gateway.faults.add("black_hole")
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                socket.create_connection((gateway.host, gateway.port), 0.4)
            assert time.monotonic() - start >= 0.4
            assert client.ask("status", wait=0.2).ending == "silence"
            gateway.faults.clear()
            assert client.watch(2.0).status == 200  # what was lost on the way is sent again
        with Client(gateway) as client:
            assert client.ask("status").status == 200

    def test_may_be_there_from_the_start(self) -> None:
        gateway = SimulatedGateway(SYSTEM)
        gateway.faults.add("refuse")
        with gateway, pytest.raises(ConnectionRefusedError):
            Client(gateway)


class TestSessions:
    def test_faults_wait_for_a_login(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("401_once")
        with Client(gateway) as client:
            assert client.ask("operation").status == 403
            client.login()
            assert [client.ask("operation").status for _ in range(3)] == [401, 200, 200]

    def test_tokens_die_in_the_middle(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("token_dies", after=2)
        with logged_in(gateway) as client:
            statuses = [client.ask("operation").status for _ in range(4)]
            client.login()
            assert [*statuses, client.ask("operation").status] == [200, 200, 403, 403, 200]


class TestCollection:
    def test_counts_times_and_what_it_lets_pass(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add(Fault("500", after=1, times=2))
        with logged_in(gateway) as client:
            assert [client.ask("operation").status for _ in range(5)] == [200, 500, 500, 200, 200]

    def test_lets_the_first_match_win(self, gateway: SimulatedGateway) -> None:
        gateway.faults.add("500", endpoint="meters/*")
        gateway.faults.add("404_text")
        with logged_in(gateway) as client:
            assert client.ask("meters/site").status == 500
            assert client.ask("operation").status == 404
        assert [fault.kind for fault in gateway.faults] == ["500", "404_text"]

    def test_removes_one_and_all(self, gateway: SimulatedGateway) -> None:
        fault = gateway.faults.add("500")
        gateway.faults.add("429")
        gateway.faults.remove(fault)
        with pytest.raises(ValueError, match="500 is not in force"):
            gateway.faults.remove(fault)
        assert len(gateway.faults) == 1
        gateway.faults.clear()
        assert len(gateway.faults) == 0

    def test_refuses_what_cannot_be(self, gateway: SimulatedGateway) -> None:
        with pytest.raises(ValueError, match="no such fault: fire; there are refuse, black_hole"):
            gateway.faults.add("fire")
        with pytest.raises(ValueError, match="500 cannot strike in the phase tls; it can in headers, login"):
            gateway.faults.add("500", phase="tls")


def test_a_reboot_goes_through_its_stages(gateway: SimulatedGateway) -> None:
    with logged_in(gateway) as client:
        reboot = Reboot(gateway)
        assert reboot.stage == "refused"
        assert client.watch(2.0).ending == "reset"
        with pytest.raises(ConnectionRefusedError):
            Client(gateway)
        token = client.token
    assert reboot.advance() == "busy"
    with Client(gateway) as client:
        client.token = token
        assert client.ask("operation").status == 503
        assert reboot.advance() == "zero_counters"
        assert client.ask("meters/aggregates").json()["solar"]["energy_exported"] == 0
        assert reboot.advance() == "forbidden"
        assert client.ask("meters/aggregates").status == 403
        client.login()
        assert client.ask("meters/aggregates").json()["solar"]["energy_exported"] > 0
        assert client.ask("status").json()["up_time_seconds"].startswith("0m")
    assert reboot.advance() == "done"
    assert reboot.advance() == "done"


def test_a_bomb_unpacks(gateway: SimulatedGateway) -> None:
    from probe_exporter.simulator.wire_faults import bomb

    assert gzip.decompress(bomb(3 << 20)) == b" " * (3 << 20)
