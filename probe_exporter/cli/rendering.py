"""The results of one-off probes as text: exposition, JSON, a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from probe_exporter.metrics.exposition import Format, render
from probe_exporter.metrics.filled import FilledMetric, Heading, heading
from probe_exporter.probe import ProbeResult


def as_exposition(results: Sequence[ProbeResult], openmetrics: bool) -> str:
    """Return the text format of Prometheus. Several gateways share the families, told apart by a label ``target``."""
    metrics: Iterable[FilledMetric] = results[0].metrics if len(results) == 1 else merge(results)
    return exposition(metrics, openmetrics)


def exposition(metrics: Iterable[FilledMetric], openmetrics: bool) -> str:
    """Families in the text format 0.0.4, or in OpenMetrics 1.0."""
    return render(metrics, Format.OPENMETRICS if openmetrics else Format.TEXT).decode()


def merge(results: Iterable[ProbeResult]) -> list[FilledMetric]:
    """The families of several gateways, each family once, every sample with its ``target``."""
    merged: dict[str, tuple[Heading, dict[tuple[str, ...], float]]] = {}
    for result in results:
        for metric in result.metrics:
            head = metric.heading
            labels = ("target", *head.labels)
            named = heading(head.name, head.kind, head.documentation, labels, head.optional)
            _, values = merged.setdefault(head.name, (named, {}))
            values.update({(result.target, *labels): value for labels, value in metric.values.items()})
    return [FilledMetric(head, values) for head, values in merged.values()]


def as_json(results: Iterable[ProbeResult]) -> str:
    """Return a list with an object for each target."""
    return json.dumps([_object(result) for result in results], indent=2, ensure_ascii=False) + "\n"


def _object(result: ProbeResult) -> dict[str, Any]:
    return {
        "target": result.target,
        "module": result.module,
        "success": result.success,
        "reason": result.reason,
        "error": result.error,
        "started": result.started,
        "duration_seconds": result.duration,
        "metrics": [
            {
                "name": family.name,
                "type": family.type,
                "help": family.documentation,
                "samples": [
                    {"name": sample.name, "labels": sample.labels, "value": sample.value}
                    for sample in family.samples
                ],
            }
            for family in result.metrics
        ],
    }


def as_table(results: Iterable[ProbeResult]) -> str:
    """Return a line for each target: its state, its charge as Tesla's app shows it, and power in kilowatts."""
    rows = [_HEADINGS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "".join(
        "  ".join(
            cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


_HEADINGS: Final = (
    "TARGET",
    "STATE",
    "GRID",
    "CHARGE %",
    "SOLAR kW",
    "HOME kW",
    "BATTERY kW",
    "GRID kW",
    "SECONDS",
)
_TEXT_COLUMNS: Final = 3
_CATEGORIES: Final = ("solar", "load", "battery", "site")


def _row(result: ProbeResult) -> tuple[str, ...]:
    readings = result.readings
    power = readings.powers
    grid = readings.grid_status.word if readings.grid_status is not None else None
    return (
        result.target,
        _state(result),
        grid or "-",
        _number(readings.app_charge, 100.0, 0),
        *(_number(power.get(category), 0.001, 2) for category in _CATEGORIES),
        f"{result.duration:.2f}",
    )


def _state(result: ProbeResult) -> str:
    """Return the state in a word, why it is failing, and which interface is down while the other one works."""
    if not result.success and result.reason is not None:
        return f"{result.word}: {result.reason}"
    down = [f"{name} down" for name, up in result.verdict.interfaces if not up]
    return ", ".join((result.word, *down))


def _number(value: float | None, scale: float, digits: int) -> str:
    """A rounded number; one that rounds to 0 has no sign."""
    return "-" if value is None else f"{round(value * scale, digits) + 0.0:.{digits}f}"
