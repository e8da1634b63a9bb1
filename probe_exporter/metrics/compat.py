"""What the Go exporter's users find at ``metrics_path``: its label ``tyoe``, and no counter at zero."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.samples import Sample


def go_exporter(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """The same metrics as the Go exporter spells them, in new objects.

    ``dev_*`` families carry ``tyoe`` beside ``type`` (its 0.2.0 misspells the label, and dashboards rely on it);
    counters that are zero are left out, as it does.
    """
    return tuple(spelt for metric in metrics if (spelt := _spell(metric)).samples)


def _spell(metric: Metric) -> Metric:
    copy = Metric(metric.name, metric.documentation, metric.type)
    samples: Iterable[Sample] = metric.samples
    if metric.type == "counter":
        samples = (sample for sample in samples if sample.value != 0.0)
    if metric.name.startswith("powerwall_dev_"):
        samples = (
            sample._replace(labels={**sample.labels, "tyoe": sample.labels["type"]})
            if "type" in sample.labels
            else sample
            for sample in samples
        )
    copy.samples = list(samples)
    return copy
