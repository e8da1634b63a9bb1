"""A demand that asks each endpoint once, for commands that need answers and no probe."""

from __future__ import annotations

import time
from collections.abc import Iterable

from probe_exporter.config import Module
from probe_exporter.errors import GatewayError
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import Fetched, Limits


class Once:
    """Asks ``endpoints`` until ``deadline``, in seconds of `time.monotonic`, under the limits of a module.

    ``fetched`` holds the result of each; ``error`` is the failure to connect, None after a connection.
    """

    def __init__(self, endpoints: Iterable[Endpoint], module: Module, deadline: float) -> None:
        self._todo = list(endpoints)
        self._left = len(self._todo)
        self._limits = Limits(
            deadline=deadline,
            public_from=deadline,
            retry_until=min(deadline, time.monotonic() + module.retry_timeout),
            request_timeout=module.request_timeout,
            connect_timeout=module.connect_timeout,
            retry_interval=module.retry_interval,
            max_connections=module.max_connections,
        )
        self.fetched: dict[str, Fetched] = {}
        self.error: GatewayError | None = None

    def limits(self) -> Limits | None:
        """Return the limits, None once everything was asked or the time is over."""
        if self.error is not None or not self._left or time.monotonic() >= self._limits.deadline:
            return None
        return self._limits

    def next(self, public_only: bool, hung_under_way: bool) -> Endpoint | None:
        """Return the endpoint to ask now."""
        return next((one for one in self._todo if one.public or not public_only), None)

    def asked(self, endpoint: Endpoint) -> None:
        """Ask it once."""
        self._todo.remove(endpoint)

    def hung(self, endpoint: Endpoint) -> bool:
        """Return False: each endpoint is requested once."""
        return False

    def take(self, fetched: Fetched) -> None:
        """Keep the result for an endpoint."""
        self._left -= 1
        self.fetched[fetched.endpoint.name] = fetched

    def fail(self, error: GatewayError) -> None:
        """Keep the failure to connect."""
        self.error = error

    def end_if_idle(self) -> bool:
        """Return True if nothing is left to do."""
        return self.limits() is None

    def trace(self, step: str) -> None:
        """Drop the step."""
