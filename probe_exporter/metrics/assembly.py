"""From readings to metric families within the limits: duplicates, numbers of series, collectors, the counter guard."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from probe_exporter.metrics.catalogue import Family
from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.metrics.groups import MAX_ENDPOINT_SERIES, Admits, FamilyGroup, KeptTexts, fill, groups_of
from probe_exporter.readings import Readings

MAX_GATEWAY_SERIES: Final = 2000


@dataclass(slots=True)
class Assembled:
    """The families with samples, and what was left out. ``usable`` names the endpoints that gave a sample."""

    metrics: list[FilledMetric] = field(default_factory=list)
    usable: set[str] = field(default_factory=set)
    dropped: int = 0
    held_back: int = 0


def assemble(
    families: Iterable[Family], readings: Readings, collectors: Collection[str], admits: Admits
) -> Assembled:
    """Fill the families of ``collectors`` from ``readings``, and keep nothing."""
    return assemble_groups(groups_of(families, readings.by_tedapi), readings, collectors, admits, KeptTexts())


def assemble_groups(
    groups: Iterable[FamilyGroup],
    readings: Readings,
    collectors: Collection[str],
    admits: Admits,
    kept: KeptTexts,
) -> Assembled:
    """Fill the groups of ``collectors`` from ``readings``, or take their text where it is ``kept``.

    Of equal label sets the first is kept. At most 1,000 series an endpoint and 2,000 in all are kept; the rest is
    counted in ``dropped``. ``admits`` is asked about every sample of a counter.
    """
    result = Assembled()
    room = MAX_GATEWAY_SERIES
    endpoint_room: dict[str, int] = {}
    for group in groups:
        if group.collector not in collectors:
            continue
        left = min(room, endpoint_room.get(group.endpoint, MAX_ENDPOINT_SERIES))
        filled = kept.fill(group, readings, admits)
        if filled.series >= left:  # it was filled as if it were alone
            filled = fill(group, readings, admits, left)
        room -= filled.series
        endpoint_room[group.endpoint] = left - filled.series
        result.metrics += filled.metrics
        result.dropped += filled.dropped
        result.held_back += filled.held_back
        if filled.usable:
            result.usable.add(group.endpoint)
    return result
