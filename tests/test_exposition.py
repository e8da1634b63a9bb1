"""Our own renderer writes, byte for byte, what prometheus_client's generators write."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.exposition import Format, registry, render
from probe_exporter.metrics.filled import FilledMetric, Heading, heading
from probe_exporter.metrics.probe import PROBE_FAMILIES

FAMILIES = [
    *(heading(name, "gauge", text, labels) for name, text, labels in PROBE_FAMILIES),
    *(family.heading for family in CATALOGUE),
]
GENERATORS = {Format.TEXT: generate_latest, Format.OPENMETRICS: openmetrics.generate_latest}

VALUES = [0.0, -0.0, 1.0, -1.5, 1e10, 123456.0, 1234567.0, 1e-7, 0.1 + 0.2, 1e300, 5e-324]
VALUES += [math.inf, -math.inf, math.nan, 1797693134862315.7, 1.797e308]
TEXTS = ["", "plain", 'quo"te', "back\\slash", "line\nbreak", "\\n", "é 🔋 \u202e", "{}=,#"]


def filled(kind: str, name: str, labels: Sequence[str], *rows: tuple[Sequence[str], float]) -> FilledMetric:
    described = heading(name, kind, 'help with a "quote", a \\ and\na break', tuple(labels))
    return FilledMetric(described, {tuple(texts): value for texts, value in rows})


def assert_alike(*metrics: FilledMetric) -> None:
    for form, generate in GENERATORS.items():
        assert render(metrics, form) == generate(registry(metrics))


@pytest.mark.parametrize("described", FAMILIES, ids=lambda described: described.name)
def test_the_catalogue(described: Heading) -> None:
    labels = described.labels
    rows = zip(TEXTS * 2, VALUES, strict=True) if labels else [("", 1.0)]
    values = {
        (label, *[f"{label}{number}"] * (len(labels) - 1)): value
        for number, (label, value) in enumerate(rows)
    }
    assert_alike(FilledMetric(described, values if labels else {(): 1.0}))


@pytest.mark.parametrize("kind", ["gauge", "counter"])
@given(number=st.floats(), whole=st.integers(-(10**18), 10**18))
@example(number=123456.0, whole=1000000)
def test_any_number(kind: str, number: float, whole: int) -> None:
    assert_alike(
        filled(kind, "some_total", [], ([], number)), filled(kind, "other_total", [], ([], float(whole)))
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
def test_any_label_value(texts: list[str]) -> None:
    assert_alike(filled("gauge", "some_name", ["b_second", "a_first"], (texts, 1.0)))


def test_an_optional_label_is_left_out_where_it_is_empty() -> None:
    described = heading("some_name", "gauge", "Help.", ("type", "id", "phase"), "id")
    metric = FilledMetric(described, {("neurio", "", "a"): 1.0, ("neurio", "2", "a"): 2.0, ("", "", ""): 3.0})
    assert_alike(metric)
    assert render([metric], Format.TEXT).decode().splitlines()[2:] == [
        'some_name{phase="a",type="neurio"} 1.0',
        'some_name{id="2",phase="a",type="neurio"} 2.0',
        'some_name{phase="",type=""} 3.0',
    ]


def test_nothing_at_all() -> None:
    assert_alike()


def test_a_value_with_a_label_too_many_is_a_defect() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = filled("gauge", "some_name", ["only"], (["one", "two"], 1.0)).samples


def test_prometheus_client_reads_what_we_write() -> None:
    metric = filled("counter", "some_total", ["b", "a"], (["1", "2"], 5.0))
    (family,) = text_string_to_metric_families(render([metric], Format.TEXT).decode())
    assert family.samples == metric.samples
