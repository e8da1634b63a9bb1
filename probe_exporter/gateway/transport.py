"""Connections to one gateway: TCP by urllib3, TLS in memory, the pin checked before a byte is sent.

The certificate is signed by a per-device authority that is not available to anyone, so no chain can be validated. The
certificate itself can be trusted: its SHA-256 is compared on the very connection that will carry the credential.
"""

from __future__ import annotations

import hashlib
import hmac
import select
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from probe_exporter.config import Address, GatewayConfig, Pin
from probe_exporter.config.sources import read_pin
from probe_exporter.errors import ConnectError, DeadlineError, GatewayError, PinError, TlsError
from probe_exporter.gateway.names import resolve

SNI: Final = "powerwall"
"""Gateways drop a handshake for a foreign name, so the name that is sent is never the configured one."""

_READ_SIZE: Final = 1 << 11
"""Bytes of one read, and so of one step of TLS: a step takes 6 ms at most, whatever the gateway sends."""

_RECORD: Final = 1 << 14
"""Bytes that a record of TLS has at most."""

_MAX_REPLIES: Final = 1 << 16
"""Bytes of TLS's own replies that may wait for a gateway that asks for them and does not read them."""

_HANDLING: Final = 40
"""Bytes of TLS that may arrive for each byte of an answer: a record of one byte has 23."""

_MAX_HANDLING: Final = 24 << 10
"""Bytes of TLS that may arrive for an answer beyond that. More is a flood: of KeyUpdates these take 20 ms."""

LONGEST_POLL: Final = 3600.0
"""The longest time until the clock is looked at again, in seconds: the system refuses much longer ones."""


def _context() -> ssl.SSLContext:
    """Return the context of all connections, without the system's authorities: loading them costs milliseconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A second handshake would hold the event loop: 0.9 s with Diffie-Hellman of 10,000 bits.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


_CONTEXT: Final = _context()


class Connection:
    """A TLS connection to a gateway, non-blocking once it is established.

    TLS reads from memory, and what is in memory is one read of the socket: the caller looks at the clock between two
    steps. `SSLSocket.recv` goes on as long as records without data arrive: a flood of KeyUpdate held it for 90 s. After
    `_MAX_HANDLING` bytes of such records the connection ends.

    ``used`` is true if it already carried an answer: a gateway closes idle connections without notice. ``last`` is the
    question that it carried last, and a hash of the answer: a second copy looks like the next answer.
    """

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = _CONTEXT.wrap_bio(self._incoming, self._outgoing, server_hostname=SNI)
        self._fetched = self._delivered = 0
        self._drained = True
        self.address = address
        self.host_header = _host_header(address)
        self.used = False
        self.last: tuple[object, int | None] = (None, None)
        sock.setblocking(False)

    def handshake(self, deadline: float) -> None:
        """Agree on keys. Raises TlsError, OSError, or TimeoutError at ``deadline``."""
        while True:
            try:
                self._tls.do_handshake()
                self._flush(deadline)
                self._fetched = 0
                return
            except ssl.SSLWantReadError:
                self._flush(deadline)
            self._wait(deadline, select.POLLIN)
            self._fetch()

    @property
    def certificate(self) -> bytes:
        """The certificate that the gateway showed on this connection, DER; empty where it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close without a close_notify of TLS; harmless when done twice."""
        self._sock.close()

    @property
    def stale(self) -> bool:
        """Return True if the gateway closed this idle connection, or sent something that was not asked for."""
        try:
            while self.receive() is None:
                if self.drained:
                    return False
        except ConnectError:
            return True
        return True

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``, which is small. Raises ConnectError, or DeadlineError at ``deadline``.

        If the deadline has passed already, it does not wait.
        """
        self._fetched = self._delivered = 0
        try:
            self._tls.write(data)
            self._flush(deadline)
        except TimeoutError as error:
            raise DeadlineError("the request could not be sent in time") from error
        except OSError as error:
            raise ConnectError(
                f"the connection broke while the request was sent: {describe(error)}"
            ) from error

    def receive(self) -> bytes | None:
        """Take one step and return what has arrived: b"" at the end of the stream, None where nothing is there.

        None does not mean that the socket is empty: see `drained`, and look at the clock between two steps. Raises
        ConnectError.
        """
        try:
            if not self._incoming.pending and not self._fetch():
                return None
            try:
                data = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                data = None
            if self._outgoing.pending:
                self._reply()
            self._delivered += len(data or b"")
            if self._fetched > _MAX_HANDLING + _HANDLING * self._delivered:
                raise ConnectionError("it sends TLS, and no answer in it")
            return data
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except OSError as error:
            raise ConnectError(f"the connection broke: {describe(error)}") from error

    @property
    def unread(self) -> bool:
        """Return True if bytes that were read from the socket wait for the next step."""
        return self._incoming.pending > 0

    @property
    def drained(self) -> bool:
        """Return True if the socket was empty at the last look, and nothing that was read from it is left."""
        return self._drained and not self.unread

    def _fetch(self) -> bool:
        """Read the socket once. Return False where nothing is there."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            self._drained = True
            return False
        self._drained = len(data) < _READ_SIZE
        if data:
            self._fetched += len(data)
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def _reply(self) -> None:
        """Send pending bytes of TLS itself, as far as the socket takes them."""
        data = self._outgoing.read()
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        self._outgoing.write(data[sent:])
        if self._outgoing.pending > _MAX_REPLIES:
            raise ConnectionError("it asks for replies of TLS and does not read them")

    def _flush(self, deadline: float) -> None:
        view = memoryview(self._outgoing.read())
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                self._wait(deadline, select.POLLOUT)

    def _wait(self, deadline: float, event: int) -> None:
        poller = select.poll()
        poller.register(self._sock, event)
        left = min(deadline - time.monotonic(), LONGEST_POLL)
        if left <= 0.0 or not poller.poll(left * 1000):
            raise TimeoutError


def _host_header(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == 443 else f"{host}:{address.port}"


def describe(error: BaseException) -> str:
    """Return a few words on a low-level error, without addresses of objects."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).partition(": ")[2] or str(error) or type(error).__name__


