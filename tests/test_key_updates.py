"""TLS 1.3 lets either side change its keys at any time: a gateway that does nothing else is cut off."""

from __future__ import annotations

import _ssl
import ctypes
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from probe_exporter.config.values import Address
from probe_exporter.errors import ConnectError
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.gateway.once import Once
from probe_exporter.simulator import make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs

LIBRARY = ctypes.CDLL(_ssl.__file__)
NOT_REQUESTED, REQUESTED = 0, 1
ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
SSL_OF_OBJECT = 24
"""Where CPython's object of an SSLObject keeps OpenSSL's own: `ssl` has no function for a KeyUpdate."""


def greet(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ctypes.c_void_p]:
    """Agree on keys with a client. OpenSSL's own object comes last: `ssl` has no function for what follows."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(1 << 14))
    connection.sendall(outgoing.read())
    pointer = ctypes.c_void_p.from_address(id(tls._sslobj) + SSL_OF_OBJECT)  # type: ignore[attr-defined]
    return tls, outgoing, pointer


def flood(server: socket.socket, context: ssl.SSLContext, kind: int) -> None:
    """Greet one client, and then send it KeyUpdates until it hangs up."""
    connection, _ = server.accept()
    with connection:
        try:
            talk = greet(connection, context)  # its first part must live as long as the pointer into it
            outgoing, pointer = talk[1:]
            while True:
                for _ in range(2000):
                    LIBRARY.SSL_key_update(pointer, kind)
                    LIBRARY.SSL_do_handshake(pointer)
                connection.sendall(outgoing.read())
        except OSError:
            return


@contextmanager
def flooding(kind: int) -> Iterator[Address]:
    context = make_certificate().context
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=flood, args=(server, context, kind), daemon=True)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1], f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(10.0)


@pytest.mark.parametrize("kind", [NOT_REQUESTED, REQUESTED], ids=["no reply wanted", "replies wanted"])
def test_a_flood_of_key_updates_is_cut_off(kind: int) -> None:
    with flooding(kind) as address:
        config = configs.gateway(address.text, login_password=None)
        gateway = Gateway(config, Telemetry())
        started = time.monotonic()
        once = Once([BY_NAME["status"]], configs.module(request_timeout=0.5), started + 5.0)
        gateway.fetch(once)
        gateway.close()
        error = once.fetched["status"].error
        assert isinstance(error, ConnectError)
        assert "TLS, and no answer in it" in str(error)
        assert time.monotonic() - started < 4.0


def test_a_second_handshake_is_refused() -> None:
    """It would run on the event loop, and take as long as the gateway likes: 0.9 s with 10,000 bits."""
    context, sent = make_certificate().context, bytearray()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~ssl.OP_NO_RENEGOTIATION

    def ask_for_keys(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            talk = greet(connection, context)  # its first part must live as long as the pointer into it
            outgoing, pointer = talk[1:]
            sent.extend(connection.recv(1 << 14))
            LIBRARY.SSL_renegotiate(pointer)
            LIBRARY.SSL_do_handshake(pointer)
            connection.sendall(outgoing.read())
            while data := connection.recv(1 << 14):
                sent.extend(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=ask_for_keys, args=(server,), daemon=True)
        thread.start()
        gateway = Gateway(
            configs.gateway(f"127.0.0.1:{server.getsockname()[1]}", login_password=None), Telemetry()
        )
        once = Once(
            [BY_NAME["status"]],
            configs.module(request_timeout=0.5, max_connections=1),
            time.monotonic() + 1.0,
        )
        gateway.fetch(once)
        gateway.close()
        thread.join(10.0)
    kinds = []
    while sent:
        kinds.append(sent[0])
        del sent[: 5 + int.from_bytes(sent[3:5], "big")]
    assert kinds[0] == APPLICATION_DATA
    assert HANDSHAKE not in kinds
    assert ALERT in kinds, "no_renegotiation"
