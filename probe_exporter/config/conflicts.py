"""Conflicts between the gateways of a configuration: an address, a name, a home with two tariffs."""

from __future__ import annotations

from collections.abc import Mapping

from probe_exporter.config import values
from probe_exporter.config.schema import DEFAULT_TARIFF, GatewayConfig, Module
from probe_exporter.config.sources import Notes, Place


def note_conflicts(
    gateways: Mapping[str, GatewayConfig], places: Mapping[str, Place], mistakes: Notes
) -> None:
    """Note each gateway that repeats what another one above it has. ``places`` are those of the gateways, by name."""
    owners: dict[tuple[str, int], str] = {}
    for name, gateway in gateways.items():
        for index, address in enumerate(gateway.addresses):
            owner = owners.setdefault(values.address_key(address), name)
            if owner != name:
                place = _address_place(places[name], index if len(gateway.addresses) > 1 else None)
                mistakes.add(place, f"the gateway in {places[owner]} has this address already; remove one")
    for name, place in places.items():
        owner = owners.get(values.address_in(name), name)
        if owner != name and place.has("gateway_address"):
            mistakes.add(place, f"this name is the address of the gateway in {places[owner]}; rename one")
    _note_homes(gateways, places, mistakes)


def warn_of_tariffs(
    gateways: Mapping[str, GatewayConfig],
    modules: Mapping[str, Module],
    tariffs: Mapping[str, Place],
    places: Mapping[str, Place],
    warnings: Notes,
) -> None:
    """Note tariffs that no gateway has, and those whose prices a module leaves out."""
    used = {gateway.tariff or DEFAULT_TARIFF for gateway in gateways.values()}
    for name, place in tariffs.items():
        if name not in used:
            warnings.add(place, "no gateway has this tariff; name it at one with tariff:")
    for name, gateway in gateways.items():
        module = modules.get(gateway.module)
        if gateway.tariff is not None and module is not None and "tariff" not in module.collectors:
            warnings.add(
                places[name].below("tariff"),
                "the module of this gateway leaves out the collector tariff: no prices are exported",
            )


def _address_place(gateway: Place, index: int | None) -> Place:
    if not gateway.has("gateway_address"):
        return gateway
    place = gateway.below("gateway_address")
    return place if index is None else place.below(index)


def _note_homes(gateways: Mapping[str, GatewayConfig], places: Mapping[str, Place], mistakes: Notes) -> None:
    """Note where one utility meter would have two tariffs."""
    homes: dict[str, str] = {}
    for name, gateway in gateways.items():
        home = gateway.labels.get("home")
        if home is None or gateway.prices is None:
            continue
        first = homes.setdefault(home, name)
        if gateways[first].prices != gateway.prices:
            place = places[name]
            mistakes.add(
                place.below("tariff") if place.has("tariff") else place,
                f"has another tariff than the gateway in {places[first]}, which belongs to the same "
                "home; gateways of one home share one utility meter and one tariff",
            )
