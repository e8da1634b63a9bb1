"""``probe_exporter simulate``: gateways that are not there, and a configuration that fits them."""

from __future__ import annotations
