"""Homes of several gateways on the page of the fleet: flows are added, charge is weighted by capacity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from probe_exporter.fleet import Site
from probe_exporter.natural import natural
from probe_exporter.readings import Readings


@dataclass(frozen=True, slots=True)
class Part:
    """The share of a gateway in its home. Powers in W, energies in J; None where unknown."""

    site: Site
    answers: bool
    powers: dict[str, float]
    charge: float | None
    capacity: float | None
    stored: float | None


@dataclass(frozen=True, slots=True)
class HomeRow:
    """A home as a line of the page. A sum is None unless the part of every gateway of the home is known."""

    name: str
    members: tuple[str, ...]
    answering: int
    charge: float | None
    stored: float | None
    solar: float | None
    load: float | None
    battery: float | None
    grid: float | None


def part(site: Site, readings: Readings, powers: dict[str, float]) -> Part:
    """Return the share of a gateway by its last good probe; the powers of a gateway that fails now are left out."""
    answers = site.last is not None and site.last.success
    soe, system = readings.soe, readings.system_status
    capacity = (system.full_energy if system is not None else None) or site.config.capacity
    stored = system.remaining_energy if system is not None else None
    if stored is None and soe is not None and soe.ratio is not None and capacity is not None:
        stored = soe.ratio * capacity
    return Part(site, answers, powers if answers else {}, readings.app_charge, capacity, stored)


def homes(parts: Iterable[Part]) -> list[HomeRow]:
    """Return the homes that have several gateways, by name."""
    found: dict[str, list[Part]] = {}
    for one in parts:
        home = one.site.config.labels.get("home")
        if home is not None:
            found.setdefault(home, []).append(one)
    names = sorted((name for name, members in found.items() if len(members) > 1), key=natural)
    return [_row(name, found[name]) for name in names]


def _row(name: str, members: list[Part]) -> HomeRow:
    whole = all(one.answers for one in members)
    return HomeRow(
        name,
        tuple(sorted((one.site.name for one in members), key=natural)),
        sum(one.answers for one in members),
        _charge(members) if whole else None,
        _sum(one.stored for one in members) if whole else None,
        *(
            _sum(one.powers.get(category) for one in members)
            for category in ("solar", "load", "battery", "site")
        ),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum; None where one value is missing."""
    known = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return math.fsum(known)


def _charge(members: list[Part]) -> float | None:
    """Return the charge of the home: weighted by capacity where all are known, else their mean."""
    charges = [one.charge for one in members if one.charge is not None]
    if len(charges) < len(members):
        return None
    capacity = _sum(one.capacity for one in members)
    if not capacity:
        return math.fsum(charges) / len(charges)
    weighed = (charge * (one.capacity or 0.0) for charge, one in zip(charges, members, strict=True))
    return math.fsum(weighed) / capacity
