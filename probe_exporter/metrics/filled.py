"""Families filled with values: what travels from a probe through its registry to the text formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import final

from prometheus_client import Metric
from prometheus_client.samples import Sample

Values = Mapping[tuple[str, ...], float]
"""Values by label values, which stand in the order of the family's label names."""


@dataclass(frozen=True, slots=True)
class Line:
    """The line of a sample: ``pattern`` takes the label values as ``arrange`` orders them, and the number.

    Both formats sort labels by name.
    """

    pattern: str
    arrange: Callable[[tuple[str, ...]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Heading:
    """The text that all samples of a family share. ``text`` and ``openmetrics`` are its lines HELP and TYPE.

    ``family`` is the name without the counter's ``_total``. ``line`` is the form of a sample; where the label
    ``optional`` is empty, ``short`` is, without it.
    """

    name: str
    kind: str
    documentation: str
    labels: tuple[str, ...]
    optional: str
    family: str
    line: Line
    short: Line
    text: str
    openmetrics: str


@cache
def heading(name: str, kind: str, documentation: str, labels: tuple[str, ...], optional: str = "") -> Heading:
    """The heading of a family, made once. ``name`` is that of its samples, with ``_total`` for a counter.

    ``optional`` is the one of ``labels`` that is left out of a sample where it is empty; "" for none.
    """
    breaks = documentation.replace("\\", r"\\").replace("\n", r"\n")
    quotes = breaks.replace('"', r"\"")
    family = name.removesuffix("_total") if kind == "counter" else name
    return Heading(
        name,
        kind,
        documentation,
        labels,
        optional,
        family,
        _line(name, labels, labels),
        _line(name, labels, tuple(label for label in labels if label != optional)),
        f"# HELP {name} {breaks}\n# TYPE {name} {kind}\n",
        f"# HELP {family} {quotes}\n# TYPE {family} {kind}\n",
    )


def _line(name: str, labels: tuple[str, ...], shown: tuple[str, ...]) -> Line:
    pairs = ",".join(f'{label}="%s"' for label in sorted(shown))
    pattern = f"{name}{{{pairs}}} %s\n" if pairs else f"{name} %s\n"
    order = [labels.index(label) for label in sorted(shown)]
    if order == list(range(len(labels))):
        return Line(pattern, tuple)
    return Line(
        pattern,
        itemgetter(*order) if len(order) > 1 else lambda texts: tuple(texts[place] for place in order),
    )


@final
class FilledMetric(Metric):
    """A family with its values, as prometheus_client's registry and generators take it.

    Its samples are made only for those who ask: hundreds of objects a probe, which our own renderer does without.
    A family that is written already comes with its ``lines``, and with a function that gives its values again.
    """

    def __init__(
        self, heading: Heading, values: Values | Callable[[], Values], lines: str | None = None
    ) -> None:
        # Not Metric's own: it would check a name that is known at import, at every probe anew.
        self.heading = heading
        self.lines = lines
        self._values = values
        self.name = heading.family
        self.documentation = heading.documentation
        self.type = heading.kind
        self.unit = ""

    @property
    def values(self) -> Values:
        """The values by label values."""
        if callable(self._values):
            self._values = self._values()
        return self._values

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # an attribute there, which this one fills lazily
        """The samples. Raises ValueError where a value has not as many labels as its family."""
        names, optional = self.heading.labels, self.heading.optional
        return [
            Sample(
                self.heading.name,
                {name: text for name, text in zip(names, labels, strict=True) if text or name != optional},
                value,
            )
            for labels, value in self.values.items()
        ]
