"""The connections of one gateway during one fetch."""

from __future__ import annotations

import time

from probe_exporter.gateway.exchange import Limits, Trace
from probe_exporter.gateway.transport import Connection, Dialler
from probe_exporter.telemetry import Telemetry


class Connections:
    """Those at rest, and new ones under the limits of the fetch."""

    def __init__(
        self, dialler: Dialler, idle: list[Connection], limits: Limits, telemetry: Telemetry, trace: Trace
    ) -> None:
        self._dialler = dialler
        self._limits = limits
        self._telemetry = telemetry
        self._trace = trace
        self.idle = idle

    def acquire(self, patient: bool) -> Connection:
        """One that may carry a request. A ``patient`` caller has a gateway that refuses asked again and again.

        Raises ConnectError, TlsError and DeadlineError as `Dialler.dial` does.
        """
        while self.idle:
            connection = self.idle.pop()
            if not connection.stale:
                return connection
            connection.close()
        return self._dial(patient)

    def put_back(self, connection: Connection, reusable: bool) -> None:
        """Take a connection back; one that is not reusable is closed."""
        if reusable:
            connection.used = True
            self.idle.append(connection)
        else:
            connection.close()

    def _dial(self, patient: bool) -> Connection:
        limits = self._limits
        started = time.monotonic()
        connection = self._dialler.dial_patiently(
            limits.connect_timeout,
            limits.deadline,
            limits.retry_interval,
            limits.retry_timeout if patient else 0.0,
            self._telemetry.retries.inc,
        )
        self._trace(f"connected to {connection.address.text} in {time.monotonic() - started:.3f} s")
        return connection
