"""The declaration of families from TEDAPI: its own ones, and twins of families of the owner interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.source import MINUTE, TEN_MINUTES, Source
from probe_exporter.readings import Readings

COLLECTOR = "tedapi"
_ANY = "with TEDAPI"
_POWERWALL_3 = "Powerwall 3 with TEDAPI"

CONFIG = Source("tedapi/config", lambda readings: readings.tedapi_config, TEN_MINUTES, COLLECTOR, _ANY)
SYSTEM = Source("tedapi/system", lambda readings: readings.tedapi_system, TEN_MINUTES, COLLECTOR, _ANY)
CONTROLLER = Source("tedapi/controller", lambda readings: readings.tedapi_controller, MINUTE, COLLECTOR, _ANY)
UNITS = Source("tedapi/components", lambda readings: readings.units or None, MINUTE, COLLECTOR, _POWERWALL_3)
PACKS = Source("tedapi/components", lambda readings: readings.packs or None, MINUTE, COLLECTOR, _POWERWALL_3)


@dataclass(frozen=True, slots=True)
class Twin:
    """The values from TEDAPI for a family that is declared elsewhere. ``origin`` lists the source fields."""

    name: str
    endpoint: str
    origin: str
    read: Callable[[Readings], Iterable[Sample]]


def paired(families: Iterable[Family], twins: Iterable[Twin]) -> Iterator[Family]:
    """The families, each with its twin where it has one. ValueError for a twin of nothing."""
    by_name = {twin.name: twin for twin in twins}
    for family in families:
        twin = by_name.pop(family.name, None)
        yield family if twin is None else _pair(family, twin)
    if by_name:
        raise ValueError(f"no such families: {', '.join(by_name)}")


def _pair(family: Family, twin: Twin) -> Family:
    """Both share one HELP, which names both origins."""
    text = f"{family.help} With TEDAPI from {twin.endpoint}: {twin.origin}."
    other = replace(family, help=text, endpoint=twin.endpoint, read=twin.read, collector=COLLECTOR, also=())
    return replace(family, help=text, twin=other)
