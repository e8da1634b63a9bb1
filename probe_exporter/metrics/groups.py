"""The catalogue in groups: families that stand together, come from one endpoint and are made of the same readings.

A group is the unit that is filled. A group of readings that are asked once a minute or less is filled and written once,
when they arrive. Its text is cached until one of these readings changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from math import isfinite
from typing import Final

from probe_exporter.metrics.catalogue import Family
from probe_exporter.metrics.exposition import written
from probe_exporter.metrics.filled import FilledMetric, Heading, Values
from probe_exporter.readings import Readings

MAX_ENDPOINT_SERIES: Final = 1000

MAX_TEXTS: Final = 4096
"""Texts of families that are kept once for the whole process, for as long as it runs."""

MAX_SHARED: Final = 2048
"""Characters of such a text: a state of a site has 1,000."""

Admits = Callable[[str, tuple[str, ...], float], bool]


@dataclass(frozen=True, slots=True, eq=False)
class FamilyGroup:
    """Families of one endpoint that stand together.

    ``reads`` are the attributes of `Readings` that determine their samples. ``lasting`` is true where those are asked
    once a minute or less, and no counter is among the families: what is held back may change between two readings.
    """

    families: tuple[Family, ...]
    endpoint: str
    collector: str
    reads: tuple[str, ...]
    lasting: bool


def groups_of(
    families: Iterable[Family],
    by_tedapi: frozenset[str] = frozenset(),
    lasting: Collection[str] = (),
) -> tuple[FamilyGroup, ...]:
    """Return the groups of a catalogue, in its order. ``lasting`` are the attributes of `Readings` that seldom change.

    ``by_tedapi`` are the endpoints whose families come from TEDAPI.
    """
    readings = Readings(by_tedapi=by_tedapi)

    def kin(family: Family) -> tuple[str, str, tuple[str, ...], bool]:
        seldom = family.kind != "counter" and set(family.reads) <= set(lasting)
        return family.endpoint, family.collector, family.reads, seldom

    sources = [family.source(readings) for family in families]
    return tuple(FamilyGroup(tuple(members), *key) for key, members in groupby(sources, kin))


@dataclass(frozen=True, slots=True)
class FilledGroup:
    """The families of a group that have samples. ``usable`` is true where the endpoint gave one, held back or not."""

    metrics: tuple[FilledMetric, ...] = ()
    series: int = 0
    dropped: int = 0
    held_back: int = 0
    usable: bool = False


def fill(
    group: FamilyGroup, readings: Readings, admits: Admits, room: int = MAX_ENDPOINT_SERIES
) -> FilledGroup:
    """Fill the families of a group with ``room`` samples at most, first come first kept."""
    metrics: list[FilledMetric] = []
    left, dropped, held_back, usable = room, 0, 0, False
    for family in group.families:
        samples: dict[tuple[str, ...], float] = {}
        guarded = family.kind == "counter"
        for labels, value in family.read(readings):
            if not isfinite(value):
                continue
            usable = True
            if labels in samples or len(samples) >= left:
                dropped += 1
            elif guarded and not admits(family.name, labels, value):
                held_back += 1
            else:
                samples[labels] = value
        if samples:
            left -= len(samples)
            metrics.append(FilledMetric(family.heading, samples))
    return FilledGroup(tuple(metrics), room - left, dropped, held_back, usable)


@dataclass(frozen=True, slots=True)
class _Refill:
    """A group, and the readings that its text was made of. Called with a heading, it fills that family again."""

    group: FamilyGroup
    made_of: tuple[object, ...]

    def __call__(self, heading: Heading) -> Values:
        readings = Readings()
        for name, reading in zip(self.group.reads, self.made_of, strict=True):
            setattr(readings, name, reading)
        alone = tuple(family for family in self.group.families if family.heading is heading)
        return fill(replace(self.group, families=alone), readings, lambda *_: True).metrics[0].values


class KeptTexts:
    """The lasting groups of one gateway, filled and written, each with the readings that it was made of."""

    def __init__(self) -> None:
        self._kept: dict[FamilyGroup, tuple[tuple[object, ...], FilledGroup]] = {}

    def fill(self, group: FamilyGroup, readings: Readings, admits: Admits) -> FilledGroup:
        """Fill a group, from what is kept where that was made of the same readings."""
        if not group.lasting:
            return fill(group, readings, admits)
        made_of = tuple([getattr(readings, name) for name in group.reads])
        kept = self._kept.get(group)
        if kept is None or kept[0] != made_of:
            filled, source = fill(group, readings, admits), _Refill(group, made_of)
            metrics = tuple([_written(metric, source) for metric in filled.metrics])
            kept = self._kept[group] = made_of, replace(filled, metrics=metrics)
        return kept[1]


_shared: Final[dict[tuple[Heading, str], FilledMetric]] = {}


def _written(metric: FilledMetric, source: _Refill) -> FilledMetric:
    """A family as text. A thousand gateways are in the same few states: of up to `MAX_TEXTS` texts there is one copy.

    States and identities have the value 0 or 1; measurements are not among them, as each is another.
    """
    text = written(metric)
    key = metric.heading, text
    if key in _shared:
        return _shared[key]
    short = len(text) <= MAX_SHARED and len(_shared) < MAX_TEXTS
    if short and set(metric.values.values()) <= {0.0, 1.0}:
        _shared[key] = FilledMetric(metric.heading, metric.values, text)
        return _shared[key]
    return FilledMetric(metric.heading, source, text)
