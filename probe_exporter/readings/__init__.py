"""The answers of a gateway as typed values in base units. Gateway field names stop in this package."""

from __future__ import annotations

from probe_exporter.readings.document import ATTRIBUTES, Reading, Readings, read
from probe_exporter.readings.network import without_names

__all__ = ["ATTRIBUTES", "Reading", "Readings", "read", "without_names"]
