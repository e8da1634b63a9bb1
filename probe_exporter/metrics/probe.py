"""The metrics of every probe: its verdict, and the state of each endpoint. They are never dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from probe_exporter.errors import REASONS
from probe_exporter.metrics.filled import FilledMetric, heading


@dataclass(frozen=True, slots=True)
class EndpointOutcome:
    """The state of an endpoint: its last request, and the age in seconds of the reading that is kept of it.

    ``up`` is None where it was never asked, ``age`` where nothing is kept, ``reason`` where its last request was
    answered. ``unknown`` counts the words that no known firmware uses.
    """

    name: str
    supported: bool
    up: bool | None = None
    duration: float | None = None
    age: float | None = None
    reason: str | None = None
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The facts about a probe itself. Durations in seconds, ``certificate_end`` in Unix seconds, None where unknown."""

    success: bool
    reason: str | None
    duration: float
    endpoints: tuple[EndpointOutcome, ...] = ()
    dropped: int = 0
    held_back: int = 0
    cooldown: float = 0.0
    pinned: bool = False
    certificate_end: float | None = None
    interfaces: tuple[tuple[str, bool], ...] = ()
    endpoint_metrics: bool = True


PROBE_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "probe_success",
        "1 when a core endpoint gave a usable answer in this probe and no login was refused.",
        (),
    ),
    ("probe_duration_seconds", "Duration of this probe, in seconds.", ()),
    (
        "probe_failure_reason",
        "Why the probe failed: exactly one reason is 1 when probe_success is 0.",
        ("reason",),
    ),
    (
        "powerwall_endpoint_supported",
        (
            "0 while this gateway is known not to have the endpoint (404), or not for an owner (403); "
            "looked at again after an hour."
        ),
        ("endpoint",),
    ),
    (
        "powerwall_endpoint_up",
        "1 if the endpoint's last request was answered with usable JSON, otherwise 0.",
        ("endpoint",),
    ),
    (
        "powerwall_endpoint_duration_seconds",
        "Duration of the endpoint's last request, in seconds.",
        ("endpoint",),
    ),
    (
        "powerwall_endpoint_age_seconds",
        "Age in seconds of the endpoint's answer that this probe shows; 0 when it was asked just now.",
        ("endpoint",),
    ),
    (
        "powerwall_unknown_values",
        "Words in the endpoint's answer that no firmware known to this release says; the log names each once.",
        ("endpoint",),
    ),
    (
        "powerwall_series_dropped",
        "Samples left out of this probe: equal label sets, or more than the limits on series allow.",
        (),
    ),
    (
        "powerwall_readings_held_back",
        "Counter readings that this probe kept to itself because they cannot be true; the log says which and why.",
        (),
    ),
    (
        "powerwall_interface_up",
        (
            "1 if a configured interface of the gateway answers: owner with its session, tedapi with its key or "
            "password; otherwise 0. The two are independent of each other."
        ),
        ("interface",),
    ),
    (
        "powerwall_login_cooldown_seconds",
        "Seconds until a login at this gateway may be tried again; 0 for now.",
        (),
    ),
    (
        "powerwall_tls_certificate_not_after_timestamp_seconds",
        "Time when the certificate that the gateway shows expires, in Unix seconds.",
        (),
    ),
    (
        "powerwall_tls_pinned",
        "1 if the gateway's certificate is pinned; 0 means that it is not validated.",
        (),
    ),
)
"""Name, help and labels of every family here. All are gauges."""

Rows = Iterable[tuple[tuple[str, ...], float | None]]


def probe_metrics(verdict: Verdict) -> list[FilledMetric]:
    """The metrics of one probe, in the order of `PROBE_FAMILIES`."""
    rows = _rows(verdict)
    metrics = []
    for name, documentation, labels in PROBE_FAMILIES:
        values = {texts: float(value) for texts, value in rows[name] if value is not None}
        if values:
            metrics.append(FilledMetric(heading(name, "gauge", documentation, labels), values))
    return metrics


def _rows(verdict: Verdict) -> dict[str, Rows]:
    endpoints = verdict.endpoints if verdict.endpoint_metrics else ()
    there = [outcome for outcome in endpoints if outcome.supported]
    return {
        "probe_success": [((), verdict.success)],
        "probe_duration_seconds": [((), verdict.duration)],
        "probe_failure_reason": [((reason,), reason == verdict.reason) for reason in REASONS],
        "powerwall_endpoint_supported": [((outcome.name,), outcome.supported) for outcome in endpoints],
        "powerwall_endpoint_up": [((outcome.name,), outcome.up) for outcome in there],
        "powerwall_endpoint_duration_seconds": [((outcome.name,), outcome.duration) for outcome in there],
        "powerwall_endpoint_age_seconds": [((outcome.name,), outcome.age) for outcome in there],
        "powerwall_unknown_values": [((outcome.name,), outcome.unknown) for outcome in there if outcome.up],
        "powerwall_series_dropped": [((), verdict.dropped)],
        "powerwall_readings_held_back": [((), verdict.held_back)],
        "powerwall_interface_up": [((name,), up) for name, up in verdict.interfaces],
        "powerwall_login_cooldown_seconds": [((), verdict.cooldown)],
        "powerwall_tls_certificate_not_after_timestamp_seconds": [((), verdict.certificate_end)],
        "powerwall_tls_pinned": [((), verdict.pinned)],
    }
