"""From readings to metric families within the limits: duplicates, numbers of series, collectors, the counter guard."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from probe_exporter.metrics.catalogue import Family
from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.readings import Readings

MAX_ENDPOINT_SERIES: Final = 1000
MAX_GATEWAY_SERIES: Final = 2000

Admits = Callable[[str, tuple[str, ...], float], bool]


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
    """Fill the families of ``collectors`` from ``readings``.

    Of equal label sets the first wins. At most 1,000 series an endpoint and 2,000 in all are kept; the rest is
    counted in ``dropped``. ``admits`` is asked about every sample of a counter.
    """
    result = Assembled()
    room = MAX_GATEWAY_SERIES
    endpoint_room: dict[str, int] = {}
    for declared in families:
        family = declared.source(readings)
        if family.collector not in collectors:
            continue
        left = min(room, endpoint_room.get(family.endpoint, MAX_ENDPOINT_SERIES))
        samples = _fill(family, readings, left, admits, result)
        if not samples:
            continue
        room -= len(samples)
        endpoint_room[family.endpoint] = endpoint_room.get(family.endpoint, MAX_ENDPOINT_SERIES) - len(
            samples
        )
        result.metrics.append(FilledMetric(family.heading, samples))
    return result


def _fill(
    family: Family, readings: Readings, left: int, admits: Admits, result: Assembled
) -> dict[tuple[str, ...], float]:
    """The samples of one family, first come first kept."""
    samples: dict[tuple[str, ...], float] = {}
    guarded = family.kind == "counter"
    usable = False
    for labels, value in family.read(readings):
        if not isfinite(value):
            continue
        usable = True
        if labels in samples or len(samples) >= left:
            result.dropped += 1
        elif guarded and not admits(family.name, labels, value):
            result.held_back += 1
        else:
            samples[labels] = value
    if usable:
        result.usable.add(family.endpoint)
    return samples
