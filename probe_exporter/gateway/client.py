"""The long-lived client of one gateway, and the one look at a certificate that needs no client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import GatewayConfig
from probe_exporter.errors import ConnectError, GatewayError, TlsError
from probe_exporter.gateway.conversation import Conversation
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import Fetched, Limits, Trace
from probe_exporter.gateway.login import Login
from probe_exporter.gateway.pool import Connections
from probe_exporter.gateway.session import Session
from probe_exporter.gateway.transport import Connection, Dialler, connect
from probe_exporter.telemetry import Telemetry

__all__ = ["Fetched", "Gateway", "Limits", "Trace", "fetch_certificate"]


class Gateway:
    """The long-lived client of one gateway: its idle connections and its session."""

    def __init__(
        self,
        config: GatewayConfig,
        telemetry: Telemetry,
        clock: Clock | None = None,
        login: Login | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock or SystemClock()
        self.login = login or Login(config, self._clock)
        self._dialler = Dialler(config)
        self._idle: list[Connection] = []
        self._closed = False

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the gateway showed last, DER; None before the first connection."""
        return self._dialler.certificate

    def fetch(self, endpoints: Iterable[Endpoint], limits: Limits, trace: Trace) -> Iterator[Fetched]:
        """Ask for ``endpoints`` and yield each as it comes, in no particular order.

        Raises the GatewayError that ended the fetch as a whole: no connection, or another certificate than the
        pinned one. One fetch at a time: the caller sees to it.
        """
        connections = Connections(self._dialler, self._idle, limits, self._telemetry, trace)
        session = Session(self.login, connections, limits, self._telemetry, trace)
        conversation = Conversation(connections, session, self._telemetry, self._clock, limits, trace)
        self._idle = []
        try:
            yield from conversation.run(endpoints)
        finally:
            conversation.close()
            self._idle = connections.idle
            if self._closed:
                self._drop_idle()

    def close(self) -> None:
        """Close idle connections now, and those of a running fetch when it ends."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle = []


def fetch_certificate(config: GatewayConfig, timeout: float) -> bytes:
    """The certificate that a gateway shows, DER, without any validation. ``timeout`` in seconds, an address.

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
