"""Connections to one gateway: TCP and TLS by urllib3, the pin checked before a byte is sent.

The certificate is signed by a per-device authority that is not available to anyone, so no chain can be validated. The
certificate itself can be trusted: its SHA-256 is compared on the very connection that will carry the credential.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from probe_exporter.config import Address, GatewayConfig, Pin
from probe_exporter.errors import ConnectError, DeadlineError, GatewayError, PinError, TlsError
from probe_exporter.sources import read_pin

SNI: Final = "powerwall"
"""Gateways hang up on a foreign name, so the name that is sent is never the one that was dialled."""

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

    ``used`` tells whether it already carried an answer: a gateway closes idle connections without notice.
    ``last`` is the question that it carried last, and a hash of the answer: a second copy looks like the next answer.
    """

    def __init__(self, sock: ssl.SSLSocket, address: Address) -> None:
        self._sock = sock
        self.address = address
        self.host_header = _host_header(address)
        self.used = False
        self.last: tuple[object, int | None] = (None, None)
        sock.setblocking(False)

    @property
    def certificate(self) -> bytes:
        """The certificate that the gateway showed on this connection, DER; empty where it showed none."""
        return self._sock.getpeercert(binary_form=True) or b""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close without ceremony; harmless when done twice."""
        self._sock.close()

    @property
    def stale(self) -> bool:
        """Return True if the gateway closed this idle connection, or sent something that was not asked for."""
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
        """Return what has arrived, b"" at the end of the stream, None when nothing is there. Raises ConnectError."""
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
    """Return a few words on a low-level error, without addresses of objects."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).partition(": ")[2] or str(error) or type(error).__name__


def resolve(address: Address, timeout: float) -> tuple[str, ...]:
    """Return the numeric addresses of a host, at most ``timeout`` seconds later. Raises ConnectError.

    The system's resolver takes no timeout, so that a name is looked up in a thread of its own, which may outlast us.
    """
    if _is_numeric(address.host):
        return (address.host,)
    found: list[str] = []
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            failure.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout)
    if failure:
        raise ConnectError(f"{address.text} cannot be reached: {describe(failure[0])}") from failure[0]
    if not found:
        raise ConnectError(
            f"{address.text} cannot be reached: no name server answered within {timeout:.3g} s"
        )
    return tuple(found)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def connect(address: Address, timeout: float, on_tcp: Callable[[], None] = lambda: None) -> Connection:
    """Open a TLS connection to ``address``, any certificate accepted, within ``timeout`` seconds.

    The time is for the look-up, TCP and TLS together, however many numeric addresses a name has. Raises ConnectError
    where no TCP connection stands or it is reset, TlsError where the handshake fails or takes too long. ``on_tcp`` is
    called when TCP stands.
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


class _Dialled(HTTPSConnection):
    """An HTTPS connection that tells when TCP stands and only the handshake is missing."""

    def __init__(self, *arguments: Any, on_tcp: Callable[[], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_tcp = on_tcp

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._on_tcp()
        return sock


def _connect(
    address: Address, host: str, timeout: float, told: float, on_tcp: Callable[[], None]
) -> Connection:
    http = _Dialled(
        host,
        address.port,
        timeout=timeout,
        cert_reqs="CERT_NONE",
        assert_hostname=False,
        server_hostname=SNI,
        ssl_context=_CONTEXT,
        on_tcp=on_tcp,
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
        """The error to tell of a connection that is still being made; None where none is."""
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
        else f"run `probe_exporter fetchcert {config.name}` and put the fingerprint that it prints into tls_fingerprint"
    )
    return PinError(
        f"{address.text} shows the certificate sha256:{shown}, but {pin.source} pins sha256:{pin.sha256.hex()}; "
        f"if the gateway was replaced or reset, {remedy}"
    )
