"""Families filled with values: what travels from a probe through its registry to the text formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    ``family`` is the name without the counter's ``_total``. ``pattern`` makes the line of a sample from its label
    values, in the places that ``order`` gives, and its number: both formats sort labels by name.
    """

    name: str
    kind: str
    documentation: str
    labels: tuple[str, ...]
    family: str
    pattern: str
    order: tuple[int, ...]
    text: str
    openmetrics: str


@cache
def heading(name: str, kind: str, documentation: str, labels: tuple[str, ...]) -> Heading:
    """The heading of a family, made once. ``name`` is that of its samples, with ``_total`` for a counter."""
    breaks = documentation.replace("\\", r"\\").replace("\n", r"\n")
    quotes = breaks.replace('"', r"\"")
    family = name.removesuffix("_total") if kind == "counter" else name
    order = tuple(sorted(range(len(labels)), key=labels.__getitem__))
    return Heading(
        name,
        kind,
        documentation,
        labels,
        family,
        _pattern(name, [labels[place] for place in order]),
        order,
        f"# HELP {name} {breaks}\n# TYPE {name} {kind}\n",
        f"# HELP {family} {quotes}\n# TYPE {family} {kind}\n",
    )


def _pattern(name: str, labels: Sequence[str]) -> str:
    pairs = ",".join(f'{label}="%s"' for label in labels)
    return f"{name}{{{pairs}}} %s\n" if pairs else f"{name} %s\n"


@final
class FilledMetric(Metric):
    """One family with its values, as prometheus_client's registry and generators take it.

    Its samples are made only for those who ask: hundreds of objects a probe, which our own renderer does without.
    """

    def __init__(self, heading: Heading, values: Values) -> None:
        # Not Metric's own: it would check a name that is known at import, at every probe anew.
        self.heading = heading
        self.values = values
        self.name = heading.family
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
