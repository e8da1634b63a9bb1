"""A client that sees what happens on the wire, and hides nothing of it: for the tests of the simulator."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Literal

from probe_exporter.simulator import SimulatedGateway

Ending = Literal["answered", "closed", "cut", "reset", "silence"]


@dataclass(frozen=True)
class Seen:
    """What came back. ``answered`` is a whole answer on a connection that stays; the rest says how it ended."""

    ending: Ending
    raw: bytes
    seconds: float

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def whole(self) -> bool:
        head, separator, body = self.raw.partition(b"\r\n\r\n")
        if not separator or not head.startswith(b"HTTP/1.1 "):
            return False
        return len(body) >= int(self.headers.get("content-length", "0"))

    def json(self) -> Any:
        return json.loads(self.body)


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_CONTEXT = client_context()


class Client:
    """One connection, with TLS by hand: an SSLSocket tells a reset from an end on some versions of Python only.

    Raises OSError where there is no connection; ssl.SSLError is one.
    """

    def __init__(
        self, gateway: SimulatedGateway, sni: str | None = "powerwall", timeout: float = 5.0
    ) -> None:
        self.password = gateway.password
        self.token = ""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _CONTEXT.wrap_bio(self._incoming, self._outgoing, server_hostname=sni)
        self.sock = socket.create_connection((gateway.host, gateway.port), timeout)
        try:
            self._shake_hands(timeout)
        except BaseException:
            self.sock.close()
            raise

    def _shake_hands(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self.sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = self.sock.recv(1 << 16)
                if not data:
                    raise ConnectionAbortedError("cut in the handshake") from None
                self._incoming.write(data)
            else:
                self._flush()
                return

    def _flush(self) -> None:
        self.sock.sendall(self._outgoing.read())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._tls.write(data)
        self._flush()

    @property
    def certificate(self) -> bytes | None:
        """What the gateway showed."""
        return self._tls.getpeercert(binary_form=True)

    def __enter__(self) -> Client:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def login(self, password: str | None = None, wait: float = 5.0) -> Seen:
        fields = {"username": "customer", "email": "me@example.com", "password": password or self.password}
        seen = self.ask("login/Basic", method="POST", body=json.dumps(fields).encode(), wait=wait)
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
            self.token = str(seen.json()["token"])
        return seen

    def ask(
        self,
        endpoint: str,
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        wait: float = 5.0,
        limit: int = 1 << 21,
    ) -> Seen:
        """Send a request and watch for ``wait`` seconds, or until ``limit`` bytes have come."""
        lines = {"host": "powerwall", "content-length": str(len(body))}
        if self.token:
            lines["cookie"] = f"AuthCookie={self.token}"
        lines |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"{method} /api/{endpoint} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return self.watch(wait, limit)

    def watch(self, wait: float, limit: int = 1 << 21) -> Seen:
        """Read until an answer is whole, the connection ends, ``limit`` bytes have come or ``wait`` is over."""
        start = time.monotonic()
        raw = b""
        ending: Ending | None = None
        while ending is None:
            ending, data = self._read(start + wait)
            raw += data
            if ending is None and Seen("answered", raw, 0.0).whole:
                ending = "answered"
            elif len(raw) >= limit:
                ending = "silence"
        return Seen(ending, raw, time.monotonic() - start)

    def _read(self, deadline: float) -> tuple[Ending | None, bytes]:
        """How it ended, None where it goes on, and what came."""
        try:
            data = self._tls.read(1 << 16)
            return (None, data) if data else ("closed", b"")
        except ssl.SSLWantReadError:
            pass
        self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            return "silence", b""
        except ConnectionResetError:
            return "reset", b""
        self._incoming.write(data)
        return (None, b"") if data else ("cut", b"")


def logged_in(gateway: SimulatedGateway) -> Client:
    """A connection with a token."""
    client = Client(gateway)
    client.login()
    return client
