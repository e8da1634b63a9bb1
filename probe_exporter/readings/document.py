"""All that is known of one gateway: one attribute per endpoint, and the way from a JSON document to it.

Owns the table of parsers. Parsers are pure: a payload and the Unix time it was read go in, a frozen value comes out.
A parser that finds nothing usable returns the same value as it does for no document at all; an empty list whose
length is exported must differ from that (a count of 0 against None).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from probe_exporter.readings.battery import (
    Charge,
    Powerwalls,
    SystemStatus,
    parse_powerwalls,
    parse_soe,
    parse_system_status,
)
from probe_exporter.readings.grid import GridFaults, GridStatus, parse_grid_faults, parse_grid_status
from probe_exporter.readings.meters import (
    Aggregates,
    MeterDevices,
    MetersStatus,
    parse_aggregates,
    parse_meter_devices,
    parse_meters_status,
)
from probe_exporter.readings.network import Networks, parse_networks
from probe_exporter.readings.payload import Payload
from probe_exporter.readings.site import (
    Generators,
    SiteInfo,
    SiteName,
    Solars,
    parse_generators,
    parse_site_info,
    parse_site_name,
    parse_solars,
)
from probe_exporter.readings.solar import SolarPowerwall, parse_solar_powerwall
from probe_exporter.readings.status import (
    Operation,
    Problems,
    Registration,
    SiteMaster,
    Status,
    UpdateStatus,
    parse_operation,
    parse_problems,
    parse_registration,
    parse_sitemaster,
    parse_status,
    parse_update_status,
)
from probe_exporter.readings.tedapi_components import Components, parse_components
from probe_exporter.readings.tedapi_config import SiteConfig, parse_tedapi_config
from probe_exporter.readings.tedapi_controller import Controller, parse_controller
from probe_exporter.readings.tedapi_packs import NamedPack, named_packs
from probe_exporter.readings.tedapi_system import SystemInfo, parse_system_info


@dataclass(slots=True)
class Readings:
    """The readings of the endpoints of one gateway, None where there is no reading.

    ``by_tedapi`` names the endpoints of the owner interface whose families come from TEDAPI: for as long as the
    configuration holds, never from one probe to the next. ``tedapi_followers`` are the units behind the leader.
    """

    aggregates: Aggregates | None = None
    soe: Charge | None = None
    grid_status: GridStatus | None = None
    system_status: SystemStatus | None = None
    meters_site: MeterDevices | None = None
    meters_solar: MeterDevices | None = None
    status: Status | None = None
    sitemaster: SiteMaster | None = None
    operation: Operation | None = None
    solar_powerwall: SolarPowerwall | None = None
    problems: Problems | None = None
    networks: Networks | None = None
    site_info: SiteInfo | None = None
    site_name: SiteName | None = None
    solars: Solars | None = None
    generators: Generators | None = None
    registration: Registration | None = None
    update_status: UpdateStatus | None = None
    powerwalls: Powerwalls | None = None
    grid_faults: GridFaults | None = None
    meters_status: MetersStatus | None = None
    tedapi_config: SiteConfig | None = None
    tedapi_system: SystemInfo | None = None
    tedapi_controller: Controller | None = None
    tedapi_components: Components | None = None
    tedapi_followers: tuple[Components, ...] = ()
    by_tedapi: frozenset[str] = frozenset()

    @property
    def powers(self) -> dict[str, float]:
        """Watts by category, of those that are known; by TEDAPI where the owner interface is not asked."""
        if self.aggregates is not None:
            told = ((one.name, one.measured.power) for one in self.aggregates.categories)
            return {name: power for name, power in told if power is not None}
        return {} if self.tedapi_controller is None else dict(self.tedapi_controller.flows)

    @property
    def app_charge(self) -> float | None:
        """State of charge as Tesla's app shows it, a ratio; by TEDAPI where the owner interface is not asked."""
        if self.soe is not None:
            return self.soe.app_ratio
        return None if self.tedapi_controller is None else self.tedapi_controller.app_charge

    @property
    def units(self) -> tuple[Components, ...]:
        """The Powerwall 3 units that TEDAPI reported, the leader first."""
        leader = () if self.tedapi_components is None else (self.tedapi_components,)
        return leader + self.tedapi_followers

    @property
    def packs(self) -> tuple[NamedPack, ...]:
        """The packs that TEDAPI reported."""
        return named_packs(self.tedapi_config, self.units, self.tedapi_controller)

    @property
    def faults(self) -> GridFaults | None:
        """The grid faults: the list inside the system status where it has one, as that is read at every probe."""
        if self.system_status is not None and self.system_status.grid_faults is not None:
            return self.system_status.grid_faults
        return self.grid_faults


@dataclass(frozen=True, slots=True)
class Reading:
    """The reading of one document. ``value`` is None where nothing in it was usable.

    ``unknown`` are the words in it that no known firmware uses, in the order met.
    """

    value: object | None
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """The place of an endpoint's value in `Readings`, its parser, and its value without a document."""

    attribute: str
    parse: Callable[[Payload, float], object]
    empty: object


def _form(attribute: str, parse: Callable[[Payload, float], object]) -> _Form:
    return _Form(attribute, parse, parse(Payload(None), 0.0))


_FORMS = {
    "meters/aggregates": _form("aggregates", parse_aggregates),
    "system_status/soe": _form("soe", parse_soe),
    "system_status/grid_status": _form("grid_status", parse_grid_status),
    "system_status": _form("system_status", parse_system_status),
    "meters/site": _form("meters_site", parse_meter_devices),
    "meters/solar": _form("meters_solar", parse_meter_devices),
    "status": _form("status", parse_status),
    "sitemaster": _form("sitemaster", parse_sitemaster),
    "operation": _form("operation", parse_operation),
    "solar_powerwall": _form("solar_powerwall", parse_solar_powerwall),
    "troubleshooting/problems": _form("problems", parse_problems),
    "networks": _form("networks", parse_networks),
    "site_info": _form("site_info", parse_site_info),
    "site_info/site_name": _form("site_name", parse_site_name),
    "solars": _form("solars", parse_solars),
    "generators": _form("generators", parse_generators),
    "customer/registration": _form("registration", parse_registration),
    "system/update/status": _form("update_status", parse_update_status),
    "powerwalls": _form("powerwalls", parse_powerwalls),
    "system_status/grid_faults": _form("grid_faults", parse_grid_faults),
    "meters/status": _form("meters_status", parse_meters_status),
    "tedapi/config": _form("tedapi_config", parse_tedapi_config),
    "tedapi/system": _form("tedapi_system", parse_system_info),
    "tedapi/controller": _form("tedapi_controller", parse_controller),
    "tedapi/components": _form("tedapi_components", parse_components),
}

ATTRIBUTES: dict[str, str] = {endpoint: form.attribute for endpoint, form in _FORMS.items()}
"""The attribute of `Readings` that holds the reading of an endpoint."""


def read(endpoint: str, document: object, read_at: float) -> Reading:
    """Return the reading of a decoded JSON ``document`` from ``endpoint``; ``read_at`` is in Unix seconds.

    Never raises on content; KeyError for an endpoint that is not in the table.
    """
    form = _FORMS[endpoint]
    payload = Payload(document)
    value = form.parse(payload, read_at)
    return Reading(None if value == form.empty else value, tuple(dict.fromkeys(payload.unknown)))
