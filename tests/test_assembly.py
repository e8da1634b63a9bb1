"""From readings to families within limits: duplicates, numbers of series, collectors, held-back counters."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from probe_exporter.errors import REASONS
from probe_exporter.metrics.assembly import MAX_ENDPOINT_SERIES, MAX_GATEWAY_SERIES, assemble
from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.compat import go_exporter
from probe_exporter.metrics.filled import FilledMetric, heading
from probe_exporter.metrics.probe import PROBE_FAMILIES, EndpointOutcome, Verdict, probe_metrics
from probe_exporter.readings import Readings

EVERY = ("core", "meters", "grid", "site", "network", "solar")


def family(name: str, samples: Iterable[Sample], endpoint: str = "status", **changes: str) -> Family:
    kind = "counter" if name.endswith("_total") else "gauge"
    fixed = tuple(samples)
    collector = changes.get("collector", "core")
    return Family(name, kind, "help", endpoint, lambda _: fixed, ("label",), collector)


def many(count: int) -> list[Sample]:
    return [((str(number),), float(number)) for number in range(count)]


def admit_all(name: str, labels: tuple[str, ...], value: float) -> bool:
    return True


def values(metrics: Iterable[FilledMetric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_the_first_of_equal_label_sets_wins() -> None:
    result = assemble(
        [family("a", [(("x",), 1.0), (("x",), 2.0), (("y",), 3.0)])], Readings(), EVERY, admit_all
    )
    assert values(result.metrics) == {("a", "x"): 1.0, ("a", "y"): 3.0}
    assert result.dropped == 1


def test_an_endpoint_gives_a_thousand_series_at_most() -> None:
    families = [family("a", many(800)), family("b", many(800)), family("c", many(5), "networks")]
    result = assemble(families, Readings(), EVERY, admit_all)
    assert [len(metric.samples) for metric in result.metrics] == [800, MAX_ENDPOINT_SERIES - 800, 5]
    assert result.dropped == 600


def test_a_gateway_gives_two_thousand_series_at_most_and_the_first_stay() -> None:
    families = [family(f"f{number}", many(900), f"endpoint{number}") for number in range(4)]
    result = assemble(families, Readings(), EVERY, admit_all)
    assert [len(metric.samples) for metric in result.metrics] == [900, 900, MAX_GATEWAY_SERIES - 1800]
    assert result.dropped == 700 + 900


def test_only_the_chosen_collectors() -> None:
    families = [family("a", many(1)), family("b", many(1), collector="site")]
    result = assemble(families, Readings(), ("core",), admit_all)
    assert [metric.name for metric in result.metrics] == ["a"]


def test_a_counter_held_back_leaves_a_gap_and_is_counted() -> None:
    result = assemble(
        [family("a_total", many(2)), family("b", many(2))],
        Readings(),
        EVERY,
        lambda name, labels, value: labels == ("1",),
    )
    assert values(result.metrics) == {("a_total", "1"): 1.0, ("b", "0"): 0.0, ("b", "1"): 1.0}
    assert result.held_back == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_no_sample(number: float) -> None:
    result = assemble([family("a", [(("x",), number)])], Readings(), EVERY, admit_all)
    assert not result.metrics
    assert not result.usable


def test_an_endpoint_is_usable_when_it_gave_a_sample() -> None:
    result = assemble(
        [family("a", many(1), "status"), family("b", [], "networks")], Readings(), EVERY, admit_all
    )
    assert result.usable == {"status"}


def test_the_go_exporters_spelling() -> None:
    labels = ("type", "serial")
    device = FilledMetric(
        heading("powerwall_dev_imported_joules_total", "counter", "help", labels), {("neurio", "1"): 5.0}
    )
    zero = FilledMetric(
        heading("powerwall_imported_joules_total", "counter", "help", ("category",)), {("site",): 0.0}
    )
    gauge = FilledMetric(
        heading("powerwall_instant_power_watts", "gauge", "help", ("category",)), {("site",): 0.0}
    )
    spelt = go_exporter([device, zero, gauge])
    assert [metric.name for metric in spelt] == [
        "powerwall_dev_imported_joules",
        "powerwall_instant_power_watts",
    ]
    assert spelt[0].samples[0].labels == {"type": "neurio", "serial": "1", "tyoe": "neurio"}
    assert device.samples[0].labels == {"type": "neurio", "serial": "1"}


@pytest.mark.parametrize("reason", [None, *REASONS])
def test_exactly_one_reason_when_a_probe_failed(reason: str | None) -> None:
    samples = values(probe_metrics(Verdict(reason is None, reason, 0.25)))
    shown = {key[1]: value for key, value in samples.items() if key[0] == "probe_failure_reason"}
    assert shown == {word: float(word == reason) for word in REASONS}
    assert samples[("probe_success",)] == float(reason is None)


def test_endpoints_that_are_not_there_show_nothing_but_that() -> None:
    verdict = Verdict(
        True,
        None,
        0.25,
        (
            EndpointOutcome("status", False, False, 0.1, None, "http"),
            EndpointOutcome("operation", True, True, 0.2, 30.0),
        ),
    )
    samples = values(probe_metrics(verdict))
    assert {key: value for key, value in samples.items() if key[1:] == ("status",)} == {
        ("powerwall_endpoint_supported", "status"): 0.0
    }
    assert samples[("powerwall_endpoint_age_seconds", "operation")] == 30.0


def test_names_and_helps_are_fit_for_prometheus() -> None:
    for name, documentation, _ in PROBE_FAMILIES:
        assert name.startswith(("probe_", "powerwall_"))
        assert documentation.endswith(".")
