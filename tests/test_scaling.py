"""What ``docs/scaling.md`` says about requests follows from the table of endpoints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probe_exporter.gateway.endpoints import ENDPOINTS, PERIOD, SLOW_PER_PROBE
from probe_exporter.web.accepting import MAX_CONNECTIONS
from probe_exporter.web.probing import MOST_RUNS

PAGE = (Path(__file__).parent.parent / "docs/scaling.md").read_text(encoding="utf-8")
TIERS = tuple(PERIOD)


def requests(tier: str, *collectors: str) -> int:
    return sum(one.tier == tier and (not collectors or one.collector in collectors) for one in ENDPOINTS)


@pytest.mark.parametrize("tier", TIERS)
def test_the_requests_of_a_tier(tier: str) -> None:
    assert f"| {tier} | {requests(tier)} |" in PAGE


def test_slow_requests_of_a_probe() -> None:
    assert f"at most {SLOW_PER_PROBE} a probe" in PAGE


@pytest.mark.parametrize(("interval", "text"), [(10, "10 s"), (15, "15 s"), (30, "30 s"), (60, "1 min")])
def test_requests_a_minute(interval: int, text: str) -> None:
    """Each endpoint once in its period, or at every probe where that is longer."""
    rate = sum(60.0 / max(interval, PERIOD[one.tier]) for one in ENDPOINTS)
    assert f"| {text} | {round(rate)} |" in PAGE


def test_what_core_alone_asks() -> None:
    fast, medium, slow = (requests(tier, "core") for tier in TIERS)
    assert re.search(rf"leaves\s+{fast} fast,\s+{medium}\s+medium and {slow} slow", PAGE)


def test_the_bounds_of_one_process() -> None:
    assert f"at most {MOST_RUNS:,};" in PAGE
    assert f"| connections from Prometheus | {MAX_CONNECTIONS:,} |" in PAGE
