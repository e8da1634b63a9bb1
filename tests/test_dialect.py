"""A second dialect: POST, bytes in and out, a signature made at the moment of sending. The loop knows none of it."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from probe_exporter.errors import BusyError, DecodeError
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import Fetched
from probe_exporter.gateway.once import Once
from probe_exporter.gateway.wire import HttpAnswer, request
from probe_exporter.simulator import make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs

KEY = b"a key that never leaves"


def sign(*parts: bytes) -> str:
    return hmac.new(KEY, b"\n".join(parts), hashlib.sha256).hexdigest()


class Telegraph:
    """A made-up interface: the question is a body, signed with the moment of its sending; answers are binary."""

    def __init__(self) -> None:
        self.signed: list[float] = []

    def request(self, name: str, host: str, session: bytes) -> bytes:
        now = time.monotonic()
        self.signed.append(now)
        moment = f"{now:.6f}".encode()
        headers = f"X-Moment: {moment.decode()}\r\nX-Signature: {sign(name.encode(), moment)}\r\n".encode()
        return request("POST", "/telegraph", host, headers, name.encode())

    def document(self, name: str, answer: HttpAnswer) -> object:
        if answer.status != 200:
            raise BusyError(f"the telegraph is busy ({answer.status})")
        length, body = answer.body[:1], answer.body[1:]
        if length != bytes([len(body)]):
            raise DecodeError("the telegram is cut short")
        return body.decode()


class Operator(http.server.BaseHTTPRequestHandler):
    """Answers what is signed, two seconds at most after its signature."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        name = self.rfile.read(int(self.headers["content-length"]))
        moment = self.headers["x-moment"].encode()
        good = hmac.compare_digest(self.headers["x-signature"], sign(name, moment))
        good = good and time.monotonic() - float(moment) < 2.0
        said = name[::-1]
        body = bytes([len(said) + (name == b"cut")]) + said
        self.send_response(200 if good and name != b"busy" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def operator() -> Iterator[str]:
    context = make_certificate().context
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Operator) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def fetched() -> tuple[Telegraph, dict[str, Fetched]]:
    dialect = Telegraph()
    endpoints = [Endpoint(name, "fast", "core", dialect) for name in ("stop", "cut", "busy", "deliver")]
    with operator() as address:
        gateway = Gateway(configs.gateway(address, login_password=None), Telemetry())
        once = Once(endpoints, configs.MODULE, time.monotonic() + 5.0)
        gateway.fetch(once)
        gateway.close()
    assert once.error is None
    return dialect, once.fetched


def test_answers_are_read_by_their_dialect(fetched: tuple[Telegraph, dict[str, Fetched]]) -> None:
    _, found = fetched
    assert {name: one.document for name, one in found.items()} == {
        "stop": "pots",
        "deliver": "reviled",
        "cut": None,
        "busy": None,
    }
    assert isinstance(found["cut"].error, DecodeError)
    assert isinstance(found["busy"].error, BusyError)


def test_requests_are_made_at_the_moment_of_sending(fetched: tuple[Telegraph, dict[str, Fetched]]) -> None:
    dialect, found = fetched
    assert len(dialect.signed) == len(found)
    assert len(set(dialect.signed)) == len(found), "each for itself, when a connection was ready"
