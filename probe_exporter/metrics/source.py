"""The sources of metrics: an endpoint and its reading, and the forms of families that are made of one reading.

A family made here yields nothing where its endpoint gave nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from probe_exporter.metrics.catalogue import Family, Sample, one, state_set
from probe_exporter.readings import Readings

Reading = TypeVar("Reading")

MINUTE = " Up to 60 s old."
TEN_MINUTES = " Up to 10 min old."
"""The sentence on age in the help of a family: that of an endpoint of the medium and of the slow tier."""

OWNER_API = "Powerwall 2 and Powerwall+; not Powerwall 3"
"""Where most endpoints are: the owner's API of the gateways before Powerwall 3."""


@dataclass(frozen=True)
class Source(Generic[Reading]):
    """An endpoint, and the place of its reading. ``age`` is the sentence that ends every help.

    ``also`` are the attributes of `Readings` that ``reading`` looks at beside that of the endpoint.
    """

    endpoint: str
    reading: Callable[[Readings], Reading | None]
    age: str = ""
    collector: str = "core"
    hardware: str = OWNER_API
    also: tuple[str, ...] = ()

    def samples(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        samples: Callable[[Reading], Iterable[Sample]],
        hardware: str | None = None,
        kind: Literal["gauge", "counter"] = "gauge",
        optional: str = "",
    ) -> Family:
        """A family with the samples that ``samples`` makes from the reading."""

        def read(readings: Readings) -> Iterable[Sample]:
            reading = self.reading(readings)
            return () if reading is None else samples(reading)

        return Family(
            name,
            kind,
            documentation + self.age,
            self.endpoint,
            read,
            labels,
            self.collector,
            hardware or self.hardware,
            optional,
            self.also,
        )

    def value(
        self,
        name: str,
        documentation: str,
        value: Callable[[Reading], float | None],
        hardware: str | None = None,
    ) -> Family:
        """A gauge without labels; a boolean becomes 0 or 1."""
        return self.samples(name, documentation, (), lambda reading: one(value(reading)), hardware)

    def word(
        self,
        name: str,
        documentation: str,
        label: str,
        word: Callable[[Reading], str | None],
        hardware: str | None = None,
    ) -> Family:
        """Yield a sample of 1 with the word in its label; an empty word has no sample."""

        def samples(reading: Reading) -> Iterable[Sample]:
            said = word(reading)
            return (((said,), 1.0),) if said else ()

        return self.samples(name, documentation, (label,), samples, hardware)

    def states(
        self,
        name: str,
        documentation: str,
        word: Callable[[Reading], str | None],
        known: tuple[str, ...],
        hardware: str | None = None,
    ) -> Family:
        """A state set."""
        return self.samples(
            name, documentation, ("state",), lambda reading: state_set(word(reading), known), hardware
        )
