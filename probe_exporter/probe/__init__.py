"""Probes: runs that belong to a gateway, what they keep, and the answers that are made of it."""

from __future__ import annotations

from probe_exporter.metrics.probe import EndpointOutcome
from probe_exporter.probe.answer import answer_without_run
from probe_exporter.probe.memory import Kept, Memory
from probe_exporter.probe.patience import LONGEST_PROBE, probe_deadline
from probe_exporter.probe.prober import Prober
from probe_exporter.probe.result import PastProbe, ProbeResult
from probe_exporter.probe.site import Site
from probe_exporter.probe.waiting import Waiter

__all__ = [
    "LONGEST_PROBE",
    "EndpointOutcome",
    "Kept",
    "Memory",
    "PastProbe",
    "ProbeResult",
    "Prober",
    "Site",
    "Waiter",
    "answer_without_run",
    "probe_deadline",
]
