"""The result of a probe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.metrics.probe import EndpointOutcome, Verdict
from probe_exporter.readings import Readings

Word = Literal["ok", "stopped", "waiting to log in", "failing"]
"""The state of a gateway in a word, on pages and in tables."""


@dataclass(frozen=True, slots=True)
class PastProbe:
    """A line of a gateway's history. ``started`` in Unix seconds, ``duration`` in seconds."""

    started: float
    duration: float
    success: bool
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe.

    ``started`` is in Unix seconds; ``error`` is one sentence on what is wrong and what to do, None on success; ``log``
    has the steps of the probe, without secrets. A site remembers results without ``metrics``. ``cut_short``
    is true where the client left before all that was due had been read.
    """

    target: str
    module: str
    started: float
    verdict: Verdict
    word: Word
    error: str | None = None
    metrics: tuple[FilledMetric, ...] = ()
    readings: Readings = field(default_factory=Readings)
    log: tuple[str, ...] = ()
    cut_short: bool = False

    @property
    def success(self) -> bool:
        """Return True if the probe succeeded, which is ``probe_success``."""
        return self.verdict.success

    @property
    def reason(self) -> str | None:
        """The reason of the failure, None after a success."""
        return self.verdict.reason

    @property
    def duration(self) -> float:
        """Seconds that the probe took."""
        return self.verdict.duration

    @property
    def endpoints(self) -> tuple[EndpointOutcome, ...]:
        """The state of each endpoint of the module's collectors."""
        return self.verdict.endpoints
