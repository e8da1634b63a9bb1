"""The exporter's own metrics: they count the work of this process, never values of a gateway."""

from __future__ import annotations

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from probe_exporter import __version__
from probe_exporter.errors import REASONS

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Telemetry:
    """A registry and the metrics in it. Every reason starts at 0, so that rates start at zero."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = self._gauge(
            "build_info", "1, with the version of the exporter and of Python.", ("version", "python")
        )
        build.labels(__version__, platform.python_version()).set(1)
        self.probes = self._counter("probes", "Probes that were run; shared and cached answers do not count.")
        self._probe_failures = self._reasons(
            "probe_failures", "Probes that ended with probe_success 0, by reason."
        )
        self.probe_duration = Histogram(
            "probe_exporter_probe_duration_seconds",
            "Duration of probes, in seconds.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.probes_in_flight = self._gauge("probes_in_flight", "Probes that are running now.")
        self.gateway_requests = self._counter(
            "gateway_requests", "Requests sent to gateways, logins included."
        )
        self._request_failures = self._reasons("gateway_request_failures", "Requests that failed, by reason.")
        self.logins = self._counter("logins", "Logins sent to gateways.")
        self._login_failures = self._reasons("login_failures", "Logins that failed, by reason.")
        self.retries = self._counter("retries", "Connections tried again after a failure to connect.")
        self.shared_probes = self._counter(
            "shared_probes", "Probes answered by one that was already running."
        )
        self.unknown_target_requests = self._counter(
            "unknown_target_requests", "Requests for a target that is not configured."
        )
        self.gateways = self._gauge("gateways", "Gateways that are configured.")
        self.config_last_reload_successful = self._gauge(
            "config_last_reload_successful",
            "1 if the last reload of the configuration succeeded, otherwise 0.",
        )
        self.config_last_reload_success_timestamp = self._gauge(
            "config_last_reload_success_timestamp_seconds",
            "Time when the configuration was last loaded, in Unix seconds.",
        )

    def count_probe_failure(self, reason: str) -> None:
        """A probe ended with probe_success 0."""
        self._probe_failures[reason].inc()

    def count_request_failure(self, reason: str) -> None:
        """A request to a gateway failed."""
        self._request_failures[reason].inc()

    def count_login_failure(self, reason: str) -> None:
        """A login failed."""
        self._login_failures[reason].inc()

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(f"probe_exporter_{name}", documentation, registry=self.registry)

    def _gauge(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"probe_exporter_{name}", documentation, labels, registry=self.registry)

    def _reasons(self, name: str, documentation: str) -> dict[str, Counter]:
        counter = Counter(f"probe_exporter_{name}", documentation, ("reason",), registry=self.registry)
        return {reason: counter.labels(reason) for reason in REASONS}
