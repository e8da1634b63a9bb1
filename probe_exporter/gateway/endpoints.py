"""The endpoints that are ever requested, and how often: the allow-list and the tiers.

Some GET paths of a gateway have side effects (``/api/sitemaster/stop`` stops the Powerwall), so nothing outside
this table is requested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["fast", "medium", "slow"]

PERIOD: dict[Tier, float] = {"fast": 0.0, "medium": 60.0, "slow": 600.0}
"""Seconds after which an endpoint of a tier is due again."""

SLOW_PER_PROBE = 2
"""How many slow endpoints one probe asks at most, the first probe excepted."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path below ``/api/``; ``name`` is that path and the value of the label ``endpoint``."""

    name: str
    tier: Tier
    collector: str

    @property
    def public(self) -> bool:
        """Most firmware answers it without a session."""
        return self.name in ("status", "customer/registration")

    @property
    def core(self) -> bool:
        """Core endpoints are asked first and never rest as forbidden."""
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

DECISIVE = ("meters/aggregates", "system_status/soe", "system_status/grid_status", "status")
"""A probe succeeds when one of these gave a usable answer."""
