"""The scale on which Tesla's app shows charge and reserve: the lowest 5 % of the pack are hidden there."""

from __future__ import annotations

from typing import Final

HIDDEN: Final = 5.0
"""Percent of the pack that the app calls empty."""


def app_ratio(percent: float | None) -> float | None:
    """Return the charge that the app shows for ``percent`` of the whole pack, as a ratio between 0 and 1."""
    if percent is None:
        return None
    return min(max((percent - HIDDEN) / (100.0 - HIDDEN), 0.0), 1.0)
