"""Connections to one gateway: TCP and TLS by urllib3, the pin checked before a byte is sent.

The certificate is signed by a per-device authority that nobody has, so no chain can be validated. What can be
trusted is the certificate itself: its SHA-256 is compared on the very connection that will carry the credential.
"""

from __future__ import annotations

import hashlib
import hmac
import select
import ssl
import time
from collections.abc import Callable
from typing import Final

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from probe_exporter.config import Address, GatewayConfig
from probe_exporter.errors import ConnectError, DeadlineError, PinError, TlsError

SNI: Final = "powerwall"
"""Gateways hang up on a foreign name, so the name that is sent never is the one that was dialled."""

_READ_SIZE: Final = 1 << 14
"""Bytes of one read: a TLS record never holds more, and all of it is allocated whatever arrives."""


def _context() -> ssl.SSLContext:
    """One context for all connections: loading the system's authorities costs milliseconds and helps nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


_CONTEXT: Final = _context()


class Connection:
    """One TLS connection to a gateway, non-blocking once it stands.

    ``used`` tells whether it already carried an answer: a gateway closes idle connections without a word.
    """

    def __init__(self, sock: ssl.SSLSocket, address: Address) -> None:
        self._sock = sock
        self.address = address
        self.host_header = _host_header(address)
        self.used = False
        sock.setblocking(False)

    @property
    def certificate(self) -> bytes:
        """The certificate that the gateway showed on this connection, DER; empty where it showed none."""
        return self._sock.getpeercert(binary_form=True) or b""

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close without ceremony; harmless when done twice."""
        self._sock.close()

    @property
    def stale(self) -> bool:
        """Whether the gateway closed this idle connection, or sent something that nobody asked for."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        if not poller.poll(0):
            return False
        try:
            self._sock.recv(1)
            return True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False  # a TLS session ticket, not an answer
        except OSError:
            return True

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``, which is small. Raises ConnectError, or DeadlineError at ``deadline``."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                self._wait(deadline, isinstance(error, ssl.SSLWantWriteError))
            except OSError as error:
                raise ConnectError(
                    f"the connection broke while the request was sent: {describe(error)}"
                ) from error

    def receive(self) -> bytes | None:
        """What has arrived; b"" at the end of the stream, None when nothing is there yet. Raises ConnectError."""
        try:
            return self._sock.recv(_READ_SIZE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""
        except OSError as error:
            raise ConnectError(f"the connection broke: {describe(error)}") from error

    def _wait(self, deadline: float, writing: bool) -> None:
        poller = select.poll()
        poller.register(self._sock, select.POLLOUT if writing else select.POLLIN)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise DeadlineError("the request could not be sent in time")


def _host_header(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == 443 else f"{host}:{address.port}"


def describe(error: BaseException) -> str:
    """A few words on a low-level error, without addresses of objects."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).partition(": ")[2] or str(error) or type(error).__name__


def connect(address: Address, timeout: float) -> Connection:
    """A TLS connection to ``address``, any certificate accepted. ``timeout`` in seconds is for TCP and TLS each.

    Raises ConnectError where no TCP connection stands or it is reset, TlsError where the handshake fails.
    """
    http = HTTPSConnection(
        address.host,
        address.port,
        timeout=timeout,
        cert_reqs="CERT_NONE",
        assert_hostname=False,
        server_hostname=SNI,
        ssl_context=_CONTEXT,
    )
    try:
        http.connect()
        sock = http.sock
        if not isinstance(sock, ssl.SSLSocket):
            raise TlsError(f"{address.text}: the connection is not encrypted")
        connection = Connection(sock, address)
        if not connection.certificate:
            raise TlsError(f"{address.text} showed no certificate")
        return connection
    except (OSError, HTTPError, ValueError) as error:
        http.close()
        raise _translated(error, address, timeout) from error
    except BaseException:
        http.close()
        raise


def _translated(error: Exception, address: Address, timeout: float) -> ConnectError | TlsError:
    """The error of our tree for what urllib3, ssl or a socket raised while connecting."""
    where = address.text
    if isinstance(error, (NewConnectionError, ConnectionError)) and not isinstance(error, ssl.SSLError):
        cause = error.__cause__ or error
        return ConnectError(f"{where} cannot be reached: {describe(cause)}")
    if isinstance(error, Urllib3TimeoutError):
        return ConnectError(f"{where} did not accept a connection within {timeout:.3g} s")
    if isinstance(error, TimeoutError):
        return TlsError(f"{where} did not finish the TLS handshake within {timeout:.3g} s")
    if isinstance(error, (ssl.SSLError, urllib3.exceptions.SSLError)):
        return TlsError(f"the TLS handshake with {where} failed: {describe(error)}")
    return ConnectError(f"{where} cannot be reached: {describe(error)}")


def check_pin(config: GatewayConfig, certificate: bytes) -> None:
    """Compare a certificate with the gateway's pin. Raises PinError, whose message names the remedy."""
    if config.pin_missing:
        raise PinError(
            f"the certificate file {config.tls_cert_file} does not exist yet; "
            f"run `probe_exporter fetchcert {config.name}` and check what it prints"
        )
    if config.pin is None:
        return
    shown = hashlib.sha256(certificate).digest()
    if not hmac.compare_digest(shown, config.pin.sha256):
        raise PinError(
            f"the gateway shows the certificate sha256:{shown.hex()}, but {config.pin.source} pins "
            f"sha256:{config.pin.sha256.hex()}; if the gateway was replaced or reset, accept the new one with "
            f"`probe_exporter fetchcert --force {config.name}`"
        )


class Dialler:
    """Opens connections to one gateway: its addresses in order, the one that last worked first."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._preferred = 0
        self.certificate: bytes | None = None
        """The certificate that the gateway showed last, DER."""

    def dial(self, connect_timeout: float, deadline: float) -> Connection:
        """A pinned connection before ``deadline`` (monotonic seconds).

        Raises ConnectError or TlsError of the last address tried, DeadlineError where there was no time for any,
        PinError at once.
        """
        if self._config.pin_missing:
            check_pin(self._config, b"")
        addresses = self._config.addresses
        order = [(self._preferred + step) % len(addresses) for step in range(len(addresses))]
        for position, index in enumerate(order):
            left = deadline - time.monotonic()
            if left <= 0.0:
                break
            untried = len(order) - position
            try:
                connection = connect(addresses[index], min(connect_timeout, left / untried))
            except (ConnectError, TlsError):
                if untried == 1 or time.monotonic() >= deadline:
                    raise
                continue
            self._accept(connection)
            self._preferred = index
            return connection
        raise DeadlineError("there was no time left to connect")

    def dial_patiently(
        self,
        connect_timeout: float,
        deadline: float,
        interval: float,
        patience: float,
        on_retry: Callable[[], None],
    ) -> Connection:
        """As `dial`, and a ConnectError is tried again every ``interval`` seconds, for ``patience`` seconds."""
        give_up = min(deadline, time.monotonic() + patience)
        while True:
            try:
                return self.dial(connect_timeout, deadline)
            except ConnectError:
                if time.monotonic() + interval >= give_up:
                    raise
            time.sleep(interval)
            on_retry()

    def _accept(self, connection: Connection) -> None:
        self.certificate = connection.certificate
        try:
            check_pin(self._config, self.certificate)
        except PinError:
            connection.close()
            raise
