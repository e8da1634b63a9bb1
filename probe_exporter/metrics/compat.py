"""Compatibility with the Go exporter at ``metrics_path``: its label ``tyoe``, and counters of zero left out."""

from __future__ import annotations

from collections.abc import Iterable

from probe_exporter.metrics.filled import FilledMetric, heading


def go_exporter(metrics: Iterable[FilledMetric]) -> tuple[FilledMetric, ...]:
    """The same metrics as the Go exporter spells them, in new objects.

    ``dev_*`` families carry ``tyoe`` beside ``type`` (its 0.2.0 misspells the label, and dashboards rely on it);
    counters that are zero are left out, as it does.
    """
    return tuple(spelt for metric in metrics if (spelt := _spell(metric)).values)


def _spell(metric: FilledMetric) -> FilledMetric:
    head, values = metric.heading, metric.values
    if head.kind == "counter":
        values = {labels: value for labels, value in values.items() if value != 0.0}
    if head.name.startswith("powerwall_dev_") and "type" in head.labels:
        place = head.labels.index("type")
        values = {(*labels, labels[place]): value for labels, value in values.items()}
        head = heading(head.name, head.kind, head.documentation, (*head.labels, "tyoe"), head.optional)
    return FilledMetric(head, values)
