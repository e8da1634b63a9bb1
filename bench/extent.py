"""How much is measured: all of it, or as much as shows in a minute that the bench works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """How often, how long, how many. Times in seconds."""

    batches: int
    """Of each batch a mean is taken, of the batches the median."""
    rounds: int
    """Warm probes in a batch."""
    cold: int
    """First probes, each of another gateway."""
    latencies: tuple[float, ...]
    at_once: tuple[int, ...]
    at_once_seconds: float
    interval: float
    average: tuple[int, int]
    """Gateways and rounds of the average over ten minutes."""
    fleet: tuple[int, int]
    """Gateways and rounds of the large fleet."""
    starts: int
    start_gateways: int
    batteries: tuple[int, ...]
    gateways: tuple[int, ...]


FULL = Extent(
    batches=5,
    rounds=100,
    cold=20,
    latencies=(0.0, 0.05, 0.2),
    at_once=(1, 2, 4, 8, 16, 32, 64),
    at_once_seconds=8.0,
    interval=15.0,
    average=(150, 40),
    fleet=(1000, 9),
    starts=9,
    start_gateways=5000,
    batteries=(1, 2, 4, 8, 12, 16, 24),
    gateways=(1, 100, 250, 500, 750, 1000),
)

QUICK = Extent(
    batches=3,
    rounds=12,
    cold=3,
    latencies=(0.0, 0.05),
    at_once=(1, 8, 64),
    at_once_seconds=1.0,
    interval=3.0,
    average=(10, 4),
    fleet=(60, 3),
    starts=3,
    start_gateways=500,
    batteries=(1, 4),
    gateways=(1, 50),
)
