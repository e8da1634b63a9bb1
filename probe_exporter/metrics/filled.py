"""Families filled with values: what travels from a probe through its registry to the text formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.samples import Sample

Values = Mapping[tuple[str, ...], float]
"""Values by label values, in the order of the family's label names."""


MAX_STARTS: Final = 64
"""Beginnings of lines that are kept of a family. A thousand gateways have most of them in common."""


class Starts(dict[tuple[str, ...], str]):
    """The lines of a family up to the value, by label values. They are made when they are asked for."""

    def __init__(self, name: str, labels: tuple[str, ...], optional: str) -> None:
        super().__init__()
        self._name = name
        self._labels = labels
        self._optional = optional

    def __missing__(self, texts: tuple[str, ...]) -> str:
        """Make the line. Both formats sort labels by name, and escape the same characters.

        Raises ValueError where there are not as many label values as labels.
        """
        pairs = ",".join(
            f'{label}="{_escaped(text)}"'
            for label, text in sorted(zip(self._labels, texts, strict=True))
            if text or label != self._optional
        )
        start = f"{self._name}{{{pairs}}} " if pairs else f"{self._name} "
        if len(self) >= MAX_STARTS:
            self.clear()
        self[texts] = start
        return start


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """The text that all samples of a family share. ``text`` and ``openmetrics`` are its lines HELP and TYPE.

    ``family`` is the name without the counter's ``_total``. The label ``optional`` is left out where it is empty.
    """

    name: str
    kind: str
    documentation: str
    labels: tuple[str, ...]
    optional: str
    family: str
    text: str
    openmetrics: str
    starts: Starts


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
        f"# HELP {name} {breaks}\n# TYPE {name} {kind}\n",
        f"# HELP {family} {quotes}\n# TYPE {family} {kind}\n",
        Starts(name, labels, optional),
    )


@final
class FilledMetric(Metric):
    """A family with its values, as prometheus_client's registry and generators take it.

    Its samples are made on demand only: they are hundreds of objects for each probe, and our own renderer does not need
    them. A family that is written already comes with its ``lines``, and with a function that gives its values again:
    they would take more memory than the text.
    """

    __slots__ = ("_values", "heading", "lines")

    def __init__(
        self, heading: Heading, values: Values | Callable[[Heading], Values], lines: str | None = None
    ) -> None:
        # Not Metric's own: it would check the name at every probe, though the name is known at import.
        self.heading = heading
        self.lines = lines
        self._values = values

    @property
    def values(self) -> Values:
        """The values by label values."""
        return self._values(self.heading) if callable(self._values) else self._values

    @property
    def name(self) -> str:  # type: ignore[override]  # attributes there; here nothing is copied for each probe
        """The name, without the counter's ``_total``."""
        return self.heading.family

    @property
    def documentation(self) -> str:  # type: ignore[override]
        """The help."""
        return self.heading.documentation

    @property
    def type(self) -> str:  # type: ignore[override]
        """The kind: gauge or counter."""
        return self.heading.kind

    @property
    def unit(self) -> str:  # type: ignore[override]
        """Empty: our names carry the unit."""
        return ""

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]
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
