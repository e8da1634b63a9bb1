"""From metrics to text: a registry that lives for one request, as text 0.0.4 or OpenMetrics 1.0.0.

Gauges and counters, which is all that a probe has, are written here, byte for byte as prometheus_client's own
generators write them: those cost more than everything else in a probe. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Format(Enum):
    """The text formats; the value is the constant content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _Probed(Collector):
    """The metrics of one probe as a collector."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics, as they were brought."""
        return self._metrics


def registry(metrics: Iterable[Metric]) -> CollectorRegistry:
    """A registry of these metrics. It refuses duplicate names only for what describes itself; a probe has none."""
    result = CollectorRegistry()
    result.register(_Probed(metrics))
    return result


def render(metrics: Iterable[Metric], form: Format) -> bytes:
    """The metrics as text. Only gauges and counters without timestamps or exemplars: what a probe brings."""
    lines: list[str] = []
    for metric in metrics:
        lines += _lines(metric, form is Format.OPENMETRICS)
    if form is Format.OPENMETRICS:
        lines.append("# EOF\n")
    return "".join(lines).encode("utf-8")


def _lines(metric: Metric, openmetrics: bool) -> Iterator[str]:
    name = metric.name
    if openmetrics:
        documentation = _escape(metric.documentation)
    else:
        name += "_total" if metric.type == "counter" else ""
        documentation = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {documentation}\n# TYPE {name} {metric.type}\n"
    for sample in metric.samples:
        labels = sample.labels
        if labels:
            pairs = ",".join([f'{label}="{_escape(labels[label])}"' for label in sorted(labels)])
            yield f"{sample.name}{{{pairs}}} {_number(sample.value)}\n"
        else:
            yield f"{sample.name} {_number(sample.value)}\n"


def _number(value: float) -> str:
    """As Go writes it; a short one needs no exponent, and Python writes it alike."""
    text = repr(value)
    if len(text) < 8 and type(value) is float and "n" not in text:
        return text
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # untyped in prometheus_client


def _escape(text: str) -> str:
    if "\\" in text or "\n" in text or '"' in text:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return text
