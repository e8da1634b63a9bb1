"""The long-lived client of one gateway, and the function that reads a certificate without a client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import GatewayConfig
from probe_exporter.errors import ConnectError, GatewayError, NoThreadError, TlsError
from probe_exporter.gateway.exchange import Demand, Fetched, Limits, Watch
from probe_exporter.gateway.fetch import Fetch
from probe_exporter.gateway.polling import Polling
from probe_exporter.gateway.session import Session
from probe_exporter.gateway.transport import Connection, Dialler, connect
from probe_exporter.telemetry import Telemetry

__all__ = ["Demand", "Fetched", "Gateway", "Limits", "fetch_certificate"]

NARROW: Final = 600.0
"""Seconds for which a gateway that refused a further connection has no more than one."""


class Gateway:
    """The long-lived client of one gateway: its session, its idle connections, and the one that is being made.

    One thread at a time fetches. Connections are made in a thread of their own, which may outlast the fetch: the loop
    never waits for a name server or a handshake while other connections have data to read.
    """

    def __init__(
        self,
        config: GatewayConfig,
        telemetry: Telemetry,
        clock: Clock | None = None,
        session: Session | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock or SystemClock()
        self.session = session or Session(config, self._clock)
        self._dialler = Dialler(config)
        self._lock = threading.Lock()
        self._fetch: Fetch | None = None
        self._dialled: Connection | GatewayError | None = None
        self._unreached: GatewayError | None = None
        self._narrow_until = 0.0
        self.idle: list[Connection] = []
        self.dialling = False
        self.closed = False

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the gateway showed last, DER; None before the first connection."""
        return self._dialler.certificate

    @property
    def pinned(self) -> bool:
        """Return True if the certificate of the gateway is pinned."""
        return self._dialler.pinned

    @property
    def unfinished(self) -> GatewayError | None:
        """The error of a client that leaves before the first connection is established; None once one is.

        Between two attempts it is the error of the last one.
        """
        fetch = self._fetch
        connected = bool(self.idle) or (fetch is not None and fetch.in_use > 0)
        return None if connected else self._dialler.unfinished or self._unreached

    @property
    def logging_in(self) -> bool:
        """Return True from the decision to log in until the login is answered."""
        fetch = self._fetch
        return fetch is not None and fetch.logging_in

    def fetch(self, demand: Demand) -> None:
        """Ask in this thread what ``demand`` requires, until nobody waits and nothing is under way.

        One fetch at a time: the caller sees to it.
        """
        polling = Polling()
        fetch = self.begin(demand, polling)
        try:
            polling.drive(fetch)
        finally:
            self.end(fetch)
            polling.close()

    def begin(self, demand: Demand, watch: Watch) -> Fetch:
        """Begin a fetch, which the caller drives by its turns and then gives to `end`. One fetch at a time."""
        fetch = Fetch(self, demand, watch, self._telemetry, self._clock)
        with self._lock:
            self._fetch = fetch
            if not self.dialling:
                self._unreached = None
            if isinstance(self._dialled, GatewayError):  # it failed for those who have left
                self._dialled, self.dialling = None, False
                if self.idle:
                    self.narrow()
        return fetch

    def end(self, fetch: Fetch) -> None:
        """End a fetch: close the connections that carry a request, and do not wake it any more."""
        fetch.close()
        with self._lock:
            if self._fetch is fetch:  # once nobody waits, the next one may begin before this has ended
                self._fetch = None
                if self.closed:
                    self.drop_idle()

    def wake(self) -> None:
        """Give a running fetch a turn: a client joined, or a connection was established."""
        with self._lock:
            if self._fetch is not None:
                self._fetch.wake()

    def close(self) -> None:
        """End a running fetch soon, and close the idle connections."""
        with self._lock:
            self.closed = True
            if isinstance(self._dialled, Connection):
                self._dialled.close()
                self._dialled, self.dialling = None, False
            if self._fetch is None:
                self.drop_idle()
            else:
                self._fetch.wake()

    # Connections, for the fetch alone

    def idle_connection(self, fresh: bool) -> Connection | None:
        """Return an idle connection that may carry a request, None where there is none.

        A ``fresh`` one has not carried any yet; the others are closed to make room for it.
        """
        while self.idle:
            connection = self.idle.pop()
            if not (fresh and connection.used) and not connection.stale:
                return connection
            connection.close()
        return None

    def put_back(self, connection: Connection) -> None:
        """Take a connection back for the next request."""
        self.idle.append(connection)

    def drop_idle(self) -> None:
        """Close all idle connections."""
        while self.idle:
            self.idle.pop().close()

    def may_widen(self) -> bool:
        """Return True if a further connection is worth an attempt: none failed within `NARROW` seconds."""
        return self._clock.monotonic() >= self._narrow_until

    def narrow(self) -> None:
        """Remember that a further connection failed."""
        self._narrow_until = self._clock.monotonic() + NARROW

    def dial(self, connect_timeout: float, trace: Callable[[str], None]) -> None:
        """Begin to make a connection; `take_dialled` returns the outcome. Raises NoThreadError."""
        thread = threading.Thread(target=self._dial, args=(connect_timeout, trace), name="dial", daemon=True)
        self.dialling = True
        try:
            thread.start()
        except RuntimeError as error:
            self.dialling = False
            raise NoThreadError(f"no connection can be made: {error}") from error

    def _dial(self, connect_timeout: float, trace: Callable[[str], None]) -> None:
        started = time.monotonic()
        dialled: Connection | GatewayError
        try:
            if self.closed:
                raise ConnectError("the configuration of this gateway changed")
            self.session.open()
            dialled = self._dialler.dial(connect_timeout)
            trace(f"connected to {dialled.address.text} in {time.monotonic() - started:.3f} s")
        except GatewayError as error:
            dialled = error.as_value()
        except Exception as error:  # noqa: BLE001  # whatever it is, the fetch must not wait for ever
            dialled = ConnectError(f"the connection could not be made ({type(error).__name__})")
        with self._lock:
            if self.closed and isinstance(dialled, Connection):
                dialled.close()
                dialled = ConnectError(
                    "the configuration of this gateway changed while a connection was made"
                )
            self._dialled = dialled
            self._unreached = dialled if isinstance(dialled, GatewayError) else None
        self.wake()

    def take_dialled(self) -> GatewayError | None:
        """Put the connection that was made among the idle ones, or return the error for which there is none."""
        with self._lock:
            dialled, self._dialled = self._dialled, None
            if dialled is None:
                return None
            self.dialling = False
            if isinstance(dialled, GatewayError):
                return dialled
            self.idle.append(dialled)
            return None


def fetch_certificate(config: GatewayConfig, timeout: float) -> bytes:
    """Return the certificate that a gateway shows, DER, without any validation. ``timeout`` in seconds, an address.

    Raises ConnectError or TlsError of the last address tried.
    """
    error: GatewayError = ConnectError(f"{config.name} has no address")
    for address in config.addresses:
        try:
            connection = connect(address, timeout)
        except (ConnectError, TlsError) as failure:
            error = failure
            continue
        try:
            return connection.certificate
        finally:
            connection.close()
    raise error
