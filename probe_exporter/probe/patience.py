"""The time that a client waits for its answer."""

from __future__ import annotations

import math
from typing import Final

from probe_exporter.config import Module

LONGEST_PROBE: Final = 3600.0
"""Seconds that a probe may take, whatever its client allows: clocks of the system overflow on much longer ones."""

LEAST_OFFSET: Final = 0.1
"""Seconds that are kept back from the client's patience at least: the answer must be made and travel back."""

_SHARE: Final = 0.05
"""The part of the client's patience that is kept back at least."""


def probe_deadline(module: Module, header: str | None, now: float) -> float:
    """Return when the answer of a probe is made at the latest, in the seconds of ``now``.

    ``header`` is X-Prometheus-Scrape-Timeout-Seconds; a malformed one counts as missing, and the module's ``timeout``
    takes its place. Kept back are the module's offset, 0.1 s or a twentieth, whichever is most, but never more than
    half.
    """
    try:
        patience = float(header) if header is not None else math.nan
    except ValueError:
        patience = math.nan
    if not (math.isfinite(patience) and patience > 0.0):
        patience = module.timeout
    kept_back = max(module.timeout_offset, LEAST_OFFSET, _SHARE * patience)
    return now + min(max(patience - kept_back, patience / 2.0), LONGEST_PROBE)
