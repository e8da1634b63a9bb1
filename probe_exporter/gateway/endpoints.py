"""The endpoints that are ever requested, and how often: the allow-list and the tiers.

Some GET paths of a gateway have side effects (``/api/sitemaster/stop`` stops the Powerwall), so nothing outside
this table is requested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probe_exporter.gateway.dialect import OWNER, Dialect

Tier = Literal["fast", "medium", "slow"]

PERIOD: Final[dict[Tier, float]] = {"fast": 0.0, "medium": 60.0, "slow": 600.0}
"""Seconds after which an endpoint of a tier is due again."""

SHOWN: Final[dict[Tier, float]] = {"fast": 30.0, "medium": 300.0, "slow": 1800.0}
"""Seconds up to which the reading of an endpoint is shown."""

SLOW_PER_PROBE = 2
"""The most slow endpoints that one probe asks, except the first probe."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of the allow-list. ``name`` is the value of the label ``endpoint``.

    ``dialect`` makes its requests and reads its answers; in that of the owner ``name`` is the path below ``/api/``.
    """

    name: str
    tier: Tier
    collector: str
    dialect: Dialect = OWNER

    @property
    def public(self) -> bool:
        """Return True if most firmware answers it without a session."""
        return self.name in ("status", "customer/registration")

    @property
    def core(self) -> bool:
        """Return True if it is a core endpoint: those never rest as forbidden."""
        return self.collector == "core"


ENDPOINTS = (
    Endpoint("meters/aggregates", "fast", "core"),
    Endpoint("system_status/soe", "fast", "core"),
    Endpoint("system_status/grid_status", "fast", "core"),
    Endpoint("system_status", "fast", "core"),
    Endpoint("meters/site", "fast", "meters"),
    Endpoint("meters/solar", "fast", "meters"),
    Endpoint("status", "medium", "core"),
    Endpoint("sitemaster", "medium", "core"),
    Endpoint("operation", "medium", "core"),
    Endpoint("solar_powerwall", "medium", "solar"),
    Endpoint("troubleshooting/problems", "slow", "core"),
    Endpoint("networks", "slow", "network"),
    Endpoint("site_info", "slow", "site"),
    Endpoint("site_info/site_name", "slow", "site"),
    Endpoint("solars", "slow", "site"),
    Endpoint("generators", "slow", "site"),
    Endpoint("customer/registration", "slow", "site"),
    Endpoint("system/update/status", "slow", "site"),
    Endpoint("powerwalls", "slow", "site"),
    Endpoint("system_status/grid_faults", "slow", "grid"),
    Endpoint("meters/status", "slow", "meters"),
)

BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}

FIRST: Final = ("meters/aggregates", "system_status/soe", "system_status/grid_status", "system_status")
"""The endpoints that a probe asks first, in this order: what a gateway is scraped for."""

SITE_MASTER: Final = FIRST[:3]
"""The endpoints that only a running site master answers."""

LAST_RESORT: Final = ("status", "sitemaster")
"""The endpoints that still answer where the site master is stopped: asked when all of `SITE_MASTER` failed."""
