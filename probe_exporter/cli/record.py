"""``probe_exporter record`` and ``replay``: what a gateway answers as one file, and the metrics of such a file."""

from __future__ import annotations
