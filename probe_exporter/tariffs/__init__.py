"""Prices by time of use: the conditions of a price, the entry that applies at a moment, and entries that never can.

Nothing here reads a file, the clock or the configuration.
"""

from __future__ import annotations

from probe_exporter.tariffs.plan import PriceEntry, Prices, Tariff
from probe_exporter.tariffs.reach import never_applying

__all__ = ["PriceEntry", "Prices", "Tariff", "never_applying"]
