"""Figures: a value, what it stands beside, and the goal; as a table, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

_SHOWN_PACKAGES: Final = ("urllib3", "prometheus_client", "uvicorn", "h11", "PyYAML", "voluptuous")


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound, upper where not said otherwise, on the value or on the ratio."""

    of: Literal["value", "ratio"]
    bound: float
    at_least: bool = False

    def shown(self, unit: str) -> str:
        """As the table shows it, ``unit`` being that of the value."""
        bound = f"{self.bound:g} ×" if self.of == "ratio" else shown(self.bound, unit, 3)
        return f"{'≥' if self.at_least else '≤'} {bound}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``value`` and ``reference`` have the same unit; ``beside`` says what the reference is."""

    group: str
    name: str
    value: float
    unit: str
    beside: str
    reference: float
    goal: Goal | None = None

    @property
    def ratio(self) -> float:
        """The value by the reference."""
        return self.value / self.reference if self.reference else float("nan")

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        reached = self.value if self.goal.of == "value" else self.ratio
        return reached >= self.goal.bound if self.goal.at_least else reached <= self.goal.bound


@dataclass(frozen=True, slots=True)
class Series:
    """Points of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """How something grows; ``name`` is that of its file."""

    name: str
    title: str
    across: str
    up: str
    series: Sequence[Series]


@dataclass(slots=True)
class Report:
    """What one run found."""

    figures: list[Figure] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Take a figure, and show it."""
        self.figures.append(figure)
        print(row(figure), flush=True)


_HEADINGS: Final = ("", "value", "beside", "", "ratio", "goal")
_WIDTHS: Final = (66, 13, 13, 42, 7, 11)


def heading() -> str:
    """The first line of the table."""
    return _line(_HEADINGS)


def row(figure: Figure) -> str:
    """A figure as a line of the table; an exclamation mark where it falls short of its goal."""
    return _line(
        (
            f"{figure.group}: {figure.name}",
            shown(figure.value, figure.unit),
            shown(figure.reference, figure.unit),
            figure.beside,
            f"{figure.ratio:.2f}",
            _goal(figure),
        )
    ).rstrip()


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return figure.goal.shown(figure.unit) + ("" if figure.met else " !")


def _line(cells: Sequence[str]) -> str:
    first, *rest = (
        f"{cell:<{width}}" if place in (0, 3, 5) else f"{cell:>{width}}"
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join([first, *rest])


def shown(value: float, unit: str, digits: int = 4) -> str:
    """A value with its unit, as people read it."""
    if unit == "s":
        return f"{value * 1e3:.{digits}g} ms" if value < 1.0 else f"{value:.{digits}g} s"
    if unit == "B":
        return f"{value / 1e6:.{digits}g} MB"
    return f"{value:.{digits}g} {unit}".rstrip()


def machine() -> dict[str, Any]:
    """The machine as far as figures depend on it."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: version(name) for name in _SHOWN_PACKAGES},
    }


def as_json(report: Report, about: dict[str, Any]) -> str:
    """The whole report."""
    document = {
        "machine": about,
        "figures": [_entry(figure) for figure in report.figures],
        "plots": [asdict(plot) for plot in report.plots],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _entry(figure: Figure) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "group": figure.group,
        "name": figure.name,
        "unit": figure.unit,
        "value": _rounded(figure.value),
        "beside": figure.beside,
        "reference": _rounded(figure.reference),
        "ratio": _rounded(figure.ratio),
    }
    if figure.goal is not None:
        entry |= {"goal": figure.goal.shown(figure.unit), "met": figure.met}
    return entry


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


def write(report: Report, about: dict[str, Any], folder: Path, plots: Iterable[tuple[str, str]]) -> None:
    """Write ``report.json`` and the plots. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(as_json(report, about), "utf-8")
    for name, picture in plots:
        (folder / f"{name}.svg").write_text(picture, "utf-8")
