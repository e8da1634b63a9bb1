"""TLS 1.3 lets either side change its keys at any time: a gateway that does nothing else holds no thread."""

from __future__ import annotations

import _ssl
import ctypes
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probe_exporter.config.values import Address
from probe_exporter.errors import DeadlineError
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.gateway.once import Once
from probe_exporter.simulator import make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs

LIBRARY = ctypes.CDLL(_ssl.__file__)
NOT_REQUESTED, REQUESTED = 0, 1
SSL_OF_OBJECT = 24
"""Where CPython's object of an SSLObject keeps OpenSSL's own: `ssl` has no function for a KeyUpdate."""


def flood(server: socket.socket, context: ssl.SSLContext, kind: int) -> None:
    """Greet one client, and then send it KeyUpdates until it hangs up."""
    connection, _ = server.accept()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with connection:
        try:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(1 << 14))
            pointer = ctypes.c_void_p.from_address(id(tls._sslobj) + SSL_OF_OBJECT)  # type: ignore[attr-defined]
            while True:
                for _ in range(2000):
                    LIBRARY.SSL_key_update(pointer, kind)
                    LIBRARY.SSL_do_handshake(pointer)
                connection.sendall(outgoing.read())
        except OSError:
            return


@contextmanager
def flooding(folder: Path, kind: int) -> Iterator[Address]:
    certificate = make_certificate()
    (folder / "both.pem").write_bytes(certificate.key_pem + certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=flood, args=(server, context, kind), daemon=True)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1], f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(10.0)


@pytest.mark.parametrize("kind", [NOT_REQUESTED, REQUESTED], ids=["no reply wanted", "replies wanted"])
def test_a_flood_of_key_updates_holds_no_thread(kind: int, tmp_path: Path) -> None:
    with flooding(tmp_path, kind) as address:
        config = configs.gateway(address.text, login_password=None)
        gateway = Gateway(config, Telemetry())
        started = time.monotonic()
        once = Once([BY_NAME["status"]], configs.module(request_timeout=0.5), started + 5.0)
        gateway.fetch(once)
        gateway.close()
        assert isinstance(once.fetched["status"].error, DeadlineError)
        assert time.monotonic() - started < 4.0
