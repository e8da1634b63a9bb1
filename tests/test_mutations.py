"""Payloads with something changed in them: read, assembled and rendered, and never more than bad."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.metrics import CATALOGUE, TWINNED
from probe_exporter.metrics.assembly import MAX_ENDPOINT_SERIES, MAX_GATEWAY_SERIES, assemble
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.readings import ATTRIBUTES, Readings, read, without_names
from tests.readings_of import READ_AT, SYSTEMS, payload_file

Documents = dict[str, Any]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.text(max_size=300),
    st.sampled_from(
        [
            "",
            "0001-01-01T00:00:00Z",
            "2024-02-30T25:61:61Z",
            "-1h",
            "9" * 400,
            "NaN",
            "\ud800",
            "\x00\n",
            "[]",
            "{",
        ]
    ),
    st.sampled_from([1e308, -1e308, 1.797e308, 1e9, -1e9, -1.0, 1e18, 253402300800.0, -62135596800.0]),
)
VALUES = st.one_of(
    SCALARS,
    st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=8),
)


def originals() -> dict[str, Documents]:
    """Every document of every system of ours."""
    return {
        system: {
            endpoint: json.loads(file.read_text(encoding="utf-8"))
            for endpoint in ATTRIBUTES
            if (file := payload_file(system, endpoint)).exists()
        }
        for system in SYSTEMS
    }


ORIGINALS = originals()


MOST_PLACES = 5000


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key below a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *places(value[key]))]


@st.composite
def mutated(draw: st.DrawFn) -> Documents:
    documents = copy.deepcopy(ORIGINALS[draw(st.sampled_from(sorted(ORIGINALS)))])
    for _ in range(draw(st.integers(1, 6))):
        found = places(documents)
        container, key = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(["replace", "drop", "double", "swap"]))
        if len(found) > MOST_PLACES and change != "drop":
            change = "replace"  # copies of copies would take minutes
        if change == "replace" or container is documents:
            container[key] = draw(VALUES)
        elif change == "drop":
            del container[key]
        elif change == "double" and isinstance(container, list):
            copies = draw(st.sampled_from([1, 3, 400]))
            small = len(places(container[key])) < 50
            container.extend(copy.deepcopy([container[key]]) * (copies if small else min(copies, 3)))
        else:
            other, name = found[draw(st.integers(0, len(found) - 1))]
            if isinstance(other, list) or name in other:
                container[key] = copy.deepcopy(documents)
    return documents


def check(documents: Documents) -> None:
    """What holds for any document."""
    readings = Readings()
    for endpoint, document in documents.items():
        setattr(readings, ATTRIBUTES[endpoint], read(endpoint, document, READ_AT).value)
    if readings.networks is not None:
        readings.networks = without_names(readings.networks)
    for spoken_for in (frozenset[str](), TWINNED):
        readings.by_tedapi = spoken_for
        check_readings(readings)


def check_readings(readings: Readings) -> None:
    result = assemble(CATALOGUE, readings, COLLECTORS, lambda *_: True)
    values = [value for metric in result.metrics for value in metric.values.values()]
    assert all(math.isfinite(value) for value in values)
    assert len(values) <= MAX_GATEWAY_SERIES
    assert all(len(metric.values) <= MAX_ENDPOINT_SERIES for metric in result.metrics)
    assert all(len(text) <= 256 for metric in result.metrics for texts in metric.values for text in texts)
    text = render(result.metrics, Format.TEXT).decode("utf-8")
    assert len(list(text_string_to_metric_families(text))) == len(result.metrics)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(mutated())
def test_a_mutated_payload(documents: Documents) -> None:
    check(documents)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
@given(mutated())
def test_thousands_of_mutated_payloads(documents: Documents) -> None:
    check(documents)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_place_with_every_strange_value(system: str) -> None:
    strange: tuple[Any, ...] = (None, True, -1, 1e999, "", "x", [], {}, [None], {"": None}, "9" * 400, [[[]]])
    for endpoint, document in ORIGINALS[system].items():
        for number in range(len(places([document]))):
            for value in strange:
                changed = [copy.deepcopy(document)]
                container, key = places(changed)[number]
                container[key] = value
                check({endpoint: changed[0]})
