"""The counts of a simulated gateway about its clients, by which tests check what the exporter asks of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.simulator.messages import ClientRequest
from probe_exporter.simulator.sessions import LOGIN


@dataclass(slots=True)
class Counts:
    """Written in the server's thread; read anywhere.

    ``requests`` and ``unexpected`` count by the path below ``/api/``. Unexpected are requests that the exporter has no
    reason to send: other paths than its table's, and other methods.
    """

    logins: int = 0
    """Logins that gave a token."""
    refused_logins: int = 0
    """Login POSTs that gave none, those that a fault answered included."""
    requests: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    handshakes: int = 0
    open_connections: int = 0
    max_open_connections: int = 0
    concurrent_requests: int = 0
    max_concurrent_requests: int = 0
    bad_requests: int = 0
    """Requests that were not HTTP/1."""

    @property
    def login_attempts(self) -> int:
        """All login POSTs."""
        return self.requests[LOGIN]

    @property
    def data_requests(self) -> int:
        """All requests but logins."""
        return self.requests.total() - self.requests[LOGIN]

    def asked(self, request: ClientRequest) -> None:
        """A request arrived."""
        endpoint = request.endpoint
        self.requests[endpoint] += 1
        if (request.method, endpoint) != ("POST", LOGIN) and (
            request.method != "GET" or endpoint not in BY_NAME
        ):
            self.unexpected[f"{request.method} {endpoint}"] += 1

    def opened(self) -> None:
        """A connection was accepted."""
        self.connections += 1
        self.open_connections += 1
        self.max_open_connections = max(self.max_open_connections, self.open_connections)

    def closed(self) -> None:
        """A connection ended."""
        self.open_connections -= 1

    def begun(self) -> None:
        """An answer is being worked on."""
        self.concurrent_requests += 1
        self.max_concurrent_requests = max(self.max_concurrent_requests, self.concurrent_requests)

    def finished(self) -> None:
        """An answer has left, or nobody waits for it any more."""
        self.concurrent_requests -= 1
