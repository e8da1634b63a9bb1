"""The metrics of a gateway: `CATALOGUE` has every family, declared once."""

from __future__ import annotations

from probe_exporter.metrics import (
    battery,
    grid,
    meters,
    network,
    powerwalls,
    site,
    solar,
    status,
    system,
    tedapi,
    tedapi_inverters,
    tedapi_packs,
    tedapi_site,
)
from probe_exporter.metrics.catalogue import Family

_TEDAPI = (tedapi_packs, tedapi_inverters, tedapi_site)
_SUBJECTS = (meters, battery, system, grid, status, powerwalls, site, network, solar, *_TEDAPI)

CATALOGUE: tuple[Family, ...] = tuple(
    sorted(
        tedapi.paired(
            (family for subject in _SUBJECTS for family in subject.FAMILIES),
            (twin for subject in _TEDAPI for twin in subject.TWINS),
        ),
        key=lambda family: family.collector != "core",
    )
)
"""Core families first: where the limits on series apply, they are the last to be dropped. The order is stable."""

COUNTERS: tuple[Family, ...] = tuple(family for family in CATALOGUE if family.kind == "counter")
"""The families whose readings the counter guard judges."""

TWINNED: frozenset[str] = frozenset(family.endpoint for family in CATALOGUE if family.twin is not None)
"""The endpoints of the owner interface whose place TEDAPI can take."""

__all__ = ["CATALOGUE", "COUNTERS", "TWINNED"]
