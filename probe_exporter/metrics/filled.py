"""Families filled with values: what travels from a probe through its registry to the text formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import final

from prometheus_client import Metric
from prometheus_client.samples import Sample

Values = Mapping[tuple[str, ...], float]
"""Values by label values, which stand in the order of the family's label names."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What all samples of a family share. ``text`` and ``openmetrics`` are its lines HELP and TYPE.

    ``sorted_labels`` are positions and names of the labels in the order in which both formats write them.
    """

    name: str
    kind: str
    documentation: str
    labels: tuple[str, ...]
    sorted_labels: tuple[tuple[int, str], ...]
    text: str
    openmetrics: str


@cache
def heading(name: str, kind: str, documentation: str, labels: tuple[str, ...]) -> Heading:
    """The heading of a family, made once. ``name`` is that of its samples, with ``_total`` for a counter."""
    breaks = documentation.replace("\\", r"\\").replace("\n", r"\n")
    quotes = breaks.replace('"', r"\"")
    family = name.removesuffix("_total") if kind == "counter" else name
    return Heading(
        name,
        kind,
        documentation,
        labels,
        tuple(sorted(enumerate(labels), key=lambda numbered: numbered[1])),
        f"# HELP {name} {breaks}\n# TYPE {name} {kind}\n",
        f"# HELP {family} {quotes}\n# TYPE {family} {kind}\n",
    )


@final
class FilledMetric(Metric):
    """One family with its values, as prometheus_client's registry and generators take it.

    Its samples are made only for those who ask: hundreds of objects a probe, which our own renderer does without.
    """

    def __init__(self, heading: Heading, values: Values) -> None:
        # Not Metric's own: it would check a name that is known at import, at every probe anew.
        self.heading = heading
        self.values = values
        self.name = heading.name.removesuffix("_total") if heading.kind == "counter" else heading.name
        self.documentation = heading.documentation
        self.type = heading.kind
        self.unit = ""

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # an attribute there, which this one fills lazily
        """The samples. Raises ValueError where a value has not as many labels as its family."""
        names = self.heading.labels
        return [
            Sample(self.heading.name, dict(zip(names, labels, strict=True)), value)
            for labels, value in self.values.items()
        ]
