"""The functions that write the documents of a living site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from probe_exporter.simulator import gateway_documents as gateway
from probe_exporter.simulator import legacy_documents as legacy
from probe_exporter.simulator import power_documents as power
from probe_exporter.simulator.moment import Moment
from probe_exporter.simulator.solar_inverter import solar_powerwall

Write = Callable[[Moment], Any]

DOCUMENTS: Final[dict[str, Write]] = {
    "meters/aggregates": power.aggregates,
    "system_status/soe": power.soe,
    "system_status/grid_status": power.grid_status,
    "system_status": power.system_status,
    "system_status/grid_faults": power.grid_faults,
    "meters/site": power.meters_site,
    "meters/solar": power.meters_solar,
    "meters/status": gateway.meters_status,
    "status": gateway.status,
    "sitemaster": gateway.sitemaster,
    "operation": gateway.operation,
    "solar_powerwall": solar_powerwall,
    "troubleshooting/problems": gateway.problems,
    "networks": gateway.networks,
    "site_info": gateway.site_info,
    "site_info/site_name": gateway.site_name,
    "solars": gateway.solars,
    "generators": gateway.generators,
    "customer/registration": gateway.registration,
    "system/update/status": gateway.update_status,
    "powerwalls": gateway.powerwalls,
}
"""By endpoint, for firmware since 21.44."""

LEGACY: Final[dict[str, Write]] = DOCUMENTS | {
    "meters/aggregates": legacy.aggregates,
    "system_status/grid_status": legacy.grid_status,
    "status": legacy.status,
    "sitemaster": legacy.sitemaster,
    "operation": legacy.operation,
    "networks": legacy.networks,
    "site_info": legacy.site_info,
    "system/update/status": legacy.update_status,
    "meters/site": legacy.meters_site,
    "meters/solar": legacy.meters_solar,
}
"""By endpoint, for firmware 1.x; what it does not have is left out by its profile."""
