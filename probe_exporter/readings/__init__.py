"""What a gateway said, as typed values in base units. Gateway field names stop in this package."""

from __future__ import annotations

from probe_exporter.readings.document import Readings, read

__all__ = ["Readings", "read"]
