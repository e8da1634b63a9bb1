"""The form in which each metric of a gateway is declared, once.

A `Family` names the metric and holds a typed function from `Readings` to samples. Exposition, METRICS.md,
``probe_exporter metrics`` and the parametrised tests all derive from the declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Final, Literal

from probe_exporter.metrics.filled import Heading, heading
from probe_exporter.readings import ATTRIBUTES, Readings

Sample = tuple[tuple[str, ...], float]
"""Label values, in the order of `Family.labels`, and the value."""

TEDAPI_READINGS: Final = tuple(one.name for one in fields(Readings) if one.name.startswith("tedapi_"))
"""The attributes of `Readings` that hold answers of TEDAPI."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family.

    ``endpoint`` is the endpoint it comes from (path without ``/api/``), which is the unit of failure; ``collector`` the
    subject that a module switches on and off; ``hardware`` says which gateways and firmware have it. ``optional`` is
    the label that is left out where it is empty. ``read`` yields samples and yields none where the value is absent,
    null or not a measurement. It uses the answer of the endpoint (for a family of TEDAPI: all answers of TEDAPI), and
    the attributes of `Readings` in ``also``.

    ``twin`` is the same family from TEDAPI, for a gateway whose owner interface does not have the endpoint.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    endpoint: str
    read: Callable[[Readings], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    collector: str = "core"
    hardware: str = "all"
    optional: str = ""
    also: tuple[str, ...] = ()
    twin: Family | None = None
    heading: Heading = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "heading", heading(self.name, self.kind, self.help, self.labels, self.optional)
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The attributes of `Readings` that determine its samples."""
        own = ATTRIBUTES.get(self.endpoint, self.endpoint)
        return (*(TEDAPI_READINGS if own in TEDAPI_READINGS else (own,)), *self.also)

    def source(self, readings: Readings) -> Family:
        """This family, or its twin where TEDAPI takes the place of its endpoint."""
        return self.twin if self.twin is not None and self.endpoint in readings.by_tedapi else self


def one(value: float | None) -> Iterable[Sample]:
    """A family without labels: one sample, or none for None. Booleans become 0 and 1."""
    return () if value is None else (((), float(value)),)


def state_set(word: str | None, known: Iterable[str], *labels: str) -> Iterator[Sample]:
    """A state set: every known state 0 or 1, and ``other`` for an unknown word. No samples for None or ''."""
    if not word:
        return
    seen = False
    for state in known:
        seen = seen or state == word
        yield (*labels, state), float(state == word)
    yield (*labels, "other"), float(not seen)
