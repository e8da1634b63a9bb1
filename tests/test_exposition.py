"""Our own renderer writes, byte for byte, what prometheus_client's generators write."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.exposition import Format, registry, render
from probe_exporter.metrics.probe import PROBE_FAMILIES

FAMILIES = [
    *(("gauge", name, text, labels) for name, text, labels in PROBE_FAMILIES),
    *((one.kind, one.name, one.help, one.labels) for one in CATALOGUE),
]
KINDS = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
GENERATORS = {Format.TEXT: generate_latest, Format.OPENMETRICS: openmetrics.generate_latest}

VALUES = [0.0, -0.0, 1.0, -1.5, 1e10, 123456.0, 1234567.0, 1e-7, 0.1 + 0.2, 1e300, 5e-324]
VALUES += [math.inf, -math.inf, math.nan, 1797693134862315.7, 1.797e308]
TEXTS = ["", "plain", 'quo"te', "back\\slash", "line\nbreak", "\\n", "é 🔋 \u202e", "{}=,#"]


def family(
    kind: str, name: str, labels: Sequence[str], rows: Sequence[tuple[Sequence[str], float]]
) -> Metric:
    metric = KINDS[kind](name, 'help with a "quote", a \\ and\na break', labels=labels)
    for texts, value in rows:
        metric.add_metric(texts, value)
    return metric


def assert_alike(metrics: Sequence[Metric]) -> None:
    for form, generate in GENERATORS.items():
        assert render(metrics, form) == generate(registry(metrics))


@pytest.mark.parametrize(("kind", "name", "text", "labels"), FAMILIES, ids=[one[1] for one in FAMILIES])
def test_the_catalogue(kind: str, name: str, text: str, labels: tuple[str, ...]) -> None:
    metric = KINDS[kind](name, text, labels=labels)
    for label, value in zip(TEXTS * 2, VALUES, strict=True) if labels else [("", 1.0)]:
        metric.add_metric([label] * len(labels), value)
    assert_alike([metric])


@given(st.sampled_from(sorted(KINDS)), st.floats(), st.integers(-(10**18), 10**18))
@example("gauge", 123456.0, 1000000)
def test_any_number(kind: str, number: float, whole: int) -> None:
    assert_alike(
        [family(kind, "some_name", [], [([], number)]), family(kind, "other", [], [([], float(whole))])]
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
def test_any_label_value(texts: list[str]) -> None:
    assert_alike([family("gauge", "some_name", ["b_second", "a_first"], [(texts, 1.0)])])


def test_nothing_at_all() -> None:
    assert_alike([])
