"""From metrics to text: a registry that lives for one request, as text 0.0.4 or OpenMetrics 1.0.0.

Gauges and counters, which is all that a probe has, are written here, byte for byte as prometheus_client's own
generators write them: those generators cost more time than everything else in a probe. A test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from probe_exporter.metrics.filled import FilledMetric


class Format(Enum):
    """The text formats; the value is the constant content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _Probed(Collector):
    """The metrics of one probe as a collector."""

    def __init__(self, metrics: Iterable[FilledMetric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[FilledMetric]:
        """The metrics, unchanged."""
        return self._metrics


def registry(metrics: Iterable[FilledMetric]) -> CollectorRegistry:
    """A registry of these metrics, which lives for one request."""
    result = CollectorRegistry()
    result.register(_Probed(metrics))
    return result


def render(metrics: Iterable[FilledMetric], form: Format) -> bytes:
    """The metrics of one probe as text, by way of their registry."""
    openmetrics = form is Format.OPENMETRICS
    parts: list[str] = []
    for metric in registry(metrics).collect():
        assert isinstance(metric, FilledMetric), "nothing else is registered"
        parts.append(metric.heading.openmetrics if openmetrics else metric.heading.text)
        parts.append(written(metric) if metric.lines is None else metric.lines)
    if openmetrics:
        parts.append("# EOF\n")
    return "".join(parts).encode("utf-8")


def written(metric: FilledMetric) -> str:
    """The lines of a family's samples, which are the same in both formats."""
    starts = metric.heading.starts
    return "".join(
        [
            f"{starts[texts]}{value if -math.inf < value < 1e6 else _as_in_go(value)}\n"
            for texts, value in metric.values.items()
        ]
    )


def _as_in_go(value: float) -> str:
    """A number as Go writes it: Python writes numbers from a million on, infinities and NaN differently."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # untyped in prometheus_client