def connect(address: Address, timeout: float, on_tcp: Callable[[], None] = lambda: None) -> Connection:
    """Open a TLS connection to ``address``, any certificate accepted, within ``timeout`` seconds.

    The time is for the look-up, TCP and TLS together, however many numeric addresses a name has. Raises ConnectError
    where the TCP connection is not established or is reset, TlsError where the handshake fails or takes too long.
    ``on_tcp`` is called when TCP is connected.
    """
    deadline = time.monotonic() + timeout
    hosts = resolve(address, timeout)
    error: GatewayError = ConnectError(f"{address.text} did not accept a connection within {timeout:.3g} s")
    for position, host in enumerate(hosts):
        left = deadline - time.monotonic()
        if left <= 0.0:
            break
        try:
            return _connect(address, host, left / (len(hosts) - position), timeout, on_tcp)
        except (ConnectError, TlsError) as failure:
            error = failure
    raise error


def _connect(
    address: Address, host: str, timeout: float, told: float, on_tcp: Callable[[], None]
) -> Connection:
    deadline = time.monotonic() + timeout
    http = HTTPConnection(host, address.port, timeout=timeout)
    try:
        http.connect()
        assert http.sock is not None, "urllib3 has connected"
        on_tcp()
        connection = Connection(http.sock, address)
        connection.handshake(deadline)
        if not connection.certificate:
            raise TlsError(f"{address.text} showed no certificate")
        return connection
    except (OSError, HTTPError, ValueError) as error:
        http.close()
        raise _translated(error, address, told) from error
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


class Dialler:
    """Opens connections to one gateway: its addresses in order, the one that last worked first.

    Owns the pin. A certificate file is looked at again when there is no pin yet, or when it does not fit: `fetchcert`
    may have saved another one since the configuration was read.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._pin = config.pin
        self._preferred = 0
        self._unfinished: GatewayError | None = None
        self.certificate: bytes | None = None
        """The certificate that the gateway showed last, DER."""

    @property
    def pinned(self) -> bool:
        """Return True if the certificate of the gateway is pinned."""
        return self._pin is not None

    @property
    def unfinished(self) -> GatewayError | None:
        """The error to report for a connection that is still being made; None where none is."""
        return self._unfinished

    def dial(self, connect_timeout: float) -> Connection:
        """Open a pinned connection; each address has ``connect_timeout`` seconds.

        An address that shows another certificate is sent nothing, and the next one is tried. Raises PinError where
        any address did so and none worked, else the ConnectError or TlsError of the last address.
        """
        if self._config.tls_cert_file is not None and self._pin is None:
            self._pin = _saved_pin(self._config)
            if self._pin is None:
                raise _never_fetched(self._config)
        addresses = self._config.addresses
        stranger: PinError | None = None
        error: GatewayError = ConnectError(f"{self._config.name} has no address")
        for step in range(len(addresses)):
            index = (self._preferred + step) % len(addresses)
            where = addresses[index].text
            self._unfinished = ConnectError(f"{where} has not accepted a connection yet")
            try:
                connection = connect(addresses[index], connect_timeout, partial(self._reached, where))
                self._check(connection)
            except PinError as failure:
                stranger = stranger or failure
                continue
            except (ConnectError, TlsError) as failure:
                error = failure
                continue
            finally:
                self._unfinished = None
            self._preferred = index
            return connection
        raise stranger or error

    def _reached(self, where: str) -> None:
        self._unfinished = TlsError(f"{where} has not finished the TLS handshake yet")

    def _check(self, connection: Connection) -> None:
        """Compare the certificate with the pin. Raises PinError and closes the connection where they differ."""
        shown = connection.certificate
        if self._pin is not None and not _fits(self._pin, shown) and self._config.tls_cert_file is not None:
            self._pin = _saved_pin(self._config) or self._pin
        if self._pin is not None and not _fits(self._pin, shown):
            connection.close()
            raise _differs(self._config, self._pin, shown, connection.address)
        self.certificate = shown


def _saved_pin(config: GatewayConfig) -> Pin | None:
    """The pin of the certificate file as it is now; None where there is no usable one."""
    assert config.tls_cert_file is not None
    try:
        return read_pin(config.tls_cert_file)
    except (OSError, ValueError):
        return None


def _fits(pin: Pin, certificate: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(certificate).digest(), pin.sha256)


def _never_fetched(config: GatewayConfig) -> PinError:
    return PinError(
        f"the certificate file {config.tls_cert_file} does not exist yet; "
        f"run `probe_exporter fetchcert {config.name}` and check what it prints"
    )


def _differs(config: GatewayConfig, pin: Pin, certificate: bytes, address: Address) -> PinError:
    shown = hashlib.sha256(certificate).hexdigest()
    remedy = (
        f"accept the new one with `probe_exporter fetchcert --force {config.name}`"
        if config.tls_cert_file is not None
        else f"run `probe_exporter fetchcert {config.name}` and put the fingerprint that it prints into "
        f"{config.called('tls_fingerprint')}"
    )
    return PinError(
        f"{address.text} shows the certificate sha256:{shown}, but {pin.source} pins sha256:{pin.sha256.hex()}; "
        f"if the gateway was replaced or reset, {remedy}"
    )
