"""The counter guard: Prometheus takes a false step back of a lifetime counter for the whole lifetime again.

A gateway's counters read 0 for minutes after a boot. Derived ones (the load's) step back. They jump where a battery is
added, and begin anew where a meter is replaced. The guard holds readings back; it never changes a value and never adds
up. `rules` says what is doubted and when it is believed, `holds` keeps what is held back across a restart.
"""

from __future__ import annotations

from probe_exporter.metrics.guard.counter_guard import CounterGuard, counters
from probe_exporter.metrics.guard.holds import HoldStore
from probe_exporter.metrics.guard.rules import Key

__all__ = ["CounterGuard", "HoldStore", "Key", "counters"]
