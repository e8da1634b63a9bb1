"""What is seldom read is written once: as text, kept for as long as the readings are the same that it was made of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import combinations

import pytest

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.metrics import CATALOGUE, TWINNED
from probe_exporter.metrics.assembly import Assembled, assemble, assemble_groups
from probe_exporter.metrics.catalogue import TEDAPI_READINGS, Family, Sample
from probe_exporter.metrics.compat import go_exporter
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.metrics.groups import KeptTexts, fill, groups_of
from probe_exporter.readings import ATTRIBUTES, Readings, without_names
from tests.readings_of import SYSTEMS, readings_of

EVERY_READING = tuple(one.name for one in fields(Readings) if one.name != "by_tedapi")
SELDOM = {ATTRIBUTES[one.name] for one in ENDPOINTS if one.tier != "fast"} | set(TEDAPI_READINGS)
FAMILIES = [*CATALOGUE, *(family.twin for family in CATALOGUE if family.twin is not None)]


def looked_at(family: Family, readings: Readings) -> set[str]:
    """The attributes of the readings that a family looks at."""
    seen: set[str] = set()

    class Watched(Readings):
        def __getattribute__(self, name: str) -> object:
            if name in EVERY_READING:
                seen.add(name)
            return super().__getattribute__(name)

    watched = Watched(**{one.name: getattr(readings, one.name) for one in fields(Readings)})
    seen.clear()
    list(family.read(watched))
    return seen


def with_gaps(readings: Readings, names: tuple[str, ...]) -> Iterator[Readings]:
    """The readings, and the same without each one and each two of ``names``."""
    gaps = [(), *((name,) for name in names), *combinations(names, 2)]
    for gap in gaps:
        yield replace(readings, **{name: () if name == "tedapi_followers" else None for name in gap})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.endpoint}:{family.name}")
def test_a_family_declares_what_it_reads(family: Family) -> None:
    """Whatever is there and whatever is missing; and it declares nothing that it never looks at."""
    seen = {
        name
        for system in SYSTEMS
        for readings in with_gaps(readings_of(system), family.reads)
        for name in looked_at(family, readings)
    }
    assert seen <= set(family.reads)
    assert set(family.also) <= seen


def outcome(result: Assembled) -> tuple[object, ...]:
    texts = [
        render(metrics, form) for form in Format for metrics in (result.metrics, go_exporter(result.metrics))
    ]
    samples = [
        (sample.name, sample.labels, sample.value) for metric in result.metrics for sample in metric.samples
    ]
    return (*texts, samples, result.usable, result.dropped, result.held_back)


@pytest.mark.parametrize("by_tedapi", [frozenset(), TWINNED], ids=["owner", "TEDAPI"])
def test_kept_text_is_the_text_of_these_readings(by_tedapi: frozenset[str]) -> None:
    """Over hundreds of probes between which some readings arrive, others grow too old, and modules differ."""
    chance = random.Random(15)
    systems = [replace(readings_of(system), by_tedapi=by_tedapi) for system in SYSTEMS]
    groups, kept, readings = groups_of(CATALOGUE, by_tedapi, SELDOM), KeptTexts(), replace(systems[0])
    for _ in range(80):
        for name in chance.sample(EVERY_READING, chance.choice((0, 0, 1, 3))):
            missing = replace(Readings(), by_tedapi=by_tedapi)
            setattr(readings, name, getattr(chance.choice([*systems, missing]), name))
        if readings.networks is not None and chance.random() < 0.2:
            readings.networks = without_names(readings.networks)
        collectors = chance.choice((COLLECTORS, ("core", "site"), ("core", "network", "tedapi")))
        held = chance.choice(("site", "solar", "none"))

        def admits(name: str, labels: tuple[str, ...], value: float, held: str = held) -> bool:
            return held not in labels

        found = assemble_groups(groups, readings, collectors, admits, kept)
        assert outcome(found) == outcome(assemble(CATALOGUE, readings, collectors, admits))


def test_what_is_kept_is_not_filled_again() -> None:
    calls = []

    def read(readings: Readings) -> Iterator[Sample]:
        calls.append(readings.status)
        yield ("x",), 1.0

    family = Family("a", "gauge", "help", "status", read, ("label",))
    (group,) = groups_of([family], lasting={"status"})
    kept, readings = KeptTexts(), readings_of(SYSTEMS[0])
    for _ in range(3):
        kept.fill(group, readings, lambda *_: True)
    assert calls == [readings.status]
    readings.status = None
    assert kept.fill(group, readings, lambda *_: True).metrics[0].lines == 'a{label="x"} 1.0\n'
    assert len(calls) == 2


@pytest.mark.parametrize("lasting", [(), ("status",)], ids=["filled", "kept"])
def test_limits_hold_for_what_is_kept(lasting: tuple[str, ...]) -> None:
    def many(name: str, count: int) -> Family:
        return Family(
            name, "gauge", "help", "status", lambda _: [((str(i),), 1.0) for i in range(count)], ("label",)
        )

    def core(_: Readings) -> list[Sample]:
        return [((str(i),), 1.0) for i in range(700)]

    families = [many("a", 600), many("b", 600)]
    (group,) = groups_of(families, lasting=lasting)
    assert fill(group, Readings(), lambda *_: True, 1000).series == 1000
    others = [Family(f"c{i}", "gauge", "help", f"other{i}", core, ("label",)) for i in range(2)]
    for order in ([*families, *others], [*others, *families]):
        result = assemble_groups(
            groups_of(order, lasting=lasting), Readings(), ("core",), lambda *_: True, KeptTexts()
        )
        assert outcome(result) == outcome(assemble(order, Readings(), ("core",), lambda *_: True))
        assert sum(len(metric.values) for metric in result.metrics) == 2000
        assert result.dropped == 2600 - 2000


def test_no_counter_is_kept() -> None:
    """What the guard holds back may change between two readings."""
    kinds = {
        family.kind
        for by_tedapi in (frozenset[str](), TWINNED)
        for group in groups_of(CATALOGUE, by_tedapi, SELDOM)
        if group.lasting
        for family in group.families
    }
    assert kinds == {"gauge"}
